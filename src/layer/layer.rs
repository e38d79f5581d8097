//! The layer and its options.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tower_layer::Layer;

use super::decide::{Decision, decide, decide_by};
use super::service::BridgeAuth;
use super::settings::LayerSettings;
use super::stream_end::StreamSettings;
use crate::authenticate::{Authenticator, TokenSource};
use crate::caller::CallerKind;
use crate::drain::DrainLimits;
use crate::id::Scopes;
use crate::rejection::{RejectionBody, RejectionFormat};

/// Lets in only requests with a valid token and a live session, and tells the inner service who calls.
///
/// [`Bridge::layer`](crate::Bridge::layer) makes one. It admits people's bridges. It refuses hook clients, unless the
/// host opens the routes to them with [`admit_hook_clients`](Self::admit_hook_clients).
///
/// For each request the layer
///
/// - removes every identity header that the client sent, in every spelling, on every path,
/// - authenticates the request ([`Authenticator::authenticate`] says how),
/// - puts a [`Caller`](crate::Caller) into the extensions and writes the six identity headers,
/// - removes `Authorization`, the caller's token from every other header (`X-Api-Key` beside `Authorization`, a cookie,
///   …), and every other token that this issuer signed, so that no service behind the layer can store or forward a
///   token,
/// - marks the answer `Cache-Control: private` (unless the answer sets that header itself) and `Vary: authorization`.
///
/// A refused request never reaches the inner service. The layer answers with the status, challenge and body that
/// [`Rejection`](crate::Rejection) documents. It answers a gRPC call with a gRPC status.
#[derive(Debug, Clone)]
#[must_use = "a layer guards nothing until a service is wrapped in it"]
pub struct BridgeAuthLayer {
    settings: Arc<LayerSettings>,
}

impl BridgeAuthLayer {
    pub(crate) fn new(
        authenticator: Authenticator,
        rejection_format: Arc<RejectionFormat>,
        drain: DrainLimits,
    ) -> Self {
        let settings = LayerSettings {
            authenticator,
            rejection_format,
            optional: false,
            identity_headers: true,
            forward_authorization: false,
            drain,
            streams: StreamSettings::default(),
            vary: None,
        };
        Self { settings: Arc::new(settings) }
    }

    /// Lets in requests without a credential, as anonymous: `Option<Caller>` is then `None`. Default: a credential is
    /// required.
    ///
    /// A credential that is sent must still be good. The layer refuses an invalid credential; it does not ignore it. No
    /// credential in a form that is not read reaches a handler:
    ///
    /// - The layer removes `Authorization` of another scheme. The bridge's own OAuth endpoints can still read it.
    /// - The layer refuses a token without a scheme in `Authorization`, and `access_token` in the query, with 400.
    /// - The layer removes a token of this issuer from every other header.
    pub fn optional(self) -> Self {
        self.change(|settings| settings.optional = true)
    }

    /// Lets in hook clients, beside people's bridges. Default: hook clients are refused with 403
    /// ([`Rejection::CallerKind`](crate::Rejection::CallerKind)).
    ///
    /// Each of several nested layers checks its own requirement. So the outer layer must admit hook clients too.
    pub fn admit_hook_clients(self) -> Self {
        self.change(|settings| settings.authenticator = settings.authenticator.clone().admit_hook_clients())
    }

    /// Lets in [workloads](crate::external_issuer::ExternalIssuer::workloads), beside people's bridges. Default: workloads
    /// are refused with 403 ([`Rejection::CallerKind`](crate::Rejection::CallerKind)).
    ///
    /// No person stands behind a workload. [`Caller::user_id`](crate::Caller::user_id) is `client:` and its client id.
    /// Each of several nested layers checks its own requirement.
    pub fn admit_workloads(self) -> Self {
        self.change(|settings| settings.authenticator = settings.authenticator.clone().admit_workloads())
    }

    /// Lets in callers of [external issuers](crate::external_issuer) that have no session. Default: they are refused
    /// with 403.
    ///
    /// Each is an [`ExternalCaller`](crate::external_issuer::ExternalCaller) in the extensions, and never a
    /// [`Caller`](crate::Caller). Of the identity headers only `x-trace-id` is written.
    ///
    /// A layer that [requires a kind](Self::require_kind) refuses them in any case.
    pub fn admit_external(self) -> Self {
        self.change(|settings| settings.authenticator = settings.authenticator.clone().also_external())
    }

    /// Reads the token also from `place`, and removes it from there. Default: only `Authorization`, which is always
    /// read.
    ///
    /// Each call adds one place. A request may have its token in one place only. A token in two places is refused with
    /// 400, even when both are the same. Clients that send one token as `Authorization` and as `X-Api-Key` work without
    /// this option.
    ///
    /// When layers are nested, the outer layer must read every place that the inner layer reads. It removes a token
    /// from a place that it does not read.
    ///
    /// ```
    /// # fn guard(bridge: &bridge_auth::Bridge) -> Result<bridge_auth::BridgeAuthLayer, bridge_auth::BuildError> {
    /// use bridge_auth::authenticate::TokenSource;
    /// use http::HeaderName;
    ///
    /// let api_key = TokenSource::Header(HeaderName::from_static("x-api-key"));
    /// let layer = bridge.layer("bridge")?.token_from(api_key).token_from(TokenSource::WebSocketProtocol);
    /// # Ok(layer)
    /// # }
    /// ```
    pub fn token_from(self, place: TokenSource) -> Self {
        self.change(|settings| {
            settings.authenticator = settings.authenticator.clone().token_from(place);
            settings.vary = settings.authenticator.sources().vary().map(Arc::new);
        })
    }

