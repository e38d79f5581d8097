//! The decision on the head of one request. It reads no body and calls no inner service.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, Uri};

use super::grpc;
use super::response::without_body;
use super::settings::LayerSettings;
use super::stream_end::StreamEnd;
use super::strip_tokens;
use crate::authenticate::{Admitted, Begun, Pending, after_scheme, has_query_token, is_bare_token};
use crate::caller::Caller;
use crate::clock::Moment;
use crate::external_issuer::ExternalCaller;
use crate::header::{self, Changes, Head};
use crate::id::Trace;
use crate::layer_verdict::LayerVerdict;
use crate::rejection::{MalformedCredential, Refusal, Rejection};
use crate::request_context::{RequestContext, SetAside};
use crate::telemetry::{self, Known, RefusedRequest};

/// The admission, or the response that refuses the request. The head of an admitted request is already what the inner
/// service will see.
pub(super) type Decided = Result<Admission, Response<Bytes>>;

/// What the answer to an admitted request needs.
pub(super) struct Admission {
    /// What ends the answer early.
    pub(super) end: Option<Box<StreamEnd>>,
    /// The headers beside `Authorization` that `Vary` names.
    pub(super) vary: Option<Arc<HeaderValue>>,
}

/// The result, or the question that must be answered first.
pub(super) enum Decision {
    Made(Decided),
    Pending(Asking),
}

/// The question on its way: to the store, or for an external issuer's keys. It holds nothing of the request.
pub(super) type Asking = Pin<Box<dyn Future<Output = Result<Admitted, Refusal>> + Send>>;

/// What changes in the head of a request that is let in.
struct Outcome {
    trace: Trace,
    changes: Changes,
    /// The caller's token, when it is not in `Authorization`.
    token: Option<Vec<u8>>,
    is_authorization_sent: bool,
    /// The length of the longest value among the other headers.
    longest: usize,
}

/// Decides at once when nothing must be asked.
pub(super) fn decide<B>(settings: &Arc<LayerSettings>, request: &mut Request<B>) -> Decision {
    let now = Moment::now();
    let mut head = Head::default();
    settings.authenticator.read(request.headers(), &mut head);
    let (uri, extensions) = (request.uri(), request.extensions());
    let mut admitted = match begin(settings, &head, uri, extensions, now) {
        Ok(Begun::Admitted(admitted)) => Some(admitted),
        Ok(Begun::Pending(pending)) => return Decision::Pending(ask(settings.clone(), pending)),
        Err(refusal) => match let_anonymous_in(settings, &head, uri, refusal) {
            Ok(()) => None,
            Err(refusal) => return Decision::Made(Err(refuse(settings, &head, request, refusal))),
        },
    };
    let outcome = Outcome::of(settings, &head, extensions, admitted.as_ref());
    Decision::Made(Ok(outcome.carry_out(settings, request, &mut admitted, now)))
}

/// Decides with the answer to what was asked.
#[expect(clippy::result_large_err, reason = "a refusal is what the request ends with: it is not passed far")]
pub(super) fn decide_by<B>(
    settings: &LayerSettings,
    request: &mut Request<B>,
    asked: Result<Admitted, Refusal>,
) -> Decided {
    let mut head = Head::default();
    settings.authenticator.read(request.headers(), &mut head);
    let admitted = asked.map_err(|refusal| refuse(settings, &head, request, refusal))?;
    let outcome = Outcome::of(settings, &head, request.extensions(), Some(&admitted));
    Ok(outcome.carry_out(settings, request, &mut Some(admitted), Moment::now()))
}

fn ask(settings: Arc<LayerSettings>, pending: Pending) -> Asking {
    Box::pin(async move {
        let began = telemetry::MEASURES.then(Instant::now);
        let finished = settings.authenticator.finish(pending).await;
        if let Some(began) = began {
            telemetry::record("bridge_auth_decision_seconds", began.elapsed().as_secs_f64());
        }
        finished
    })
}

/// Finds out who calls, as far as that needs no I/O. An outer layer of the same bridge may have found it out already.
fn begin(
    settings: &LayerSettings,
    head: &Head<'_>,
    uri: &Uri,
    extensions: &Extensions,
    now: Moment,
) -> Result<Begun, Refusal> {
    let is_authorization_sent = head.authorization.first().is_some();
    let two_credentials = || Err(Rejection::InvalidRequest(MalformedCredential::TwoCredentials).into());
    let is_sent_elsewhere = || settings.authenticator.sources().sees_token(head);
    if !is_authorization_sent
        && let Some(outer) = LayerVerdict::of(extensions)
        && let Some(readmitted) = settings.authenticator.readmit(outer, now)
    {
        // The outer layer has removed the token that it accepted. So this is a second token.
        return if is_sent_elsewhere() { two_credentials() } else { readmitted };
    }
    if uri.query().is_some() && has_query_token(uri) && (is_authorization_sent || is_sent_elsewhere()) {
        return two_credentials();
    }
    settings.authenticator.begin(head, now)
}

