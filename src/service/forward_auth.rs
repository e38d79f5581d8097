//! Forward authentication: a proxy asks whether a request may pass, and who calls.

use std::convert::Infallible;
use std::mem;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;

use super::answer::no_content;
use super::future::EndpointFuture;
use super::request_body::{BoxError, RequestBody};
use crate::drain::AnswerBody;
use crate::header::{IDENTITY_HEADERS, X_TRACE_ID};
use crate::id::TraceId;
use crate::layer::{BridgeAuthLayer, keep_from_shared_caches};
use crate::rejection::{Rejection, problem};

/// Tells a proxy whether a request may pass, and who calls: for nginx `auth_request`, Traefik `ForwardAuth`, Envoy
/// `ext_authz` and HAProxy.
///
/// The proxy sends the head of each request here before it forwards the request. The layer decides, exactly as it does
/// as middleware: with its audience, scopes, kinds and places of the token.
///
/// | answer | when |
/// |---|---|
/// | 204 with the six identity headers | the request may pass. A header without a value is sent empty, so that the proxy replaces what the client sent |
/// | 401 with `WWW-Authenticate` | there is no token, or it is not valid here, or it is malformed, too large or sent twice |
/// | 403 | the caller may not do this. Or, with the code `temporarily_unavailable`, nothing is known about the token, because the store or the keys of an issuer cannot be reached |
///
/// No other status is sent, because nginx takes every other for its own failure. Each refusal names its
/// [code](Rejection::code) in `x-rejection-code`, which a proxy can read. `Retry-After` is in every answer about a fault
/// that may pass. [`faults_as_503`](Self::faults_as_503) is for proxies that pass the status of a refusal on.
///
/// Any method is answered. The method, the path and the body of the request to this service decide nothing. Neither do
/// headers that name the original request, such as `X-Original-URI` and `X-Forwarded-Method`: a client may have sent
/// them. So mount one service for each set of requirements, and let the configuration of the proxy choose.
///
/// The proxy must replace all six headers in every spelling, and must remove the token from what it forwards.
/// `examples/forward_auth` has configurations that do.
///
/// ```
/// # fn mount(bridge: &bridge_auth::Bridge) -> Result<axum::Router, bridge_auth::BuildError> {
/// use bridge_auth::service::ForwardAuthService;
///
/// let tools = bridge_auth::Scopes::parse("tools").expect("a scope");
/// let layer = bridge.layer("bridge")?.require_scopes(tools);
/// // Nested, because Envoy appends the original path.
/// # Ok(
/// axum::Router::new().nest_service("/auth", ForwardAuthService::new(layer))
/// # )
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ForwardAuthService {
    layer: BridgeAuthLayer,
    /// The status when nothing is known about the token.
    fault: StatusCode,
}

/// The stable word for why a request is refused.
const X_REJECTION_CODE: HeaderName = HeaderName::from_static("x-rejection-code");

impl ForwardAuthService {
    /// The decisions of `layer`, for a proxy.
    #[must_use]
    pub fn new(layer: BridgeAuthLayer) -> Self {
        Self { layer: layer.identity_headers(true), fault: StatusCode::FORBIDDEN }
    }

    /// Answers 503 when nothing is known about the token. Default: 403 with the code `temporarily_unavailable`.
    ///
    /// Choose it for a proxy that passes the status of a refusal on (Traefik), or that takes a 5xx for a fault (Envoy,
    /// with `status_on_error`).
    #[must_use]
    pub fn faults_as_503(mut self) -> Self {
        self.fault = StatusCode::SERVICE_UNAVAILABLE;
        self
    }

    async fn answer(self, mut request: Request<RequestBody>) -> Response<Bytes> {
        // The call that the proxy asks about may be a gRPC call. The proxy itself reads HTTP.
        *request.method_mut() = Method::GET;
        match self.layer.admit(&mut request).await {
            Ok(()) => passed(&request),
            Err(refusal) => self.refused(refusal),
        }
    }

    /// The refusal with a status that every proxy understands.
    fn refused(&self, mut refusal: Response<Bytes>) -> Response<Bytes> {
        let Some(rejection) = refusal.extensions().get::<Rejection>().cloned() else { return refusal };
        let headers = refusal.headers_mut();
        headers.insert(X_REJECTION_CODE, HeaderValue::from_static(rejection.code()));
        let status = match rejection {
            Rejection::Unavailable(_) | Rejection::IssuerUnavailable => self.fault,
            Rejection::CredentialTooLarge | Rejection::InvalidRequest(_) => StatusCode::UNAUTHORIZED,
            _ => rejection.status(),
        };
        if status == StatusCode::UNAUTHORIZED {
            headers.entry(WWW_AUTHENTICATE).or_insert(MALFORMED);
        }
        if mem::replace(refusal.status_mut(), status) != status {
            let trace = refusal.headers().get(X_TRACE_ID).and_then(|id| TraceId::parse(id.to_str().ok()?));
            let (content_type, body) =
                problem(status, rejection.code(), rejection.detail(), trace.as_ref(), None);
            refusal.headers_mut().insert(CONTENT_TYPE, content_type);
            *refusal.body_mut() = body;
        }
        refusal
    }
}

/// A 401 has a challenge (RFC 9110 §15.5.2), also where the layer would answer 431.
const MALFORMED: HeaderValue = HeaderValue::from_static("Bearer error=\"invalid_request\"");

/// Who calls. The guard has removed what the client sent under these names.
fn passed<B>(request: &Request<B>) -> Response<Bytes> {
    let mut answer = no_content();
    for name in IDENTITY_HEADERS {
        let value = request.headers().get(&name).cloned().unwrap_or(HeaderValue::from_static(""));
        answer.headers_mut().insert(name, value);
    }
    keep_from_shared_caches(answer.headers_mut());
    answer
}

impl<B> Service<Request<B>> for ForwardAuthService
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = EndpointFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> EndpointFuture {
        let service = self.clone();
        EndpointFuture::new(self.layer.drain_limits(), request, |request| service.answer(request))
    }
}
