//! The layer and its options.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tower_layer::Layer;

use super::config::LayerConfig;
use super::decide::{Decision, decide, decide_by};
use super::service::BridgeAuth;
use crate::authenticate::{Authenticator, TokenSource};
use crate::caller::CallerKind;
use crate::id::Scopes;
use crate::rejection::{RejectionBody, RejectionFormat};

/// Lets in only requests with a valid token and a live session, and tells the inner service who calls.
///
/// It admits people's bridges alone. A hook client's token is good for what the host opens to hooks with
/// [`admit_hook_clients`](Self::admit_hook_clients), and for nothing else.
///
/// Made by [`Bridge::layer`](crate::Bridge::layer). For each request it
///
/// - removes every identity header the client sent, however spelt, on every path,
/// - authenticates the request ([`Authenticator::authenticate`] says how),
/// - puts a [`Caller`](crate::Caller) into the extensions and writes the six identity headers,
/// - removes `Authorization`, and the token wherever else among the headers it stands (`X-Api-Key` beside
///   `Authorization`, a cookie, …), with all others that this issuer signed, so that no service behind it can store or
///   forward a token,
/// - marks the answer `Cache-Control: private` (unless it says otherwise) and `Vary: authorization`.
///
/// A refused request never reaches the inner service. It is answered with the status, challenge and body
/// that [`Rejection`](crate::Rejection) documents, a call of gRPC with a status of gRPC.
#[derive(Debug, Clone)]
#[must_use = "a layer guards nothing until a service is wrapped in it"]
pub struct BridgeAuthLayer {
    config: Arc<LayerConfig>,
}

impl BridgeAuthLayer {
    pub(crate) fn new(authenticator: Authenticator, rejection_format: Arc<RejectionFormat>) -> Self {
        let config = LayerConfig {
            authenticator,
            rejection_format,
            optional: false,
            identity_headers: true,
            forward_authorization: false,
            streams_end_within: None,
            vary: None,
        };
        Self { config: Arc::new(config) }
    }

    /// Lets requests without a credential in, as nobody: `Option<Caller>` is then `None`.
    ///
    /// A credential that is sent must still be good: an invalid one is refused, not ignored. One in a form that is not
    /// read reaches nobody: `Authorization` of another scheme is removed (the bridge's own OAuth endpoints still take it), a
    /// token there without a scheme and `access_token` in the query are refused with 400, and a token of this issuer in any
    /// other header is removed.
    /// Default: a credential is required.
    pub fn optional(self) -> Self {
        self.change(|config| config.optional = true)
    }

    /// Lets hook clients in beside people's bridges. Default: they are refused with 403
    /// ([`Rejection::CallerKind`](crate::Rejection::CallerKind)).
    ///
    /// Of nested layers each holds the caller to its own requirement: the outer one must admit hook clients for the
    /// inner one to see them.
    pub fn admit_hook_clients(self) -> Self {
        self.change(|config| config.authenticator = config.authenticator.clone().admit_hook_clients())
    }

    /// Lets callers of [other issuers](crate::external_issuer) in that have no session: each is a
    /// [`ExternalCaller`](crate::external_issuer::ExternalCaller) in the extensions, never a [`Caller`](crate::Caller), and of the
    /// identity headers only `x-trace-id` is written. Default: they are refused with 403.
    ///
    /// A layer that [requires a kind](Self::require_kind) refuses them all the same.
    pub fn admit_external(self) -> Self {
        self.change(|config| config.authenticator = config.authenticator.clone().also_external())
    }