/// Admits a request without a credential as anonymous, when the layer is optional. A request that carries a token in a
/// place that is not read is refused.
fn let_anonymous_in(
    settings: &LayerSettings,
    head: &Head<'_>,
    uri: &Uri,
    refusal: Refusal,
) -> Result<(), Refusal> {
    if !settings.optional || refusal.rejection != Rejection::NoCredential {
        return Err(refusal);
    }
    if has_query_token(uri) {
        return Err(Rejection::InvalidRequest(MalformedCredential::InQuery).into());
    }
    match head.authorization.first() {
        Some(value) if is_bare_token(value.as_bytes()) => {
            Err(Rejection::InvalidRequest(MalformedCredential::Malformed).into())
        }
        _ => Ok(()),
    }
}

/// The trace of a request, and whether it has a valid `traceparent`.
fn trace(head: &Head<'_>, extensions: &Extensions) -> (Trace, bool) {
    let (trace, has_good_parent) = Trace::of(head);
    // An outer layer may have named the trace without writing it. That trace id counts here too.
    if head.authorization.first().is_none()
        && !trace.is_named()
        && let Some((_, context)) = LayerVerdict::of(extensions)
    {
        return (context.trace, has_good_parent);
    }
    (trace, has_good_parent)
}

/// Logs who was let in. `None`: an anonymous request, behind an optional layer.
fn log_admitted(admitted: Option<&Admitted>, trace: &Trace) {
    match admitted {
        Some(Admitted::Caller(caller)) => {
            telemetry::admitted(caller.user_id(), caller.session_id(), caller.client_id(), trace);
        }
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
fn written(settings: &LayerSettings, admitted: Option<&Admitted>) -> u8 {
    match admitted {
        _ if !settings.identity_headers => 0,
        Some(Admitted::Caller(_)) => header::ALL,
        _ => header::TRACE,
    }
}

/// What ends the answer early, when the layer is set so.
#[inline]
fn stream_end(settings: &LayerSettings, admitted: &Admitted) -> Option<Box<StreamEnd>> {
    let streams = settings.streams;
    if streams.session_within.is_none() && !streams.with_token {
        return None;
    }
    let guard = &settings.authenticator;
    let (session, expires_at) = match admitted {
        Admitted::Caller(caller) => {
            let session = streams.session_within.map(|within| guard.session_end(caller, within));
            (session, caller.claims().expires_at())
        }
        Admitted::External(caller) => (None, caller.claims().expires_at()),
    };
    let token = streams.with_token.then(|| guard.end_of_token(expires_at));
    Some(Box::new(StreamEnd { session, token, with_error: streams.with_error }))
}

/// The response that refuses the request, in the form that the client reads: gRPC or HTTP.
#[cold]
fn refuse<B>(
    settings: &LayerSettings,
    head: &Head<'_>,
    request: &Request<B>,
    refusal: Refusal,
) -> Response<Bytes> {
    let refusal = match refusal.rejection {
        Rejection::NoCredential => refusal.or(without_credential(head)),
        _ => refusal,
    };
    let rejection = refusal.rejection.clone();
    let trace = trace(head, request.extensions()).0;
    let refused = settings.rejection_format.refuse(RefusedRequest::of(request), refusal, &trace);
    match grpc::call_type(request.method(), head.content_type) {
        Some(call) => grpc::to_status(refused, &rejection, call.clone()),
        None if *request.method() == Method::HEAD => without_body(refused),
        None => refused,
    }
}

/// What was sent instead of a bearer token. A value that begins with no well-known scheme may be a secret.
fn without_credential(head: &Head<'_>) -> Known {
    const SCHEMES: [&str; 5] = ["Basic", "Digest", "DPoP", "Negotiate", "Token"];
    let Some(sent) = head.authorization.first() else {
        return Known::detail("no bearer token: there is no Authorization header");
    };
    let scheme = sent.as_bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
    let known = SCHEMES.into_iter().find(|known| scheme.eq_ignore_ascii_case(known.as_bytes()));
    let scheme = known.map_or("a scheme that is not known".to_owned(), |known| format!("the scheme {known}"));
    Known::detail(format!("no bearer token: Authorization has {scheme}"))
}

impl Outcome {
    /// Decides what changes in the head of an admitted request. `None`: an anonymous request.
    fn of(
        settings: &LayerSettings,
        head: &Head<'_>,
        extensions: &Extensions,
        admitted: Option<&Admitted>,
    ) -> Self {
        let (mut trace, has_good_parent) = trace(head, extensions);
        log_admitted(admitted, &trace);
        let written = written(settings, admitted);
        if written & header::TRACE != 0 {
            trace = Trace::Named(trace.id());
        }
        let values = || match admitted {
            Some(Admitted::Caller(caller)) => {
                caller.header_values().map(|value| value.map_or(trace.text(), HeaderValue::as_bytes))
            }
            _ => [trace.text(); 6],
        };
        let changes = head.changes(written, values, has_good_parent);
        // The token can be elsewhere only when the layer reads other places at all.
        let elsewhere = admitted.is_some() && !settings.authenticator.sources().is_empty();
        Self {
            changes,
            token: if elsewhere { settings.authenticator.sources().token(head) } else { None },
            is_authorization_sent: head.authorization.first().is_some(),
            longest: head.longest(),
            trace,
        }
    }

    /// Changes the head of an admitted request into what the inner service will see.
    #[inline(always)]
    fn carry_out<B>(
        &self,
        settings: &LayerSettings,
        request: &mut Request<B>,
        admitted: &mut Option<Admitted>,
        now: Moment,
    ) -> Admission {
        let set_aside = self.edit(settings, request.headers_mut(), admitted.as_ref());
        let end = admitted.as_ref().and_then(|admitted| stream_end(settings, admitted));
        self.leave(settings, request.extensions_mut(), admitted, set_aside, now);
        Admission { end, vary: settings.vary.clone() }
    }

    /// Changes the headers. Returns the `Authorization` header that an optional layer removes, for the OAuth endpoints.
    fn edit(
        &self,
        settings: &LayerSettings,
        headers: &mut HeaderMap,
        admitted: Option<&Admitted>,
    ) -> Option<SetAside> {
        let authorization = if self.is_authorization_sent { headers.remove(AUTHORIZATION) } else { None };
        let values = match admitted {
            Some(Admitted::Caller(caller)) => caller.header_values(),
            _ => [None; 6],
        };
        self.changes.make(headers, values, || self.trace.id().to_header_value());
        // Usually no other header is long enough to hold a token.
        if self.longest >= strip_tokens::LEAST_BYTES {
            self.hide_tokens(settings, headers, authorization.as_ref(), admitted.is_some());
        }
        let mut authorization = authorization?;
        authorization.set_sensitive(true);
        if settings.forward_authorization {
            headers.insert(AUTHORIZATION, authorization);
            return None;
        }
        admitted.is_none().then_some(SetAside(authorization))
    }

    /// Puts into the extensions who was let in.
    #[inline(always)]
    fn leave(
        &self,
        settings: &LayerSettings,
        extensions: &mut Extensions,
        admitted: &mut Option<Admitted>,
        set_aside: Option<SetAside>,
        now: Moment,
    ) {
        // A verdict that is taken from an outer layer keeps its age.
        let outer = admitted.as_ref().and_then(Admitted::request_context);
        let at = outer.map_or(now, |outer| outer.at);
        let context =
            RequestContext { trace: self.trace, rejection_format: settings.rejection_format.clone(), at };
        match admitted.take() {
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
    }

    /// Removes the token of the admitted caller from every other header, and every other token that this bridge issued.
    fn hide_tokens(
        &self,
        settings: &LayerSettings,
        headers: &mut HeaderMap,
        authorization: Option<&HeaderValue>,
        is_admitted: bool,
    ) {
        let bearer = authorization.and_then(|value| after_scheme(value.as_bytes()));
        let token = bearer.or(self.token.as_deref()).filter(|_| is_admitted);
        match token {
            Some(token) => {
                strip_tokens::remove_token(headers, token);
                strip_tokens::remove_own_tokens(headers, &settings.authenticator);
                if settings.authenticator.sources().has_protocols() {
                    strip_tokens::remove_marker(headers);
                }
            }
            None if !is_admitted => {
                strip_tokens::remove_own_tokens(headers, &settings.authenticator);
            }
            // An outer layer has removed all tokens already.
            None => {}
        }
    }
}
