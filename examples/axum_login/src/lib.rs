//! `axum-login` signs people in on web pages, and `bridge-auth` lets their programs in.
//!
//! The one joint is `sign_in_layer`. The page `docs/guide/from-axum-login.md` explains each step.

mod users;

use anyhow::{Context as _, Result};
use axum::extract::Form;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser as _, login_required};
use bridge_auth::{Bridge, Caller, Scopes, SignInLayer, SignedIn, UserId};
use tower_http::csrf::CsrfLayer;
use tower_sessions::cookie::SameSite;
use tower_sessions::{MemoryStore, SessionManagerLayer};
use url::Url;

pub use users::{Credentials, User, Users};

/// The whole gateway, whose URL is `issuer`: pages for people, endpoints for bridges, and an API for programs.
///
/// # Errors
///
/// The bridge issues no tokens for the audience `bridge`, or `issuer` is no URL.
pub fn app(bridge: &Bridge, issuer: &str, users: Users) -> Result<Router> {
    // Not `Secure`, because the example is served over plain http on loopback. `Lax`, so that a person who follows a
    // link is signed in.
    let sessions =
        SessionManagerLayer::new(MemoryStore::default()).with_secure(false).with_same_site(SameSite::Lax);
    let auth_manager_layer = AuthManagerLayerBuilder::new(users, sessions).build();
    let api = Router::new().route("/v1/whoami", get(whoami));
    Ok(Router::new()
        .merge(endpoints(bridge)) // tells `bridge-auth` who is signed in
        .merge(pages(bridge, issuer)?)
        .layer(auth_manager_layer) // axum-login, for both
        .merge(api.route_layer(bridge.layer("bridge")?))) // programs: no cookie, no axum-login
}

fn endpoints(bridge: &Bridge) -> Router {
    Router::new().nest_service("/v1/auth/bridge", bridge.service()).route_layer(sign_in_layer())
}

fn sign_in_layer() -> SignInLayer {
    SignInLayer::new(|parts| signed_in(parts.extensions.get::<AuthSession<Users>>()?.user.as_ref()?))
}

fn signed_in(user: &User) -> Option<SignedIn> {
    let scopes = if user.may_administrate { "models:call models:admin" } else { "models:call" };
    Some(SignedIn::new(UserId::parse(user.id().to_string()).ok()?, Scopes::parse(scopes).ok()?))
}

/// The pages of the website. No page of another site may post to them.
fn pages(bridge: &Bridge, issuer: &str) -> Result<Router> {
    let own = issuer.parse::<Url>()?.origin().ascii_serialization();
    let csrf = CsrfLayer::new().add_trusted_origin(own).context("the issuer has no origin")?;
    Ok(Router::new()
        .route("/", get(Html(CONNECT)))
        .route_layer(login_required!(Users, login_url = "/login"))
        .route("/login", get(Html(SIGN_IN)).post(sign_in))
        .route("/logout", post(sign_out))
        .route("/logout/everywhere", post(sign_out_everywhere))
        .route_layer(csrf)
        .layer(Extension(bridge.clone())))
}

async fn sign_in(mut login: AuthSession<Users>, Form(typed): Form<Credentials>) -> Response {
    match login.authenticate(typed).await {
        Ok(Some(user)) if login.login(&user).await.is_ok() => Redirect::to("/").into_response(),
        Ok(None) => (StatusCode::UNAUTHORIZED, Html(SIGN_IN)).into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Bridges go on, which is their purpose.
async fn sign_out(mut login: AuthSession<Users>) -> Response {
    match login.logout().await {
        Ok(_) => Redirect::to("/login").into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Ends the browser's session and all bridges of the person. The bridges first: if that fails, the person can try again.
async fn sign_out_everywhere(Extension(bridge): Extension<Bridge>, login: AuthSession<Users>) -> Response {
    if let Some(user) = &login.user {
        let Ok(id) = UserId::parse(user.id().to_string()) else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        if bridge.admin().revoke_user(&id).await.is_err() {
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")]).into_response();
        }
    }
    sign_out(login).await
}

/// For programs. A cookie opens nothing here.
async fn whoami(caller: Caller) -> String {
    format!("user {} with the scopes {}\n", caller.user_id(), caller.scopes())
}

const SIGN_IN: &str = r#"<!doctype html><title>Sign in</title>
<form method="post">
<p><label>Name <input name="name" autocomplete="username" required autofocus></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required></label></p>
<button>Sign in</button>
</form>"#;

const CONNECT: &str = r#"<!doctype html><title>Connect a program</title>
<button id="connect">Connect a program</button> <output id="code"></output>
<form method="post" action="/logout"><button>Sign out</button></form>
<form method="post" action="/logout/everywhere"><button>Sign out everywhere</button></form>
<script>
connect.onclick = async () => {
  const answer = await (await fetch("/v1/auth/bridge/code", { method: "POST" })).json();
  code.value = answer.code ?? answer.detail;
};
</script>"#;
