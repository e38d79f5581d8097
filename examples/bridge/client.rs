//! HTTP, from the bridge's side.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use url::{Host, Url};

use crate::credential::Credential;

/// A gateway, and once linked what lets the bridge in there.
pub struct Client {
    http: reqwest::Client,
    gateway: Url,
    credential: Option<Credential>,
}

/// Why the gateway did not do what it was asked, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("the session is over (401): get a new code and run `bridge link`")]
    LinkAgain,
    #[error(
        "the gateway cannot check the session right now (503): the credential may be good, try again in {0} s"
    )]
    TryAgain(String),
    #[error("the gateway refused ({status}): {reason}")]
    Refused { status: StatusCode, reason: String },
}

/// What a code is traded for.
#[derive(Deserialize)]
struct Access {
    token: String,
    ttl: u64,
    headers: BTreeMap<String, String>,
}

impl Client {
    /// Refuses a gateway that would be spoken to in the clear over a network.
    pub fn new(gateway: &Url, insecure_http: bool) -> Result<Self> {
        let is_loopback = match gateway.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        match gateway.scheme() {
            "https" => {}
            "http" if is_loopback || insecure_http => {}
            "http" => bail!("plain http would show the token to the network: use https (or --insecure-http)"),
            _ => bail!("a gateway is an https URL"),
        }
        // A redirect could lead the token elsewhere, and a proxy has no part in talking to this machine.
        let mut http = reqwest::Client::builder()
            .redirect(Policy::none())
            .timeout(Duration::from_secs(60))
            .user_agent(concat!("bridge-example/", env!("CARGO_PKG_VERSION")));
        if is_loopback {
            http = http.no_proxy();
        }
        Ok(Self { http: http.build()?, gateway: gateway.clone(), credential: None })
    }

    /// Shows `credential` with each call.
    pub fn with(self, credential: Credential) -> Self {
        Self { credential: Some(credential), ..self }
    }

    /// Trades a code for a credential.
    pub async fn exchange(&self, exchange: &Value, session_id: Option<String>) -> Result<Credential> {
        let mut request = self.request(Method::POST, "/v1/auth/bridge/session")?.json(exchange);
        if let Some(id) = session_id {
            request = request.header("x-session-id", id);
        }
        let answer = self.send(request).await?;
        let Access { token, ttl, headers } = answer.json().await.context("this is not a bridge's gateway")?;
        Ok(Credential { gateway: self.gateway.clone(), token, ttl, headers })
    }

    /// Calls `path` and returns the body.
    pub async fn call(&self, method: Method, path: &str, body: Option<String>) -> Result<Vec<u8>> {
        let mut request = self.request(method, path)?;
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        Ok(self.send(request).await?.bytes().await?.into())
    }

    /// Calls `path` and returns the body as JSON.
    pub async fn call_json(&self, method: Method, path: &str) -> Result<Value> {
        let body = self.call(method, path, None).await?;
        serde_json::from_slice(&body).context("the gateway did not answer in JSON")
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        ensure!(path.starts_with('/'), "a path begins with '/'");
        let url = format!("{}{path}", self.gateway.as_str().trim_end_matches('/'));
        let mut request = self.http.request(method, url);
        if let Some(credential) = &self.credential {
            let mut bearer = HeaderValue::try_from(format!("Bearer {}", credential.token))?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
            for (name, value) in &credential.headers {
                // As bytes: a user id may be any visible text.
                request =
                    request.header(HeaderName::try_from(name)?, HeaderValue::from_bytes(value.as_bytes())?);
            }
        }
        Ok(request)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let answer = request.send().await.map_err(reqwest::Error::without_url);
        let answer = answer.with_context(|| format!("cannot reach {}", self.gateway))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok());
        let problem = match status {
            StatusCode::UNAUTHORIZED if self.credential.is_some() => Problem::LinkAgain,
            StatusCode::SERVICE_UNAVAILABLE => Problem::TryAgain(retry_after.unwrap_or("a few").to_owned()),
            _ => Problem::Refused { status, reason: reason(&answer.bytes().await?) },
        };
        Err(problem.into())
    }
}

/// What the gateway says for people: a problem document (RFC 9457), an OAuth error (RFC 6749), or plain text.
fn reason(body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let told = ["detail", "error_description", "error"].iter().find_map(|member| problem[member].as_str());
    told.map_or_else(|| String::from_utf8_lossy(body).trim().to_owned(), ToOwned::to_owned)
}
