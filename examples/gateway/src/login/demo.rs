//! A stand-in for a login. It signs everyone in under the name that they give.

use anyhow::Result;
use askama::Template;
use async_trait::async_trait;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_extra::extract::CookieJar;
use bridge_auth::{Scopes, UserId};
use serde::Deserialize;

use super::{Asked, Failed, Login, LoginMethod, LoginName, Logins, Person, ReturnTo, SCOPES, Setup};
use crate::app::AppState;
use crate::html;

/// The way `demo`.
pub struct Demo;

#[async_trait]
impl LoginMethod for Demo {
    fn name(&self) -> LoginName {
        LoginName::Demo
    }

    async fn open(&self, setup: Setup<'_>) -> Result<Login> {
        let routes = Router::new()
            .route("/login", get(page).post(log_in))
            // For programs: the examples of the README, and tests.
            .route("/demo/login", post(log_in_as_json));
        Ok(Login { logins: Logins::in_memory(setup.issuer), routes })
    }
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<p>This gateway is a demo: it asks for a name and checks nothing.</p>
{% if let Some(problem) = problem %}<p role="alert" class="problem">{{ problem }}</p>{% endif %}
<form method="post" action="/login">
<input type="hidden" name="return_to" value="{{ return_to }}">
<label for="user_id">Name</label>
<input id="user_id" name="user_id" value="{{ user_id }}" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus>
<label for="label">E-mail <span class="faint">(optional; operators find you by it)</span></label>
<input id="label" name="label" type="email" value="{{ label }}" autocomplete="email">
<label for="scopes">What your programs may do</label>
<input id="scopes" name="scopes" value="{{ scopes }}" autocapitalize="none" spellcheck="false">
<button class="primary">Sign in</button>
</form>"#
)]
struct Page<'a> {
    return_to: &'a str,
    user_id: &'a str,
    label: &'a str,
    scopes: &'a str,
    problem: Option<String>,
}

impl Page<'_> {
    fn answer(&self) -> Result<Response, Failed> {
        let status = if self.problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        Ok((status, html::page("Sign in", self)?).into_response())
    }
}

/// `GET /login`.
async fn page(
    State(state): State<AppState>,
    cookies: CookieJar,
    Query(asked): Query<Asked>,
) -> Result<Response, Failed> {
    if let Some(elsewhere) = asked.no_need(&state.logins, &cookies).await? {
        return Ok(elsewhere.into_response());
    }
    let return_to = asked.return_to.as_str();
    Page { return_to, user_id: "", label: "", scopes: SCOPES, problem: None }.answer()
}

#[derive(Deserialize)]
struct Filled {
    #[serde(default)]
    return_to: ReturnTo,
    user_id: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    scopes: String,
}

impl Filled {
    fn person(&self) -> Result<Person, String> {
        let user_id = UserId::parse(self.user_id.trim()).map_err(|error| format!("Name: {error}"))?;
        let scopes = Scopes::parse(self.scopes.trim())
            .map_err(|error| format!("What your programs may do: {error}"))?;
        let label = Some(self.label.trim().to_owned()).filter(|label| !label.is_empty());
        Ok(Person { name: user_id.as_str().to_owned(), user_id, scopes, label })
    }
}

/// `POST /login`.
async fn log_in(
    State(state): State<AppState>,
    cookies: CookieJar,
    Form(filled): Form<Filled>,
) -> Result<Response, Failed> {
    match filled.person() {
        Ok(person) => {
            let cookies = state.logins.sign_in(cookies, &person).await?;
            Ok((cookies, filled.return_to.redirect()).into_response())
        }
        Err(problem) => {
            let Filled { return_to, user_id, label, scopes } = &filled;
            Page { return_to: return_to.as_str(), user_id, label, scopes, problem: Some(problem) }.answer()
        }
    }
}

/// The person to sign in, and what the person's bridges may do.
#[derive(Deserialize)]
struct Named {
    user_id: UserId,
    #[serde(default)]
    scopes: AskedScopes,
    label: Option<String>,
}

/// Scopes as one text (RFC 6749 §3.3) or as a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum AskedScopes {
    Text(Scopes),
    List(Vec<String>),
}

impl Default for AskedScopes {
    fn default() -> Self {
        Self::Text(Scopes::default())
    }
}

/// `POST /demo/login`: signs in and answers with a cookie.
async fn log_in_as_json(
    State(state): State<AppState>,
    cookies: CookieJar,
    Json(named): Json<Named>,
) -> Result<Response, Failed> {
    let scopes = match named.scopes {
        AskedScopes::Text(scopes) => scopes,
        AskedScopes::List(list) => match Scopes::collect(list) {
            Ok(scopes) => scopes,
            Err(error) => return Ok((StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).into_response()),
        },
    };
    let name = named.user_id.as_str().to_owned();
    let person = Person { user_id: named.user_id, scopes, name, label: named.label };
    let cookies = state.logins.sign_in(cookies, &person).await?;
    Ok((StatusCode::NO_CONTENT, cookies).into_response())
}
