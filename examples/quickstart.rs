//! A gateway that lets people's bridges in, on a SQLite file.
use axum::{Router, http::request::Parts, routing::get};
use bridge_auth::token::{Algorithm, KeyRing};
use bridge_auth::{Bridge, BuildError, Caller, SignInLayer, SignedIn, scopes, store::SqliteStore};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let store = SqliteStore::open("gateway.db").await?; // or PostgresStore::connect("postgres://…")
    let keys = KeyRing::load_or_generate("gateway.key", Algorithm::EdDsa)?;
    let bridge = Bridge::builder(format!("http://{address}"), keys, store).build()?;
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(axum::serve(listener, app(&bridge)?).await?)
}

fn app(bridge: &Bridge) -> Result<Router, BuildError> {
    Ok(Router::new()
        .route("/whoami", get(whoami))
        .layer(bridge.layer("bridge")?) // guards all routes above; "bridge" is the audience of the tokens
        .nest_service("/auth", bridge.service()) // POST /auth/code, POST /auth/session, …
        .layer(SignInLayer::new(sign_in)))
}

async fn whoami(caller: Caller) -> String {
    format!("{}\n", caller.user_id())
}

/// FOR DEVELOPMENT ONLY: the sender of the secret in DEV_LOGIN is alice. Ask your own login here.
fn sign_in(request: &Parts) -> Option<SignedIn> {
    let secret = std::env::var("DEV_LOGIN").ok().filter(|secret| !secret.is_empty())?;
    let is_alice = *request.headers.get("x-dev-login")? == *secret;
    is_alice.then(|| SignedIn::try_new("alice", scopes!()).expect("a user id"))
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use bridge_auth::testing::TestBridge;
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn alice_is_let_in_until_her_session_ends() -> Result<(), Box<dyn std::error::Error>> {
        let bridges = TestBridge::new().await;
        let app = super::app(bridges.bridge())?;
        let mut request = Request::get("/whoami").body(Body::empty())?;
        let access = bridges.authorize(&mut request, "alice", "").await;
        assert_eq!(app.clone().oneshot(request).await?.status(), 200);

        bridges.revoke("alice").await;
        let mut request = Request::get("/whoami").body(Body::empty())?;
        bridges.authorize_with(&mut request, &access);
        assert_eq!(app.oneshot(request).await?.status(), 401);
        Ok(())
    }
}
