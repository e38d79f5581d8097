//! The decision on the head of one request. It reads no body and calls no inner service.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, Uri};

use super::config::LayerConfig;
use super::grpc;
use super::response::without_body;
use super::strip_tokens;
use crate::authenticate::{
    Admitted, Begun, Pending, SessionEnd, after_scheme, has_query_token, is_bare_token,
};
use crate::caller::Caller;
use crate::clock::Moment;
use crate::external_issuer::ExternalCaller;
use crate::header::{self, Changes, Head};
use crate::id::Trace;
use crate::layer_verdict::LayerVerdict;
use crate::rejection::{MalformedCredential, Rejection};
use crate::request_context::{RequestContext, SetAside};
use crate::telemetry;

/// The admission, or the response that refuses the request. The head of an admitted request is already what the inner
/// service will see.
pub(super) type Verdict = Result<Admission, Response<Bytes>>;

/// What the answer to an admitted request needs.
pub(super) struct Admission {
    /// What ends the answer early.
    pub(super) ended: Option<SessionEnd>,
    /// The headers beside `Authorization` that `Vary` names.
    pub(super) vary: Option<Arc<HeaderValue>>,
}

/// A verdict, or the question that must be answered first.
pub(super) enum Decision {
    Made(Verdict),
    Pending(Asking),
}

/// The question on its way: to the store, or for an external issuer's keys. It holds nothing of the request.
pub(super) type Asking = Pin<Box<dyn Future<Output = Result<Admitted, Rejection>> + Send>>;

/// What was decided about a request.
enum Judgement {
    Admitted(Outcome),
    Refused(Response<Bytes>),
}

/// Who is let in, and what changes in the head.
struct Outcome {
    admitted: Option<Admitted>,
    trace: Trace,
    changes: Changes,
    /// The caller's token, when it is not in `Authorization`.
    token: Option<Vec<u8>>,
    is_authorization_sent: bool,
    /// The length of the longest value among the other headers.
    longest: usize,
}

/// Decides at once when nothing must be asked.
pub(super) fn decide<B>(config: &Arc<LayerConfig>, request: &mut Request<B>) -> Decision {
    let now = Moment::now();
    match judge(config, request.method(), request.uri(), request.headers(), request.extensions(), now) {
        Ok(judgement) => Decision::Made(carry_out(config, request, judgement, now)),
        Err(pending) => Decision::Pending(ask(config.clone(), pending)),
    }
}

/// Decides with the answer to what was asked.
#[expect(clippy::result_large_err, reason = "a refusal is what the request ends with: it is not passed far")]
pub(super) fn decide_by<B>(
    config: &LayerConfig,
    request: &mut Request<B>,
    asked: Result<Admitted, Rejection>,
) -> Verdict {
    let head = config.authenticator.head(request.headers());
    let judgement = conclude(config, &head, request.method(), request.extensions(), asked.map(Some));
    carry_out(config, request, judgement, Moment::now())
}

/// Changes the head of an admitted request into what the inner service will see.
#[expect(clippy::result_large_err, reason = "a refusal is what the request ends with: it is not passed far")]
fn carry_out<B>(
    config: &LayerConfig,
    request: &mut Request<B>,
    mut judgement: Judgement,
    now: Moment,
) -> Verdict {
    match judgement {
        Judgement::Admitted(ref mut outcome) => {
            let set_aside = outcome.edit(config, request.headers_mut());
            Ok(outcome.leave(config, request.extensions_mut(), set_aside, now))
        }
        Judgement::Refused(refusal) => Err(refusal),
    }
}

/// Judges a request without I/O. `Err` says what must be asked.
fn judge(
    config: &LayerConfig,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    extensions: &Extensions,
    now: Moment,
) -> Result<Judgement, Pending> {
    let head = config.authenticator.head(headers);
    let admitted = match begin(config, &head, uri, extensions, now) {
        Ok(Begun::Pending(pending)) => return Err(pending),
        Ok(Begun::Admitted(admitted)) => Ok(Some(admitted)),
        Err(Rejection::NoCredential) if config.optional => check_anonymous(&head, uri).map(|()| None),
        Err(rejection) => Err(rejection),
    };
    Ok(conclude(config, &head, method, extensions, admitted))
}

