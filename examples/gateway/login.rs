//! A stand-in for the host's own login. It signs everyone in under the name that they send.
//!
//! A real gateway has a login already. The library needs only one thing from it: [`SignedIn`] in the extensions of the
//! requests of a signed-in person. [`sign_in`] puts it there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use bridge_auth::id::ClientSecret;
use bridge_auth::{Scopes, SignedIn, UserId};
use serde::Deserialize;

use crate::app::AppState;

const COOKIE: &str = "demo_login";
/// More logins than any demo needs. Beyond this number everyone is signed out, so that memory is bounded.
const MAX_LOGINS: usize = 10_000;

/// Who is signed in, by cookie. It is kept in memory, until the process ends.
#[derive(Clone, Default)]
pub struct Logins(Arc<Mutex<HashMap<String, SignedIn>>>);

/// The person to sign in, and what the person's bridges may do.
#[derive(Deserialize)]
pub struct Login {
    user_id: UserId,
    #[serde(default)]
    scopes: Asked,
}

/// Scopes as one text (RFC 6749 §3.3) or as a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Asked {
    Text(Scopes),
    List(Vec<String>),
}

impl Default for Asked {
    fn default() -> Self {
        Self::Text(Scopes::default())
    }
}

/// `POST /demo/login`: signs in and answers with a cookie.
pub async fn log_in(
    State(state): State<AppState>,
    cookies: CookieJar,
    Json(login): Json<Login>,
) -> Result<(StatusCode, CookieJar), (StatusCode, String)> {
    let scopes = match login.scopes {
        Asked::Text(scopes) => scopes,
        Asked::List(list) => {
            Scopes::collect(list).map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?
        }
    };
    let signed_in = SignedIn::new(login.user_id, scopes);
    // Not `Secure`, because the example is served over plain http on loopback.
    let cookie = Cookie::build((COOKIE, state.logins.add(signed_in)))
        .http_only(true)
        .same_site(SameSite::Strict)
        .path("/");
    Ok((StatusCode::NO_CONTENT, cookies.add(cookie)))
}

/// Tells the endpoints behind this middleware who is signed in.
pub async fn sign_in(
    State(state): State<AppState>,
    cookies: CookieJar,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(signed_in) = cookies.get(COOKIE).and_then(|cookie| state.logins.find(cookie.value())) {
        request.extensions_mut().insert(signed_in);
    }
    next.run(request).await
}

impl Logins {
    fn add(&self, signed_in: SignedIn) -> String {
        let cookie = ClientSecret::random().expose().to_owned();
        let mut logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logins.len() >= MAX_LOGINS {
            logins.clear();
        }
        logins.insert(cookie.clone(), signed_in);
        cookie
    }

    fn find(&self, cookie: &str) -> Option<SignedIn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(cookie).cloned()
    }
}
