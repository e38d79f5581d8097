//! The login: its page, its script, and the four calls of the script.
//!
//! Whoever reaches the page can create a passkey. Where only some people are meant, put an invitation in front of
//! `begin_creation`, and a rate limit.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use askama::Template;
use async_trait::async_trait;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_extra::extract::CookieJar;
use bridge_auth::id::ClientSecret;
use bridge_auth::{Scopes, UserId};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::ceremony::{Asserted, Begun, Created, Refused, RelyingParty};
use crate::store::{Challenge, Passkey as Stored, Store};
use gateway::html;
use gateway::login::logins::Logins;
use gateway::login::{Asked, CookieKind, Failed, Login, LoginMethod, LoginName, Person, SCOPES, Setup};

/// The cookie that binds a challenge to the browser that asked for it.
const BROWSER: &str = "gateway_browser";
/// Longer than any answer of a browser.
const MAX_BODY: usize = 32 * 1024;

/// The way `passkey`.
pub struct Passkey;

#[derive(Clone)]
struct Shared {
    party: Arc<RelyingParty>,
    store: Store,
    logins: Logins,
    cookie: CookieKind,
}

#[async_trait]
impl LoginMethod for Passkey {
    fn name(&self) -> LoginName {
        LoginName::Passkey
    }

    fn check(&self, issuer: &Url) -> Result<()> {
        RelyingParty::of(issuer).map(drop)
    }

    async fn open(&self, setup: Setup<'_>) -> Result<Login> {
        let store = Store::open(&setup.options.database(setup.folder)).await?;
        let logins = Logins::new(Arc::new(store.clone()), setup.issuer);
        let party = Arc::new(RelyingParty::of(setup.issuer)?);
        let shared = Shared { party, store, logins: logins.clone(), cookie: CookieKind::of(setup.issuer) };
        let routes = Router::new()
            .route("/login", get(page))
            .route("/login/passkey.js", get(script))
            .route("/login/passkey/begin-sign-in", post(begin_sign_in))
            .route("/login/passkey/sign-in", post(sign_in))
            .route("/login/passkey/begin-creation", post(begin_creation))
            .route("/login/passkey/create", post(create))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(shared);
        Ok(Login { logins, routes })
    }
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<div data-return-to="{{ return_to }}">
<noscript><p class="problem">Passkeys work with JavaScript alone. Turn it on for this page.</p></noscript>
<p id="problem" role="alert" class="problem" hidden></p>
<form id="sign-in"><button class="primary" autofocus>Sign in with a passkey</button></form>
<h2>New here?</h2>
<form id="create">
<label for="name">Name <span class="faint">(no spaces)</span></label>
<input id="name" name="name" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="64" required>
<button>Create a passkey</button>
</form>
</div>"#
)]
struct Page<'a> {
    return_to: &'a str,
}

/// `GET /login`.
async fn page(
    State(shared): State<Shared>,
    cookies: CookieJar,
    Query(asked): Query<Asked>,
) -> Result<Response, Failed> {
    if let Some(elsewhere) = asked.no_need(&shared.logins, &cookies).await? {
        return Ok(elsewhere.into_response());
    }
    Ok(html::page_with_script("Sign in", "/login/passkey.js", &Page { return_to: asked.return_to.as_str() })?)
}

async fn script() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, include_str!("passkey.js"))
}

async fn begin_sign_in(State(shared): State<Shared>, cookies: CookieJar) -> Result<Response, Failed> {
    let begun = shared.party.begin_sign_in()?;
    shared.send(begun, cookies, String::new()).await
}

/// Who wants a passkey.
#[derive(Deserialize)]
struct New {
    name: String,
}

async fn begin_creation(
    State(shared): State<Shared>,
    cookies: CookieJar,
    Json(New { name }): Json<New>,
) -> Result<Response, Failed> {
    let name = name.trim();
    let begun = if name.chars().count() <= 64 { shared.party.begin_creation(name)? } else { None };
    match begun {
        Some(begun) => shared.send(begun, cookies, name.to_owned()).await,
        None => Ok(problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "A name has 1 to 64 letters, digits and signs such as . _ - @, and no space.",
        )),
    }
}

async fn sign_in(
    State(shared): State<Shared>,
    cookies: CookieJar,
    Json(answer): Json<Value>,
) -> Result<Response, Failed> {
    // What is wrong with a passkey is for the log: whoever tries stolen parts of one learns nothing.
    let told = "This passkey is not known here, or could not be checked. Try again.";
    let judged = match Asserted::parse(&answer) {
        Ok(asserted) => shared.judge_sign_in(&cookies, &asserted).await?,
        Err(refused) => Err(refused),
    };
    match judged {
        Ok(person) => {
            Ok((shared.logins.sign_in(cookies, &person).await?, StatusCode::NO_CONTENT).into_response())
        }
        Err(Refused(reason)) => {
            tracing::info!("a sign-in with a passkey was refused: {reason}");
            Ok(problem(StatusCode::UNAUTHORIZED, told))
        }
    }
}

