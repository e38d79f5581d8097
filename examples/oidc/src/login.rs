//! The login: people go to the provider, and come back with a code.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use askama::Template;
use async_trait::async_trait;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum_extra::extract::CookieJar;
use bridge_auth::id::ClientSecret;
use bridge_auth::{Scopes, UserId};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::pending::{Begun, Pending};
use crate::provider::{Departure, Identity, Provider};
use gateway::html;
use gateway::login::logins::Logins;
use gateway::login::{
    Asked, CookieKind, Failed, Login, LoginMethod, LoginName, Person, ReturnTo, SCOPES, Setup,
};

/// The cookie that binds a sign-in to the browser that began it. A browser has one for all its tabs.
const BROWSER: &str = "gateway_browser";
const CALLBACK: &str = "/login/callback";

/// The way `oidc`.
pub struct Oidc;

#[derive(Clone)]
struct Shared {
    provider: Arc<Provider>,
    pending: Arc<Pending>,
    logins: Logins,
    cookie: CookieKind,
}

#[async_trait]
impl LoginMethod for Oidc {
    fn name(&self) -> LoginName {
        LoginName::Oidc
    }

    async fn open(&self, setup: Setup<'_>) -> Result<Login> {
        let redirect: Url = format!("{}{CALLBACK}", setup.issuer.as_str().trim_end_matches('/')).parse()?;
        let provider = Provider::new(&setup.options.oidc, &redirect)?;
        // A wrong URL is told now, and not to the first person.
        provider.metadata().await?;
        tracing::info!("people sign in at the provider, which must know the redirect URI {redirect}");
        let logins = Logins::in_memory(setup.issuer);
        let shared = Shared {
            provider: Arc::new(provider),
            pending: Arc::default(),
            logins: logins.clone(),
            cookie: CookieKind::of(setup.issuer),
        };
        let routes = Router::new().route("/login", get(begin)).route(CALLBACK, get(end)).with_state(shared);
        Ok(Login { logins, routes })
    }
}

/// `GET /login`: to the provider. No page of ours is in between; the provider's own page asks the person.
async fn begin(
    State(shared): State<Shared>,
    cookies: CookieJar,
    Query(asked): Query<Asked>,
) -> Result<Response, Failed> {
    if let Some(elsewhere) = asked.no_need(&shared.logins, &cookies).await? {
        return Ok(elsewhere.into_response());
    }
    let Departure { url, state, nonce, verifier } = shared.provider.depart(asked.wants_to_switch()).await?;
    let known = cookies.get(&shared.cookie.name(BROWSER)).map(|cookie| cookie.value().to_owned());
    let browser = known.unwrap_or_else(|| ClientSecret::random().expose().to_owned());
    let begun = Begun { browser: digest(&browser), nonce, verifier, return_to: asked.return_to };
    if !shared.pending.keep(state.into_secret(), begun) {
        return Err(anyhow!("too many sign-ins have begun").into());
    }
    Ok((cookies.add(shared.cookie.cookie(BROWSER, browser)), Redirect::to(url.as_str())).into_response())
}

/// What the provider sends a person back with.
#[derive(Deserialize)]
struct Answer {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

/// `GET /login/callback`.
async fn end(
    State(shared): State<Shared>,
    cookies: CookieJar,
    Query(answer): Query<Answer>,
) -> Result<Response, Failed> {
    let begun = shared.begun(&cookies, &answer);
    let Some(begun) = begun else {
        // Somebody may have sent the person here with an answer of their own, to sign the person in as them.
        return refuse("this browser has not begun this sign-in, or has ended it", &ReturnTo::default());
    };
    let return_to = begun.return_to.clone();
    match shared.judge(answer, begun).await {
        Ok(person) => {
            let cookies = shared.logins.sign_in(cookies, &person).await?;
            Ok((cookies, return_to.redirect()).into_response())
        }
        Err(error) => refuse(&format!("{error:#}"), &return_to),
    }
}

impl Shared {
    fn begun(&self, cookies: &CookieJar, answer: &Answer) -> Option<Begun> {
        let browser = cookies.get(&self.cookie.name(BROWSER))?;
        self.pending.take(answer.state.as_deref()?, digest(browser.value()))
    }

    async fn judge(&self, answer: Answer, begun: Begun) -> Result<Person> {
        if let Some(issuer) = answer.iss
            && !self.provider.is(&issuer).await?
        {
            return Err(anyhow!("the answer is of another issuer, {issuer:?}"));
        }
        if let Some(error) = answer.error {
            return Err(anyhow!("the provider says {error:?}"));
        }
        let code = answer.code.ok_or_else(|| anyhow!("the answer has no code"))?;
        person(self.provider.arrive(code, &begun.nonce, begun.verifier).await?)
    }
}

/// The person's id is made of the provider *and* its name for the person. `sub` alone is unique within one issuer: with
/// another `--oidc-issuer`, somebody else could have it. An e-mail address is no id either: it can pass to another
/// person. A hash, because the two together can be longer than an id, and have no mark between them that neither holds.
fn person(identity: Identity) -> Result<Person> {
    let Identity { issuer, subject, name, email } = identity;
    let both = Sha256::new().chain_update(issuer).chain_update([0]).chain_update(&subject).finalize();
    let id: String = both.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Person {
        user_id: UserId::parse(format!("oidc-{id}"))?,
        scopes: Scopes::parse(SCOPES)?,
        name: name.unwrap_or(subject),
        label: email,
    })
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<p>You are not signed in. What the provider sent was not accepted.</p>
<p><a href="/login?return_to={{ return_to|urlencode_strict }}">Try again</a></p>"#
)]
struct NotSignedIn<'a> {
    return_to: &'a str,
}

/// The reason is for the log. It may hold what an attacker sent.
fn refuse(reason: &str, return_to: &ReturnTo) -> Result<Response, Failed> {
    tracing::warn!("a sign-in by OpenID Connect was refused: {reason}");
    let page = html::page("This did not work", &NotSignedIn { return_to: return_to.as_str() })?;
    Ok((StatusCode::BAD_REQUEST, page).into_response())
}

fn digest(cookie: &str) -> [u8; 32] {
    Sha256::digest(cookie).into()
}
