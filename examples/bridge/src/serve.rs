//! The bridge as a local proxy. Programs on this machine call the proxy instead of the gateway, and the proxy adds the
//! credential.
//!
//! Anyone who reaches such a proxy can use the credential. So the proxy listens only on loopback. It asks for a key
//! that other users of the machine do not have. It refuses web pages: those of another site, and those whose name leads
//! to this machine by a trick (DNS rebinding).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use bridge_auth::header::{prepare_for_upstream, remove_hop_by_hop};
use bridge_auth::id::ClientSecret;
use example_shared::stop::told_to_stop;
use serde_json::json;
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::credential::Credential;
use crate::gateway::{Problem, credential_headers, is_invalid_token};
use crate::keeper::Keeper;
use crate::{note, say};

/// Bodies up to this size are held in memory, so that a request can be sent again when its token is refused.
const HELD_BODY: u64 = 1 << 20;
/// How long requests in progress may take after the proxy is told to stop.
const GRACE: Duration = Duration::from_secs(10);
/// The longest sleep. A machine that was suspended does not count that time, so a long sleep could end too late.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// Where programs send a key that is no bearer token: those of Anthropic's API, and those of Google's.
const API_KEYS: [HeaderName; 2] =
    [HeaderName::from_static("x-api-key"), HeaderName::from_static("x-goog-api-key")];
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

struct Proxy {
    keeper: Arc<Keeper>,
    key: String,
    address: SocketAddr,
    /// Whether the proxy has said that this device was signed out. It says so once.
    is_told: AtomicBool,
}

/// The body to send: held in memory, so that it can be sent again, or streamed.
enum Sent {
    Held(Bytes),
    Streamed(Body),
}

/// Serves until the process is told to stop, and renews the credential before it expires.
pub async fn serve(keeper: Arc<Keeper>, listen: SocketAddr, key: Option<String>) -> Result<()> {
    ensure!(listen.ip().is_loopback(), "other machines can reach {listen}: listen on 127.0.0.1 or [::1]");
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    let key = match key {
        Some(key) => key,
        None => {
            let key = ClientSecret::random().expose().to_owned();
            say(&format!("local key: {key}"))?;
            key
        }
    };
    say(&format!("listening on http://{address}"))?;
    let renewals = tokio::spawn(keep_renewing(Arc::clone(&keeper)));
    let proxy =
        Arc::new(Proxy { keeper: Arc::clone(&keeper), key, address, is_told: AtomicBool::new(false) });
    let serving = axum::serve(listener, Router::new().fallback(answer).with_state(proxy));
    let served = tokio::select! {
        served = serving.with_graceful_shutdown(told_to_stop()).into_future() => served.map_err(Into::into),
        () = async { told_to_stop().await; sleep(GRACE).await } => {
            bail!("requests still ran {} s after the stop, and were cut off", GRACE.as_secs())
        },
    };
    renewals.abort();
    keeper.settle().await;
    served
}

/// Renews the credential in good time, and says each problem once.
async fn keep_renewing(keeper: Arc<Keeper>) {
    let mut told = String::new();
    loop {
        let held = keeper.held();
        if held.refresh_token.is_none() {
            return note("this gateway gave no refresh token: link again when the token expires");
        }
        // A little before it is due, and not at the same moment as every other process.
        let ahead = Duration::from_secs(held.life.ttl).mul_f64(rand::random_range(0.0..0.1));
        let left = held.life.until_due().saturating_sub(ahead);
        if left > LONGEST_SLEEP {
            sleep(LONGEST_SLEEP).await;
            continue;
        }
        sleep(left).await;
        match keeper.renew(&held).await {
            Ok(_) => told.clear(),
            Err(problem) => {
                let problem = format!("{:#}", anyhow::Error::from(problem));
                if problem != told {
                    note(&problem);
                }
                told = problem;
                sleep(keeper.wait().await.max(Duration::from_secs(1))).await;
            }
        }
    }
}

async fn answer(State(proxy): State<Arc<Proxy>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Err((status, why)) = proxy.admits(&parts) {
        return refusal(status, why);
    }
    let answer = proxy.forward(parts, body).await;
    let is_signed_out = matches!(answer, Err(Problem::SignedOut(_)));
    let was_told = proxy.is_told.swap(is_signed_out, Ordering::Relaxed);
    answer.unwrap_or_else(|problem| {
        if is_signed_out && !was_told {
            note(&problem.to_string());
        }
        explained(problem)
    })
}