fn ask(config: Arc<LayerConfig>, pending: Pending) -> Asking {
    Box::pin(async move { config.authenticator.finish(pending).await })
}

/// Finds out who calls, as far as that needs no I/O. An outer layer of the same bridge may have found it out already.
fn begin(
    config: &LayerConfig,
    head: &Head<'_>,
    uri: &Uri,
    extensions: &Extensions,
    now: Moment,
) -> Result<Begun, Rejection> {
    let is_authorization_sent = head.authorization.first().is_some();
    let two_ways = Err(Rejection::InvalidRequest(MalformedCredential::TwoCredentials));
    let is_sent_elsewhere = || config.authenticator.sources().sees_token(head);
    if !is_authorization_sent
        && let Some(outer) = LayerVerdict::of(extensions)
        && let Some(verdict) = config.authenticator.readmit(outer, now)
    {
        // The outer layer has removed the token that it accepted. So this is a second token.
        return if is_sent_elsewhere() { two_ways } else { verdict };
    }
    if uri.query().is_some() && has_query_token(uri) && (is_authorization_sent || is_sent_elsewhere()) {
        return two_ways;
    }
    config.authenticator.begin(head, now)
}

/// Refuses an anonymous request that carries a token in a place that is not read.
fn check_anonymous(head: &Head<'_>, uri: &Uri) -> Result<(), Rejection> {
    if has_query_token(uri) {
        return Err(Rejection::InvalidRequest(MalformedCredential::InQuery));
    }
    match head.authorization.first() {
        Some(value) if is_bare_token(value.as_bytes()) => {
            Err(Rejection::InvalidRequest(MalformedCredential::Malformed))
        }
        _ => Ok(()),
    }
}

/// Decides what becomes of the request.
fn conclude(
    config: &LayerConfig,
    head: &Head<'_>,
    method: &Method,
    extensions: &Extensions,
    admitted: Result<Option<Admitted>, Rejection>,
) -> Judgement {
    let (mut trace, has_good_parent) = Trace::of(head);
    // An outer layer may have named the trace without writing it. That trace id counts here too.
    if head.authorization.first().is_none()
        && !trace.is_named()
        && let Some((_, context)) = LayerVerdict::of(extensions)
    {
        trace = context.trace;
    }
    match admitted {
        Ok(admitted) => {
            log_admitted(admitted.as_ref(), &trace);
            let written = written(config, admitted.as_ref());
            if written & header::TRACE != 0 {
                trace = Trace::Named(trace.id());
            }
            let values = || match &admitted {
                Some(Admitted::Caller(caller)) => {
                    caller.header_values().map(|value| value.map_or(trace.text(), HeaderValue::as_bytes))
                }
                _ => [trace.text(); 6],
            };
            let changes = head.changes(written, values, has_good_parent);
            let is_authorization_sent = head.authorization.first().is_some();
            // The token can be elsewhere only when the layer reads other places at all.
            let elsewhere = admitted.is_some() && !config.authenticator.sources().is_empty();
            Judgement::Admitted(Outcome {
                changes,
                token: if elsewhere { config.authenticator.sources().token(head) } else { None },
                is_authorization_sent,
                longest: head.longest(),
                admitted,
                trace,
            })
        }
        Err(rejection) => Judgement::Refused(refuse(config, head, method, &rejection, &trace)),
    }
}

/// Logs who was let in. `None`: an anonymous request, behind an optional layer.
fn log_admitted(admitted: Option<&Admitted>, trace: &Trace) {
    match admitted {
        Some(Admitted::Caller(caller)) => telemetry::admitted(caller.user_id(), caller.session_id(), trace),
        Some(Admitted::External(caller)) => {
            telemetry::admitted_external(caller.issuer(), caller.subject(), trace);
        }
        None => telemetry::admitted_anonymous(),
    }
}

/// Which identity headers are written.
///
/// For a caller without a session only the trace id is written. Services behind the layer would take an external issuer's
/// names for names of this gateway.
fn written(config: &LayerConfig, admitted: Option<&Admitted>) -> u8 {
    match admitted {
        _ if !config.identity_headers => 0,
        Some(Admitted::Caller(_)) => header::ALL,
        _ => header::TRACE,
    }
}

