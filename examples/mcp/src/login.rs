//! A stand-in for the host's own login. It asks for a name and checks nothing.
//!
//! The library needs one thing from a login: [`SignedIn`] in the extensions of the requests of a signed-in person.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use askama::Template;
use axum::extract::{Form, Query, Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_FRAME_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use bridge_auth::id::ClientSecret;
use bridge_auth::{Scopes, SignedIn, UserId};
use example_shared::return_to::ReturnTo;
use serde::Deserialize;
use tower_http::csrf::CsrfLayer;
use url::Url;

const COOKIE: &str = "mcp_example_login";
/// More logins than any demo needs. Beyond this number everyone is signed out, so that memory is bounded.
const MAX_LOGINS: usize = 10_000;

/// Who is signed in, by cookie.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logins(Arc<Mutex<HashMap<String, SignedIn>>>);

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sign in</title>
<main>
<h1>Sign in</h1>
<form method="post">
<input type="hidden" name="return_to" value="{{ return_to }}">
<p><label for="name">Name</label> <input id="name" name="name" autocomplete="username" required autofocus></p>
<button>Sign in</button>
</form>
</main>
</html>
"#
)]
struct Page<'a> {
    return_to: &'a str,
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    return_to: ReturnTo,
}

#[derive(Deserialize)]
struct Filled {
    #[serde(default)]
    return_to: ReturnTo,
    name: UserId,
}

/// The page at `path`. No page of another site may post to it: it could sign a person in as somebody else.
pub(crate) fn routes(path: &str, issuer: &Url, logins: &Logins) -> Result<Router> {
    let own = issuer.origin().ascii_serialization();
    let csrf = CsrfLayer::new().add_trusted_origin(own).context("the issuer has no origin")?;
    Ok(Router::new().route(path, get(page).post(sign_in)).route_layer(csrf).with_state(logins.clone()))
}

/// Tells the routes of `router` who is signed in.
pub(crate) fn tell_who_is_signed_in(router: Router, logins: &Logins) -> Router {
    router.layer(middleware::from_fn_with_state(logins.clone(), tell))
}

async fn page(Query(asked): Query<Asked>) -> Response {
    let headers = [
        (CONTENT_SECURITY_POLICY, "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "same-origin"),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    match (Page { return_to: asked.return_to.as_str() }).render() {
        Ok(page) => (headers, Html(page)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn sign_in(State(logins): State<Logins>, cookies: CookieJar, Form(filled): Form<Filled>) -> Response {
    let scopes = ["hook:govern", "hook:track"].map(str::to_owned);
    let Ok(scopes) = Scopes::collect(scopes) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let cookie = logins.add(SignedIn::new(filled.name, scopes));
    // Not `Secure`, because the example is served over plain http on loopback. `Lax`, because a person comes here from the
    // pages of programs too.
    let cookie = Cookie::build((COOKIE, cookie)).http_only(true).same_site(SameSite::Lax).path("/");
    (cookies.add(cookie), filled.return_to.redirect()).into_response()
}

async fn tell(
    State(logins): State<Logins>,
    cookies: CookieJar,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(person) = cookies.get(COOKIE).and_then(|cookie| logins.find(cookie.value())) {
        request.extensions_mut().insert(person);
    }
    next.run(request).await
}

impl Logins {
    fn add(&self, person: SignedIn) -> String {
        let cookie = ClientSecret::random().expose().to_owned();
        let mut logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logins.len() >= MAX_LOGINS {
            logins.clear();
        }
        logins.insert(cookie.clone(), person);
        cookie
    }

    fn find(&self, cookie: &str) -> Option<SignedIn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(cookie).cloned()
    }
}
