//! A small identity provider of a company. It stands for Okta, Entra ID or Keycloak: the demo and the guide use it.
//!
//! It knows everybody by their name until they leave, and asks for no password. When a person leaves, it says so to the
//! gateway at once.

mod signer;

use std::collections::{BTreeSet, HashMap};
use std::future::IntoFuture as _;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use example_shared::stop::told_to_stop;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

use self::signer::{Signer, now};
use super::command::ProviderOptions;
use super::company::EVENTS;

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// RISC 1.0 §2.3.
const ACCOUNT_DISABLED: &str = "https://schemas.openid.net/secevent/risc/event-type/account-disabled";
/// How long a person stays signed in, and how long an assertion lives, in seconds.
const SIGNED_IN: u64 = 3600;
const ASSERTION: u64 = 300;

/// A provider that serves as long as the process runs.
#[derive(Clone)]
pub struct IdentityProvider(Arc<Inner>);

struct Inner {
    issuer: String,
    signer: Signer,
    left: Mutex<BTreeSet<String>>,
    /// The gateways that are told who has left.
    gateways: Mutex<Vec<Url>>,
    http: reqwest::Client,
}

/// Runs the provider until the process is told to stop.
pub async fn serve(options: &ProviderOptions) -> Result<()> {
    let listener = TcpListener::bind(&options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    ensure!(listener.local_addr()?.ip().is_loopback(), "it lets everybody in: listen on 127.0.0.1");
    let provider = IdentityProvider::at(&listener)?;
    provider.tells(options.gateway.clone());
    writeln!(io::stdout(), "listening on {}", provider.issuer())?;
    axum::serve(listener, provider.routes()).with_graceful_shutdown(told_to_stop()).await?;
    Ok(())
}

impl IdentityProvider {
    /// Starts one on a free loopback port. It ends with the process.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let provider = Self::at(&listener)?;
        tokio::spawn(axum::serve(listener, provider.routes()).into_future());
        Ok(provider)
    }

    fn at(listener: &TcpListener) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            issuer: format!("http://{}", listener.local_addr()?),
            signer: Signer::generate()?,
            left: Mutex::default(),
            gateways: Mutex::default(),
            http: reqwest::Client::builder().no_proxy().build()?,
        })))
    }

    /// Its URL, the `iss` of all that it signs.
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// From now on it tells the gateway at `url` who has left.
    pub fn tells(&self, url: Url) {
        self.0.gateways.lock().unwrap_or_else(PoisonError::into_inner).push(url);
    }

    fn routes(&self) -> Router {
        Router::new()
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks.json", get(keys))
            .route("/people/{person}/id-token", post(sign_in))
            .route("/token", post(exchange))
            .route("/people/{person}/leave", post(leave))
            .route("/people/{person}/return", post(come_back))
            .with_state(self.clone())
    }

    fn has_left(&self, person: &str) -> bool {
        self.0.left.lock().unwrap_or_else(PoisonError::into_inner).contains(person)
    }
}

async fn metadata(State(IdentityProvider(provider)): State<IdentityProvider>) -> Json<Value> {
    let issuer = &provider.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks.json"),
        "grant_types_supported": [TOKEN_EXCHANGE],
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
    }))
}

async fn keys(State(IdentityProvider(provider)): State<IdentityProvider>) -> Json<Value> {
    Json(json!({ "keys": [provider.signer.public()] }))
}

/// `POST /people/{person}/id-token`: stands for the person's sign-in. An ID token says who the person is.
async fn sign_in(State(provider): State<IdentityProvider>, Path(person): Path<String>) -> Response {
    if provider.has_left(&person) {
        return refused(StatusCode::FORBIDDEN, "access_denied", "this person has left");
    }
    let Inner { issuer, signer, .. } = &*provider.0;
    let claims =
        json!({ "iss": issuer, "aud": issuer, "sub": person, "iat": now(), "exp": now() + SIGNED_IN });
    answer(signer.sign(signer::ID_TOKEN, &claims).map(|token| json!({ "id_token": token })))
}