/// What ends the answer early, when the layer is set so. Without a session nothing ends it.
fn session_end(config: &LayerConfig, admitted: &Admitted) -> Option<SessionEnd> {
    let within = config.streams_end_within?;
    match admitted {
        Admitted::Caller(caller) => Some(config.authenticator.session_end(caller, within)),
        Admitted::External(_) => None,
    }
}

/// The response that refuses the request, in the form that the client reads: gRPC or HTTP.
fn refuse(
    config: &LayerConfig,
    head: &Head<'_>,
    method: &Method,
    rejection: &Rejection,
    trace: &Trace,
) -> Response<Bytes> {
    let refusal = config.rejection_format.refuse(rejection, trace);
    match grpc::call_type(method, head.content_type) {
        Some(call) => grpc::to_status(refusal, rejection, call.clone()),
        None if *method == Method::HEAD => without_body(refusal),
        None => refusal,
    }
}

impl Outcome {
    /// Changes the headers. Returns the `Authorization` header that an optional layer removes, for the OAuth endpoints.
    fn edit(&self, config: &LayerConfig, headers: &mut HeaderMap) -> Option<SetAside> {
        let authorization = if self.is_authorization_sent { headers.remove(AUTHORIZATION) } else { None };
        let values = match &self.admitted {
            Some(Admitted::Caller(caller)) => caller.header_values(),
            _ => [None; 6],
        };
        self.changes.make(headers, values, || self.trace.id().to_header_value());
        // Usually no other header is long enough to hold a token.
        if self.longest >= strip_tokens::LEAST_BYTES {
            self.hide_tokens(config, headers, authorization.as_ref());
        }
        let mut authorization = authorization?;
        authorization.set_sensitive(true);
        if config.forward_authorization {
            headers.insert(AUTHORIZATION, authorization);
            return None;
        }
        self.admitted.is_none().then_some(SetAside(authorization))
    }

    /// Puts into the extensions who was let in.
    fn leave(
        &mut self,
        config: &LayerConfig,
        extensions: &mut Extensions,
        set_aside: Option<SetAside>,
        now: Moment,
    ) -> Admission {
        let ended = self.admitted.as_ref().and_then(|admitted| session_end(config, admitted));
        // A verdict that is taken from an outer layer keeps its age.
        let outer = self.admitted.as_ref().and_then(Admitted::request_context);
        let at = outer.map_or(now, |outer| outer.at);
        let context =
            RequestContext { trace: self.trace, rejection_format: config.rejection_format.clone(), at };
        match self.admitted.take() {
            Some(Admitted::Caller(caller)) => {
                extensions.insert(caller.passing(context));
            }
            Some(Admitted::External(caller)) => {
                extensions.remove::<Caller>();
                extensions.insert(caller.passing(context));
            }
            None => {
                extensions.remove::<Caller>();
                extensions.remove::<ExternalCaller>();
                extensions.insert(context);
                set_aside.map(|set_aside| extensions.insert(set_aside));
            }
        }
        Admission { ended, vary: config.vary.clone() }
    }

    /// Removes the token of the admitted caller from every other header, and every other token that this bridge issued.
    fn hide_tokens(
        &self,
        config: &LayerConfig,
        headers: &mut HeaderMap,
        authorization: Option<&HeaderValue>,
    ) {
        let bearer = authorization.and_then(|value| after_scheme(value.as_bytes()));
        let token = bearer.or(self.token.as_deref()).filter(|_| self.admitted.is_some());
        match token {
            Some(token) => {
                strip_tokens::remove_token(headers, token);
                strip_tokens::remove_own_tokens(headers, &config.authenticator);
                if config.authenticator.sources().has_protocols() {
                    strip_tokens::remove_marker(headers);
                }
            }
            None if self.admitted.is_none() => {
                strip_tokens::remove_own_tokens(headers, &config.authenticator);
            }
            // An outer layer has removed all tokens already.
            None => {}
        }
    }
}
