//! The bridge's HTTP client for one gateway, and what can go wrong with a request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::OnceCell;
use url::{Host, Url};

use crate::credential::{Credential, Life};
use crate::discovery::Metadata;

/// How long an answer may take. Requests of the proxy's clients have no such limit.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway, without a credential.
#[derive(Clone)]
pub struct Gateway {
    http: reqwest::Client,
    url: Url,
    insecure_http: bool,
    /// The gateway's metadata, once it was fetched.
    pub metadata: Arc<OnceCell<Metadata>>,
}

/// Why a request failed, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("this device was signed out; sign in again: bridge login {0}")]
    SignedOut(Url),
    #[error("there is no credential: run `bridge login`, or `bridge link` with a code from your gateway")]
    NotLinked,
    /// The gateway does not have what the command needs.
    #[error("{0}")]
    NotOffered(String),
    #[error(
        "the gateway cannot answer now ({}): the credential may still be good, try again in {} s",
        .status.as_u16(),
        .after.map_or("a few".to_owned(), |after| after.as_secs().max(1).to_string())
    )]
    TryAgain { status: StatusCode, after: Option<Duration> },
    #[error("cannot reach {gateway}")]
    Unreachable { gateway: Url, source: reqwest::Error },
    #[error("the gateway refused ({status}): {reason}")]
    Refused { status: StatusCode, reason: String },
    /// An error of the token endpoint (RFC 6749 §5.2), except those that the bridge can handle.
    #[error("the gateway gave no token: {0}")]
    NoToken(String),
    #[error("this device was refused in the browser")]
    Denied,
    #[error("interrupted: this device was not signed in")]
    Interrupted,
    #[error("the gateway refused the code or the refresh token: sign in again")]
    InvalidGrant,
    #[error(
        "the gateway does not accept this OAuth client: it is unknown there, or its secret is good no more"
    )]
    InvalidClient,
    #[error(transparent)]
    Local(#[from] anyhow::Error),
}

/// What the gateway gives for a code.
#[derive(Deserialize)]
struct Access {
    token: String,
    refresh_token: Option<String>,
    ttl: u64,
    headers: BTreeMap<String, String>,
}

impl Gateway {
    /// A client for the gateway at `url`. It refuses plain http to another machine, unless `insecure_http` is set.
    pub fn new(url: &Url, insecure_http: bool) -> Result<Self> {
        let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        ensure!(is_plain, "write the gateway's URL without a query, a fragment and a user name");
        // A redirect could send the token to another server. A request to this machine needs no proxy.
        let mut http = reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .user_agent(concat!("bridge-example/", env!("CARGO_PKG_VERSION")));
        if is_loopback(url) {
            http = http.no_proxy();
        }
        let gateway = Self { http: http.build()?, url: url.clone(), insecure_http, metadata: Arc::default() };
        gateway.check_is_private(url)?;
        Ok(gateway)
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The URL without a slash at its end. The gateway's metadata calls it the issuer (RFC 8414 §2), and paths are
    /// appended to it.
    pub fn base(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// Refuses a URL that would send a secret over the network in plain text.
    pub fn check_is_private(&self, url: &Url) -> Result<()> {
        match url.scheme() {
            "https" => Ok(()),
            "http" if is_loopback(url) || self.insecure_http => Ok(()),
            "http" => bail!("plain http would show the token to the network: use https (or --insecure-http)"),
            scheme => bail!("{scheme} is no scheme of a gateway: write an https URL"),
        }
    }

    /// Exchanges a code for a credential.
    pub async fn exchange(&self, exchange: &Value, session_id: Option<String>) -> Result<Credential> {
        let life = Life::begins();
        let mut request = self.request(Method::POST, "/v1/auth/bridge/session")?.json(exchange);
        if let Some(id) = session_id {
            request = request.header("x-session-id", id);
        }
        let answer = succeeded(self.send(request.timeout(PATIENCE)).await?).await?;
        let access: Access =
            answer.json().await.context("the answer is not that of a bridge's gateway: check --gateway")?;
        Ok(Credential {
            gateway: self.url.clone(),
            client_id: None,
            resource: None,
            token: access.token,
            refresh_token: access.refresh_token,
            life: life.of(access.ttl),
            headers: access.headers,
        })
    }

    /// Calls `path` with `credential`.
    pub async fn call(
        &self,
        credential: &Credential,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<Response, Problem> {
        let mut request = self.request(method, path)?.headers(credential_headers(credential)?);
        if let Some(body) = body {
            request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body.to_owned());
        }
        self.send(request.timeout(PATIENCE)).await
    }

    pub fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        ensure!(path.starts_with('/'), "a path begins with '/', such as /v1/whoami");
        Ok(self.http.request(method, format!("{}{path}", self.base())))
    }

    /// A request to a URL that the gateway named.
    pub fn request_to(&self, method: Method, url: &Url) -> RequestBuilder {
        self.http.request(method, url.clone()).timeout(PATIENCE)
    }

    /// A request that another library has made.
    pub fn request_of(&self, request: reqwest::Request) -> RequestBuilder {
        RequestBuilder::from_parts(self.http.clone(), request)
    }

    /// Sends the request and returns the answer, whatever its status is.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Problem> {
        let answer = request.send().await.map_err(reqwest::Error::without_url);
        answer.map_err(|source| Problem::Unreachable { gateway: self.url.clone(), source })
    }
}

/// The token and the identity headers.
pub fn credential_headers(credential: &Credential) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", credential.token))?;
    bearer.set_sensitive(true);
    headers.insert(AUTHORIZATION, bearer);
    for (name, value) in &credential.headers {
        // As bytes, because a user id may be any visible text.
        headers.insert(HeaderName::try_from(name)?, HeaderValue::from_bytes(value.as_bytes())?);
    }
    Ok(headers)
}

/// Returns the answer if its status is a success.
pub async fn succeeded(answer: Response) -> Result<Response, Problem> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    if let Some(problem) = not_now(status, answer.headers()) {
        return Err(problem);
    }
    let body = answer.bytes().await.unwrap_or_default();
    Err(Problem::Refused { status, reason: reason(&body) })
}

/// Whether the gateway says that it cannot answer now. That says nothing about the credential.
pub fn not_now(status: StatusCode, headers: &HeaderMap) -> Option<Problem> {
    if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let after = headers.get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.trim().parse().ok());
    Some(Problem::TryAgain { status, after: after.map(Duration::from_secs) })
}

/// Whether the guard refused the token itself (RFC 6750 §3.1), and not the request.
pub fn is_invalid_token(status: StatusCode, headers: &HeaderMap) -> bool {
    let says_so = |challenge: &HeaderValue| {
        challenge.as_bytes().to_ascii_lowercase().starts_with(b"bearer ")
            && challenge.to_str().is_ok_and(|challenge| challenge.contains("error=\"invalid_token\""))
    };
    status == StatusCode::UNAUTHORIZED && headers.get_all(WWW_AUTHENTICATE).iter().any(says_so)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The reason in words: from a problem document (RFC 9457), an OAuth error (RFC 6749), or plain text.
fn reason(body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let told = ["detail", "error_description", "error"].iter().find_map(|member| problem[member].as_str());
    told.map_or_else(|| String::from_utf8_lossy(body).trim().to_owned(), ToOwned::to_owned)
}