    /// Requires all of `scopes` of every caller. Default: none.
    ///
    /// A second call replaces the first. Two nested layers each check their own scopes.
    ///
    /// Challenges name the scopes to clients that must get a token.
    pub fn require_scopes(self, scopes: Scopes) -> Self {
        self.change(|settings| {
            if !scopes.is_empty() {
                Arc::make_mut(&mut settings.rejection_format).challenge.scopes = scopes.clone();
            }
            settings.authenticator = settings.authenticator.clone().require_scopes(scopes);
        })
    }

    /// Requires callers of this kind, whatever else the layer admits. Default: no kind is required.
    ///
    /// With [`CallerKind::HookClient`], only hook clients come in.
    pub fn require_kind(self, kind: CallerKind) -> Self {
        self.change(|settings| settings.authenticator = settings.authenticator.clone().require_kind(kind))
    }

    /// What writes the bodies of rejections. Default: [`ProblemJson`](crate::rejection::ProblemJson).
    pub fn rejection_body(self, body: impl RejectionBody) -> Self {
        self.change(|settings| Arc::make_mut(&mut settings.rejection_format).body = Arc::new(body))
    }

    /// Whether the layer writes the identity headers. Default: yes.
    ///
    /// Without them a request costs less. Turn them off when handlers take the [`Caller`](crate::Caller) and no service
    /// behind the layer reads the headers. The layer still removes what the client sent under these names, in every
    /// spelling, `x-trace-id` too. The [`TraceId`](crate::id::TraceId) is an extractor.
    pub fn identity_headers(self, written: bool) -> Self {
        self.change(|settings| settings.identity_headers = written)
    }

    /// Leaves `Authorization` on the request for the inner service. Default: the layer removes it.
    ///
    /// Behind an [optional](Self::optional) layer, `Authorization` of another scheme stays too. The layer still removes
    /// the token from every other header.
    ///
    /// Whoever sees a bearer token can use it. So use this only for a service that must verify the token again.
    pub fn insecure_forward_authorization(self) -> Self {
        self.change(|settings| settings.forward_authorization = true)
    }

    /// How much of the body of a refused request is read and thrown away, so that the client hears the refusal. Default:
    /// what [`BridgeBuilder::drain_refused`](crate::BridgeBuilder::drain_refused) says.
    pub fn drain_refused(self, limits: DrainLimits) -> Self {
        self.change(|settings| settings.drain = limits)
    }

    /// Ends a streaming response (server-sent events, a gRPC stream) when its session ends. Default: a response that
    /// has begun is not cut.
    ///
    /// The response ends within the time that [`Authenticator::session_end`] promises for `within`. An HTTP body ends
    /// as if the handler had no more to say. A gRPC body ends with `UNAVAILABLE` in its trailers. A client that calls
    /// again gets 401 or 503.
    ///
    /// The expiry of the token ends nothing: [`end_streams_with_token`](Self::end_streams_with_token) is for that.
    ///
    /// An upgraded connection (WebSocket) has no body. Its handler must wait for [`Authenticator::session_end`] itself.
    pub fn end_streams_within(self, within: Duration) -> Self {
        self.change(|settings| settings.streams.session_within = Some(within))
    }

    /// Ends a streaming response when the token of its request expires. Default: a token that expires ends no response.
    ///
    /// A client that calls again needs a new token. The response ends as [`end_streams_within`](Self::end_streams_within)
    /// says, and at the same second as the token. A gRPC body ends with `UNAUTHENTICATED` in its trailers. A caller of an
    /// external issuer has no session, and its responses end with its token too.
    ///
    /// An upgraded connection has no body. Its handler must wait for [`Authenticator::token_end`] itself.
    pub fn end_streams_with_token(self) -> Self {
        self.change(|settings| settings.streams.with_token = true)
    }

    /// Ends a streaming response with an error where it ends early. Default: it ends as if the handler had no more to
    /// say.
    ///
    /// A client cannot take the early end for the end of the answer. Over HTTP/1.1 the last chunk is missing and the
    /// connection is closed; over HTTP/2 the stream is reset. The error of the body is a
    /// [`StreamEnded`](super::StreamEnded). A gRPC body ends with its trailers in any case.
    ///
    /// Without [`end_streams_within`](Self::end_streams_within) or
    /// [`end_streams_with_token`](Self::end_streams_with_token) no response ends early.
    pub fn end_streams_with_error(self) -> Self {
        self.change(|settings| settings.streams.with_error = true)
    }

    /// Decides one request for the endpoints. `Ok`: the head is as the endpoints will see it. `Err`: the response that
    /// refuses it.
    pub(crate) async fn admit<B>(&self, request: &mut Request<B>) -> Result<(), Response<Bytes>> {
        let decided = match decide(&self.settings, request) {
            Decision::Made(decided) => decided,
            Decision::Pending(asking) => decide_by(&self.settings, request, asking.await),
        };
        decided.map(drop)
    }

    /// How much of a body is drained that is not read.
    pub(crate) fn drain_limits(&self) -> DrainLimits {
        self.settings.drain
    }

    fn change(self, change: impl FnOnce(&mut LayerSettings)) -> Self {
        let mut settings = Arc::unwrap_or_clone(self.settings);
        change(&mut settings);
        Self { settings: Arc::new(settings) }
    }
}

impl<S> Layer<S> for BridgeAuthLayer {
    type Service = BridgeAuth<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BridgeAuth::new(inner, self.settings.clone())
    }
}
