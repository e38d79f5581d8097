//! The host's own login, which the library does not bring.
//!
//! The library needs one thing from a login: [`SignedIn`] in the extensions of the requests of a signed-in person.
//! [`tell_who_is_signed_in`] puts it there. How a person signs in is exchangeable ([`LoginMethod`]): `demo` asks for a
//! name and checks nothing. `examples/passkey` and `examples/oidc` are real ones.

mod cookies;
pub mod demo;
pub mod elsewhere;
pub mod logins;

use std::path::Path;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use axum::Router;
use axum::extract::{Form, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum_extra::extract::CookieJar;
use bridge_auth::{Scopes, SignedIn, UserId};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tower_http::csrf::CsrfLayer;
use url::Url;

pub use example_shared::return_to::ReturnTo;

pub use self::cookies::CookieKind;
pub use self::logins::Logins;
use super::app::AppState;
use super::html;
use super::options::Options;

/// What the bridges of people may do when their login does not say it.
pub const SCOPES: &str = "hook:govern hook:track";

/// The ways to sign in that this example knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LoginName {
    /// Asks for a name and checks nothing
    Demo,
    /// Passkeys (WebAuthn): the package example-passkey
    Passkey,
    /// A provider of OpenID Connect: the package example-oidc
    Oidc,
}

/// A person who signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub user_id: UserId,
    pub scopes: Scopes,
    /// The name that pages show.
    pub name: String,
    /// What operators find the person by, such as an e-mail address.
    pub label: Option<String>,
}

/// A way to sign in, as a program has it built in.
#[async_trait]
pub trait LoginMethod: Send + Sync {
    fn name(&self) -> LoginName;

    /// Checks the options of this way before anything is opened.
    fn check(&self, _issuer: &Url) -> Result<()> {
        Ok(())
    }

    /// Opens what the login keeps, and returns its routes. `GET /login` must be one of them.
    async fn open(&self, setup: Setup<'_>) -> Result<Login>;
}

/// What a login is opened with.
#[allow(dead_code, reason = "the logins that are packages of their own need all of it")]
pub struct Setup<'a> {
    pub options: &'a Options,
    /// The gateway's own URL.
    pub issuer: &'a Url,
    /// Where files go that the options give no path for.
    pub folder: &'a Path,
}

/// A login that was opened.
pub struct Login {
    pub logins: Logins,
    pub routes: Router<AppState>,
}

/// What the addresses of the login page carry.
#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    pub return_to: ReturnTo,
    /// The person wants to sign in as somebody else.
    switch: Option<String>,
}

impl Asked {
    #[allow(dead_code, reason = "the login with OpenID Connect tells its provider")]
    pub fn wants_to_switch(&self) -> bool {
        self.switch.is_some()
    }

    /// Where to go at once: the person is signed in, and does not want to be somebody else.
    pub async fn no_need(&self, logins: &Logins, cookies: &CookieJar) -> Result<Option<Redirect>> {
        let stays = self.switch.is_none() && logins.who(cookies).await?.is_some();
        Ok(stays.then(|| self.return_to.redirect()))
    }
}

impl Person {
    fn signed_in(&self) -> SignedIn {
        let person = SignedIn::new(self.user_id.clone(), self.scopes.clone()).name(&self.name);
        match &self.label {
            Some(label) => person.label(label),
            None => person,
        }
    }
}

/// All routes of a login: its own ones, and those that every login has. No page of another site may post to them: it
/// could sign a person in as somebody else, who would then see what the person does here (login CSRF).
pub fn routes(login: Router<AppState>, issuer: &Url) -> Result<Router<AppState>> {
    let own = issuer.origin().ascii_serialization();
    // A proxy may change `Host`, so the gateway's own origin is named.
    let csrf = CsrfLayer::new().add_trusted_origin(own).context("the issuer has no origin")?;
    Ok(login.route("/logout", post(log_out)).route("/login/style.css", get(html::style)).route_layer(csrf))
}

/// `POST /logout`.
async fn log_out(
    State(state): State<AppState>,
    cookies: CookieJar,
    Form(asked): Form<Asked>,
) -> Result<(CookieJar, Redirect), Failed> {
    let cookies = state.logins.sign_out(cookies).await?;
    Ok((cookies, asked.return_to.redirect()))
}

/// Tells the endpoints behind this middleware who is signed in.
pub async fn tell_who_is_signed_in(
    State(state): State<AppState>,
    cookies: CookieJar,
    mut request: Request,
    next: Next,
) -> Result<Response, Failed> {
    if let Some(person) = state.logins.who(&cookies).await? {
        request.extensions_mut().insert(person.signed_in());
    }
    Ok(next.run(request).await)
}

/// The login cannot work now. The log has the cause.
pub struct Failed(anyhow::Error);

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        tracing::error!(error = format!("{:#}", self.0), "the login failed, so the answer is 503");
        html::sorry()
    }
}
