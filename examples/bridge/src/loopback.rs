//! Sign-in in the browser of this machine: the authorization code grant with PKCE, and a redirect to a port of the
//! bridge's own on loopback (RFC 8252 §7.3).

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use oauth2::{AuthUrl, AuthorizationCode, CsrfToken, PkceCodeChallenge, RedirectUrl, Scope};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::callback::{Callback, Expected};
use crate::credential::Life;
use crate::gateway::{Gateway, Problem};
use crate::login::LoginRequest;
use crate::oauth::{Token, token};
use crate::{browser, say};

/// How long the last page may take to reach the browser.
const GRACE: Duration = Duration::from_secs(2);

/// Sends the person to the gateway's page, and waits up to `patience` for the answer.
pub async fn grant(
    gateway: &Gateway,
    wanted: &LoginRequest,
    open: bool,
    patience: Duration,
) -> Result<Token, Problem> {
    let page = AuthUrl::from_url(gateway.authorization_endpoint().await?);
    let metadata = gateway.metadata().await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.context("cannot listen on 127.0.0.1")?;
    let port = listener.local_addr().context("the listener has no address")?.port();
    let redirect = RedirectUrl::new(format!("http://127.0.0.1:{port}/callback"));
    let client = gateway.oauth_client(&wanted.client_id, None).await?;
    let client = client.set_auth_uri(page).set_redirect_uri(redirect.context("the redirect is malformed")?);

    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let mut request = client.authorize_url(CsrfToken::new_random).set_pkce_challenge(challenge);
    for scope in wanted.scopes() {
        request = request.add_scope(Scope::new(scope.to_owned()));
    }
    if let Some(resource) = &wanted.resource {
        request = request.add_extra_param("resource", resource.as_str());
    }
    let (url, state) = request.url();
    say(&format!("Open {url}"))?;
    say("in a browser on this machine, and allow this device there.")?;
    if open {
        browser::open(&url);
    }

    let expected = Expected {
        state: state.into_secret(),
        issuer: metadata.issuer.clone(),
        must_name_issuer: metadata.authorization_response_iss_parameter_supported,
    };
    let code = answer(listener, expected, patience).await?;
    let mut exchange = client.exchange_code(AuthorizationCode::new(code)).set_pkce_verifier(verifier);
    if let Some(resource) = &wanted.resource {
        exchange = exchange.add_extra_param("resource", resource.as_str());
    }
    let life = Life::begins();
    token(exchange.request_async(gateway).await, life)
}

/// What the browser brings back to the redirect URI.
struct Waiting {
    expected: Expected,
    answers: mpsc::Sender<Result<String, Problem>>,
}

/// The code that the browser brings.
async fn answer(listener: TcpListener, expected: Expected, patience: Duration) -> Result<String, Problem> {
    let (answers, mut received) = mpsc::channel(1);
    let waiting = Arc::new(Waiting { expected, answers });
    let app = Router::new().route("/callback", get(callback)).with_state(waiting);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = axum::serve(listener, app).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let mut serving = tokio::spawn(serving.into_future());
    let answer = timeout(patience, received.recv()).await;
    // The page is still on its way to the browser.
    drop(stop);
    if timeout(GRACE, &mut serving).await.is_err() {
        serving.abort();
    }
    match answer {
        Ok(Some(answer)) => answer,
        Ok(None) => Err(anyhow!("the listener on loopback ended: run `bridge login --browser` again").into()),
        Err(_) => Err(anyhow!(
            "nobody came back from the browser in {} s: run `bridge login --browser` again, or `bridge login` \
             when the browser is on another machine",
            patience.as_secs()
        )
        .into()),
    }
}

async fn callback(State(waiting): State<Arc<Waiting>>, RawQuery(query): RawQuery) -> Response {
    match waiting.expected.read(query.as_deref().unwrap_or_default()) {
        // Any page can send a browser here. What does not know the state is not the gateway's answer.
        Callback::Foreign => {
            page(StatusCode::BAD_REQUEST, "This is not the answer that the bridge waits for.")
        }
        Callback::Code(code) => {
            // Only the first answer counts.
            let _ = waiting.answers.try_send(Ok(code));
            page(StatusCode::OK, "The bridge has the answer. You can close this window.")
        }
        Callback::Refused(problem) => {
            let _ = waiting.answers.try_send(Err(problem));
            page(StatusCode::OK, "This device was not signed in. You can close this window.")
        }
    }
}

/// A page with nothing in it but fixed text.
fn page(status: StatusCode, text: &'static str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"color-scheme\" \
         content=\"light dark\">\n<title>bridge</title>\n<p>{text}</p>\n</html>\n"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The address of this page holds the code.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONNECTION, "close"),
    ];
    (status, headers, html).into_response()
}
