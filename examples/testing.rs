//! An app, and unit tests of its handlers: no port, no file, no waiting.
//!
//! `cargo test --example testing --features testing`

use axum::routing::{get, post};
use axum::{Router, extract::Request};
use bridge_auth::store::SqliteStore;
use bridge_auth::token::{Algorithm, KeyRing};
use bridge_auth::{Bridge, BuildError, Caller, Granted, required_scopes};

required_scopes! {
    /// May ask a model.
    struct CallModels = ["models:call"];
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = SqliteStore::open("gateway.db").await?;
    let keys = KeyRing::load_or_generate("gateway.key", Algorithm::EdDsa)?;
    let bridge = Bridge::builder("http://127.0.0.1:8080", keys, store).build()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    Ok(axum::serve(listener, app(&bridge)?).await?)
}

/// The routes, for the program and for its tests.
fn app(bridge: &Bridge) -> Result<Router, BuildError> {
    let guarded = Router::new().route("/greeting", get(greeting)).route("/models", post(models));
    Ok(guarded.layer(bridge.layer("bridge")?).nest_service("/auth", bridge.service()))
}

async fn greeting(caller: Caller) -> String {
    format!("hello, {}", caller.user_id())
}

async fn models(caller: Granted<CallModels>, _: Request) -> String {
    format!("an answer for {}", caller.user_id())
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use axum::body::{Body, to_bytes};
    use axum::http::StatusCode;
    use axum::response::Response;
    use bridge_auth::testing::{TestBridge, refusal};
    use tower::ServiceExt as _;

    use super::*;

    type Done = Result<(), Box<dyn Error>>;

    /// The answer to `POST /models` of alice, who may do what `scopes` says.
    async fn call(bridges: &TestBridge, scopes: &str) -> Result<Response, Box<dyn Error>> {
        let mut request = Request::post("/models").body(Body::empty())?;
        bridges.authorize(&mut request, "alice", scopes).await;
        Ok(app(bridges.bridge())?.oneshot(request).await?)
    }

    #[tokio::test]
    async fn a_handler_is_a_function_of_its_caller() {
        let bridges = TestBridge::new().await;
        assert_eq!(greeting(bridges.caller("alice", "").await).await, "hello, alice");
    }

    #[tokio::test]
    async fn a_model_answers_for_the_person_who_calls() -> Done {
        let answer = call(&TestBridge::new().await, "models:call").await?;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(to_bytes(answer.into_body(), 100).await?, "an answer for alice");
        Ok(())
    }

    #[tokio::test]
    async fn nobody_calls_a_model_without_the_scope() -> Done {
        let answer = call(&TestBridge::new().await, "files:read").await?;
        assert_eq!((answer.status(), refusal(&answer)), (StatusCode::FORBIDDEN, Some("insufficient_scope")));
        Ok(())
    }

    #[tokio::test]
    async fn a_token_is_refused_once_it_has_expired_or_its_session_is_revoked() -> Done {
        for (expires, reason) in [(true, "expired"), (false, "session_revoked")] {
            let bridges = TestBridge::new().await;
            let access = bridges.access("alice", "").await;
            if expires {
                bridges.expire();
            } else {
                bridges.revoke("alice").await;
            }
            let mut request = Request::get("/greeting").body(Body::empty())?;
            bridges.authorize_with(&mut request, &access);
            let answer = app(bridges.bridge())?.oneshot(request).await?;
            assert_eq!((answer.status(), refusal(&answer)), (StatusCode::UNAUTHORIZED, Some(reason)));
        }
        Ok(())
    }

    #[tokio::test]
    async fn an_outage_of_the_database_lets_nobody_in_and_calls_no_token_bad() -> Done {
        let bridges = TestBridge::new().await;
        let mut request = Request::get("/greeting").body(Body::empty())?;
        bridges.authorize(&mut request, "alice", "").await;
        bridges.stop_store();
        let answer = app(bridges.bridge())?.oneshot(request).await?;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        Ok(())
    }
}