/// `POST /token`: a program exchanges the ID token of a person for an identity assertion for one gateway (RFC 8693,
/// draft-ietf-oauth-identity-assertion-authz-grant §4.3). The assertion lets that program sign the person in there.
async fn exchange(
    State(provider): State<IdentityProvider>,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let sent = |name: &str| form.get(name).map_or("", String::as_str);
    let asked = [sent("grant_type"), sent("requested_token_type"), sent("subject_token_type")];
    if asked != [TOKEN_EXCHANGE, ID_JAG, ID_TOKEN] {
        let what = "only an ID token can be exchanged, for an ID-JAG alone";
        return refused(StatusCode::BAD_REQUEST, "invalid_request", what);
    }
    let Inner { issuer, signer, .. } = &*provider.0;
    let person = match signer.subject_of(sent("subject_token"), issuer) {
        Ok(person) if !provider.has_left(&person) => person,
        Ok(_) => return refused(StatusCode::BAD_REQUEST, "invalid_grant", "this person has left"),
        Err(_) => return refused(StatusCode::BAD_REQUEST, "invalid_grant", "this ID token is not good"),
    };
    let mut claims = json!({
        "iss": issuer, "aud": sent("audience"), "sub": person, "client_id": sent("client_id"), "jti": signer::unique(),
        "iat": now(), "exp": now() + ASSERTION,
    });
    for optional in ["resource", "scope"] {
        if !sent(optional).is_empty() {
            claims[optional] = sent(optional).into();
        }
    }
    answer(signer.sign("oauth-id-jag+jwt", &claims).map(|assertion| {
        json!({
            "issued_token_type": ID_JAG, "access_token": assertion, "token_type": "N_A", "expires_in": ASSERTION,
        })
    }))
}

/// `POST /people/{person}/leave`: the company lets a person go. The answer comes when every gateway has ended what the
/// person had there: it is 204, or 502 when a gateway did not accept the event.
async fn leave(State(provider): State<IdentityProvider>, Path(person): Path<String>) -> Response {
    provider.0.left.lock().unwrap_or_else(PoisonError::into_inner).insert(person.clone());
    let gateways = provider.0.gateways.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for gateway in gateways {
        if let Err(error) = provider.push(&gateway, &person).await {
            return refused(StatusCode::BAD_GATEWAY, "server_error", &format!("{error:#}"));
        }
    }
    StatusCode::NO_CONTENT.into_response()
}

/// `POST /people/{person}/return`: the company takes a person back. An operator of the gateway does the same there.
async fn come_back(State(provider): State<IdentityProvider>, Path(person): Path<String>) -> StatusCode {
    provider.0.left.lock().unwrap_or_else(PoisonError::into_inner).remove(&person);
    StatusCode::NO_CONTENT
}

impl IdentityProvider {
    /// Tells a gateway that the account of a person is disabled: a security event token (RFC 8417), pushed (RFC 8935).
    async fn push(&self, gateway: &Url, person: &str) -> Result<()> {
        let Inner { issuer, signer, http, .. } = &*self.0;
        let audience = gateway.as_str().trim_end_matches('/');
        let token = signer.sign(
            "secevent+jwt",
            &json!({
                "iss": issuer, "aud": audience, "iat": now(), "jti": signer::unique(),
                "sub_id": { "format": "iss_sub", "iss": issuer, "sub": person },
                "events": { ACCOUNT_DISABLED: {} },
            }),
        )?;
        let request =
            http.post(format!("{audience}{EVENTS}")).header(CONTENT_TYPE, "application/secevent+jwt");
        let answer = request.body(token).send().await.context("the gateway did not answer")?;
        let status = answer.status();
        ensure!(status == 202, "the gateway answered {status}: {}", answer.text().await.unwrap_or_default());
        Ok(())
    }
}

fn answer(body: Result<Value>) -> Response {
    match body {
        Ok(body) => Json(body).into_response(),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &format!("{error:#}")),
    }
}

fn refused(status: StatusCode, error: &str, description: &str) -> Response {
    (status, Json(json!({ "error": error, "error_description": description }))).into_response()
}