impl Proxy {
    fn admits(&self, parts: &Parts) -> Result<(), (StatusCode, &'static str)> {
        if !self.is_named_in(parts) {
            return Err((StatusCode::FORBIDDEN, "call this proxy as localhost or by its loopback address"));
        }
        let is_navigation = |site: &HeaderValue| site == "none";
        let sites = parts.headers.get_all(SEC_FETCH_SITE);
        if parts.headers.contains_key(header::ORIGIN) || !sites.iter().all(is_navigation) {
            return Err((StatusCode::FORBIDDEN, "web pages may not use this proxy"));
        }
        if !self.is_key_shown_in(&parts.headers) {
            return Err((StatusCode::UNAUTHORIZED, "send the local key as bearer token or x-api-key"));
        }
        Ok(())
    }

    /// Whether `Host` is a name of this proxy. An attacker can make another name lead to this address.
    fn is_named_in(&self, parts: &Parts) -> bool {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let own = |host: &str| {
            let (name, port) = host.rsplit_once(':').unwrap_or((host, "80"));
            let is_own_name = name.eq_ignore_ascii_case("localhost")
                || name.trim_matches(['[', ']']).parse() == Ok(self.address.ip());
            is_own_name && port.parse() == Ok(self.address.port())
        };
        host.is_some_and(own)
    }

    fn is_key_shown_in(&self, headers: &HeaderMap) -> bool {
        let bearer =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.split_once(' '));
        let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, key)| key);
        let api_key = || API_KEYS.iter().find_map(|name| headers.get(name)?.to_str().ok());
        let shown = bearer.or_else(api_key);
        shown.is_some_and(|shown| shown.as_bytes().ct_eq(self.key.as_bytes()).into())
    }

    async fn forward(&self, parts: Parts, body: Body) -> Result<Response, Problem> {
        let Parts { method, uri, mut headers, .. } = parts;
        // The local key goes, too: it is only for the proxy.
        prepare_for_upstream(&mut headers);
        let sent = match body.size_hint().exact() {
            Some(length) if length <= HELD_BODY => {
                let whole = to_bytes(body, usize::MAX).await;
                Sent::Held(whole.context("the program's request ended before its body was complete")?)
            }
            _ => Sent::Streamed(body),
        };
        let again = match &sent {
            Sent::Held(body) => Some(Sent::Held(body.clone())),
            Sent::Streamed(_) => None,
        };
        let credential = self.keeper.credential().await?;
        let first = self.send(&credential, &method, &uri, headers.clone(), sent).await?;
        if !is_invalid_token(first.status(), first.headers()) {
            return Ok(passed_on(first));
        }
        let renewed = self.keeper.renew(&credential).await?;
        match again {
            Some(again) => Ok(passed_on(self.send(&renewed, &method, &uri, headers, again).await?)),
            // A streamed body is gone. The program can send the request again, and it will be let in.
            None => {
                Ok(refusal(StatusCode::SERVICE_UNAVAILABLE, "the token was renewed: send the request again"))
            }
        }
    }

    async fn send(
        &self,
        credential: &Credential,
        method: &Method,
        uri: &Uri,
        mut headers: HeaderMap,
        body: Sent,
    ) -> Result<reqwest::Response, Problem> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        // These replace the identity that the program claimed.
        headers.extend(credential_headers(credential)?);
        let request = self.keeper.gateway().request(method.clone(), path)?.headers(headers);
        let request = match body {
            Sent::Held(body) if body.is_empty() => request,
            Sent::Held(body) => request.body(body),
            Sent::Streamed(body) => request.body(reqwest::Body::wrap_stream(body.into_data_stream())),
        };
        self.keeper.gateway().send(request).await
    }
}

/// The gateway's answer, streamed.
fn passed_on(answer: reqwest::Response) -> Response {
    let mut answer = http::Response::<reqwest::Body>::from(answer).map(Body::new);
    remove_hop_by_hop(answer.headers_mut());
    answer
}

fn explained(problem: Problem) -> Response {
    let status = match &problem {
        Problem::SignedOut(_) | Problem::NotLinked => StatusCode::UNAUTHORIZED,
        Problem::TryAgain { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_GATEWAY,
    };
    let after = match &problem {
        Problem::TryAgain { after, .. } => after.map(|after| HeaderValue::from(after.as_secs().max(1))),
        _ => None,
    };
    let problem = format!("{:#}", anyhow::Error::from(problem));
    let mut answer = refusal(status, &problem);
    if let Some(after) = after {
        answer.headers_mut().insert(header::RETRY_AFTER, after);
    }
    answer
}

/// A problem document (RFC 9457).
fn refusal(status: StatusCode, detail: &str) -> Response {
    let problem = json!({ "title": status.canonical_reason(), "status": status.as_u16(), "detail": detail });
    let media_type = [(header::CONTENT_TYPE, "application/problem+json")];
    let mut answer = (status, media_type, problem.to_string()).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"bridge\"");
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    answer
}
