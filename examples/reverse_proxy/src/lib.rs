//! A reverse proxy behind the guard of `bridge-auth`. It stands in front of any upstream, such as a model provider.
//!
//! Bodies are streamed both ways. A stream of events ends when the session of its caller ends. The upstream learns who
//! calls from the identity headers, and gets no credential of the caller.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{Method, StatusCode, Uri, Version, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use axum::{Json, Router};
use bridge_auth::Bridge;
use bridge_auth::header::{prepare_for_upstream, remove_hop_by_hop};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::time::timeout;

/// How long an event stream may run after the session of its caller has ended.
const STREAMS_END_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection to the upstream may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The server behind the proxy.
#[derive(Debug, Clone)]
pub struct Upstream {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    base: Uri,
    answers_within: Duration,
}

impl Upstream {
    /// The upstream at `base`, such as `https://api.example`. It must begin its answer within `answers_within`, the time
    /// for the caller's body included. The rest of the answer may take as long as it wants.
    ///
    /// # Errors
    ///
    /// `base` is not the URL of a server, or this machine has no root certificates.
    pub fn new(base: &str, answers_within: Duration) -> Result<Self> {
        let base: Uri = base.parse().with_context(|| format!("the upstream {base:?} is no URL"))?;
        let is_server = base.scheme().is_some() && base.path_and_query().is_none_or(|path| path == "/");
        ensure!(is_server, "write the upstream as http://HOST or https://HOST, without a path: {base}");
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT_WITHIN));
        let https = HttpsConnectorBuilder::new()
            .with_native_roots()?
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(https), base, answers_within })
    }

    /// Where a request for `asked` goes: the same path and query, byte for byte.
    fn uri(&self, asked: &Uri) -> Uri {
        let mut parts = self.base.clone().into_parts();
        parts.path_and_query =
            Some(asked.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")));
        Uri::from_parts(parts).unwrap_or_else(|_| self.base.clone())
    }
}

/// The endpoints for bridges, and everything else behind the guard and sent on.
///
/// # Errors
///
/// The bridge issues no tokens for the audience `bridge`.
pub fn app(bridge: &Bridge, upstream: Upstream) -> Result<Router> {
    let guard = bridge.layer("bridge")?.end_streams_within(STREAMS_END_WITHIN);
    Ok(Router::new()
        .fallback_service(any(forward).with_state(Arc::new(upstream)))
        .layer(guard)
        .nest_service("/v1/auth/bridge", bridge.service()))
}

/// Sends a request on that the guard has let in. A caller who hangs up, or whose session ends, ends the request to the
/// upstream, too.
async fn forward(State(upstream): State<Arc<Upstream>>, mut request: Request) -> Response {
    // It would ask the upstream for a tunnel to anywhere.
    if request.method() == Method::CONNECT {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    *request.uri_mut() = upstream.uri(request.uri());
    *request.version_mut() = Version::HTTP_11;
    prepare_for_upstream(request.headers_mut());
    // Add here what the upstream asks of you, such as your own API key.

    match timeout(upstream.answers_within, upstream.client.request(request)).await {
        Ok(Ok(mut answer)) => {
            remove_hop_by_hop(answer.headers_mut());
            // The upstream's version is that of the upstream's connection.
            *answer.version_mut() = Version::HTTP_11;
            answer.map(Body::new)
        }
        Ok(Err(error)) => {
            eprintln!("the upstream {} failed: {}", upstream.base, with_causes(&error));
            problem(StatusCode::BAD_GATEWAY, "the upstream cannot be reached, or broke off")
        }
        Err(_) => {
            let detail = format!("the upstream did not answer within {:?}", upstream.answers_within);
            eprintln!("{}: {detail}", upstream.base);
            problem(StatusCode::GATEWAY_TIMEOUT, &detail)
        }
    }
}

/// An answer of the proxy itself, in the form of the guard's refusals (RFC 9457).
fn problem(status: StatusCode, detail: &str) -> Response {
    let body = json!({ "title": status.canonical_reason(), "status": status.as_u16(), "detail": detail });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(body)).into_response()
}

fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (**error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