    /// Reads the token also from `place`, and removes it from there; each call adds one. Default: from `Authorization`
    /// alone, which always counts.
    ///
    /// A request has its token in one place: in two it is refused with 400, also when both hold the same. Clients that
    /// send one token as `Authorization` and as `X-Api-Key` work without this. Of nested layers the outer one must read
    /// every place that the inner one reads: what it does not read it takes away.
    ///
    /// ```
    /// # fn guard(bridge: &bridge_auth::Bridge) -> Result<bridge_auth::BridgeAuthLayer, bridge_auth::BuildError> {
    /// use bridge_auth::authenticate::TokenSource;
    /// use http::HeaderName;
    ///
    /// let api_key = TokenSource::Header(HeaderName::from_static("x-api-key"));
    /// let config = bridge.layer("bridge")?.token_from(api_key).token_from(TokenSource::WebSocketProtocol);
    /// # Ok(config)
    /// # }
    /// ```
    pub fn token_from(self, place: TokenSource) -> Self {
        self.change(|config| {
            config.authenticator = config.authenticator.clone().token_from(place);
            config.vary = config.authenticator.sources().vary().map(Arc::new);
        })
    }

    /// Requires all of `scopes` of every caller, and names all of them to those who must get a token. Default: none.
    pub fn require_scopes(self, scopes: Scopes) -> Self {
        self.change(|config| {
            if !scopes.is_empty() {
                Arc::make_mut(&mut config.rejection_format).challenge.scopes = scopes.clone();
            }
            config.authenticator = config.authenticator.clone().require_scopes(scopes);
        })
    }

    /// Requires callers of this kind, whatever else the layer admits: with [`CallerKind::HookClient`], hook clients
    /// alone come in. Default: none is required, and people's bridges alone come in.
    pub fn require_kind(self, kind: CallerKind) -> Self {
        self.change(|config| config.authenticator = config.authenticator.clone().require_kind(kind))
    }

    /// Writes the bodies of rejection_format. Default: [`ProblemJson`](crate::rejection::ProblemJson).
    pub fn rejection_body(self, body: impl RejectionBody) -> Self {
        self.change(|config| Arc::make_mut(&mut config.rejection_format).body = Arc::new(body))
    }

    /// Whether the identity headers are written. Default: they are.
    ///
    /// Without them a request is cheaper to let in, for hosts whose handlers ask for the [`Caller`](crate::Caller) and
    /// hand nothing on to a service that reads headers. What the client sent under these names is removed all the same, in
    /// every spelling, `x-trace-id` too; the [`TraceId`](crate::id::TraceId) is an extractor.
    pub fn identity_headers(self, written: bool) -> Self {
        self.change(|config| config.identity_headers = written)
    }

    /// Leaves `Authorization` on the request for the inner service, also what is of another scheme behind an
    /// [optional](Self::optional) layer. Default: it is removed. Elsewhere the token is removed all the same.
    ///
    /// Whoever sees a bearer token can use it: do this only for a service that must verify it again.
    pub fn insecure_forward_authorization(self) -> Self {
        self.change(|config| config.forward_authorization = true)
    }

    /// Ends a response that still streams (server-sent events, a gRPC stream) when its session has ended, within the
    /// time that [`Authenticator::session_end`] promises. Default: a response that has begun is not cut.
    ///
    /// The body ends as if the handler had no more to say, one of gRPC with `UNAVAILABLE` in its trailers: whoever calls
    /// again learns why. A connection that was upgraded (WebSocket) has no body: its
    /// handler waits for [`Authenticator::session_end`] itself.
    pub fn end_streams_within(self, within: Duration) -> Self {
        self.change(|config| config.streams_end_within = Some(within))
    }

    /// The decision over one request, for the endpoints: `Err` is the refusal, else the head is as they shall see it.
    pub(crate) async fn admit<B>(&self, request: &mut Request<B>) -> Result<(), Response<Bytes>> {
        let verdict = match decide(&self.config, request) {
            Decision::Made(verdict) => verdict,
            Decision::Pending(asking) => decide_by(&self.config, request, asking.await),
        };
        verdict.map(drop)
    }

    fn change(self, change: impl FnOnce(&mut LayerConfig)) -> Self {
        let mut config = Arc::unwrap_or_clone(self.config);
        change(&mut config);
        Self { config: Arc::new(config) }
    }
}

impl<S> Layer<S> for BridgeAuthLayer {
    type Service = BridgeAuth<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BridgeAuth::new(inner, self.config.clone())
    }
}