async fn create(
    State(shared): State<Shared>,
    cookies: CookieJar,
    Json(answer): Json<Value>,
) -> Result<Response, Failed> {
    let judged = match Created::parse(&answer) {
        Ok(created) => shared.judge_creation(&cookies, &created).await?,
        Err(refused) => Err(refused),
    };
    let passkey = match judged {
        Ok(passkey) => passkey,
        Err(Refused(reason)) => {
            tracing::info!("a new passkey was refused: {reason}");
            return Ok(problem(StatusCode::BAD_REQUEST, "The passkey could not be created. Try again."));
        }
    };
    let person = person(&passkey)?;
    if !shared.store.add_person(passkey).await? {
        return Ok(problem(StatusCode::CONFLICT, "This name is taken. Choose another one."));
    }
    Ok((shared.logins.sign_in(cookies, &person).await?, StatusCode::NO_CONTENT).into_response())
}

impl Shared {
    /// Keeps what was begun, and sends it to the browser. A browser has one cookie for all its tabs.
    async fn send(&self, begun: Begun, cookies: CookieJar, name: String) -> Result<Response, Failed> {
        let known = cookies.get(&self.cookie.name(BROWSER)).map(|cookie| cookie.value().to_owned());
        let browser = known.unwrap_or_else(|| ClientSecret::random().expose().to_owned());
        let Begun { challenge, state, options } = begun;
        let challenge = Challenge { challenge, browser: digest(&browser), name, state };
        if !self.store.open_challenge(challenge).await? {
            return Err(anyhow!("too many challenges are open").into());
        }
        let cookies = cookies.add(self.cookie.cookie(BROWSER, browser));
        Ok((cookies, no_store(), Json(json!({ "publicKey": options }))).into_response())
    }

    async fn judge_sign_in(
        &self,
        cookies: &CookieJar,
        asserted: &Asserted,
    ) -> Result<Result<Person, Refused>> {
        let Some((_, state)) = self.take(cookies, asserted.challenge, true).await? else {
            return Ok(Err(unknown()));
        };
        let Some(passkey) = self.store.passkey(asserted.passkey_id()).await? else {
            return Ok(Err(Refused("the passkey is unknown".to_owned())));
        };
        let advanced = match self.party.sign_in(&state, &passkey, asserted) {
            Ok(advanced) => advanced,
            Err(refused) => return Ok(Err(refused)),
        };
        if !self.store.advance(&passkey.id, passkey.version, &advanced).await? {
            return Ok(Err(Refused("another sign-in with the passkey was faster".to_owned())));
        }
        person(&passkey).map(Ok)
    }

    async fn judge_creation(
        &self,
        cookies: &CookieJar,
        created: &Created,
    ) -> Result<Result<Stored, Refused>> {
        Ok(match self.take(cookies, created.challenge, false).await? {
            Some((name, state)) => self.party.create(&state, name, created),
            None => Err(unknown()),
        })
    }

    /// Takes the challenge before anything is judged, so that an answer is judged once.
    async fn take(
        &self,
        cookies: &CookieJar,
        challenge: [u8; 16],
        signs_in: bool,
    ) -> Result<Option<(String, Vec<u8>)>> {
        match cookies.get(&self.cookie.name(BROWSER)) {
            Some(browser) => self.store.take_challenge(challenge, digest(browser.value()), signs_in).await,
            None => Ok(None),
        }
    }
}

/// The person's id is made of the random handle. A name can be chosen by anyone, and given up: no right hangs on it.
fn person(passkey: &Stored) -> Result<Person> {
    let handle: String = passkey.handle.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Person {
        user_id: UserId::parse(format!("passkey-{handle}"))?,
        scopes: Scopes::parse(SCOPES)?,
        name: passkey.name.clone(),
        label: Some(passkey.name.clone()),
    })
}

fn unknown() -> Refused {
    Refused("the challenge is unknown, used, expired, or another browser's".to_owned())
}

fn digest(cookie: &str) -> [u8; 32] {
    Sha256::digest(cookie).into()
}

/// What the script shows.
fn problem(status: StatusCode, told: &str) -> Response {
    let body: Value = json!({ "problem": told });
    (status, no_store(), Json(body)).into_response()
}

fn no_store() -> [(header::HeaderName, &'static str); 1] {
    [(header::CACHE_CONTROL, "no-store")]
}
