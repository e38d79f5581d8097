//! The decision over one request's head: no body, no inner service.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, Uri};

use super::conceal;
use super::future::without_body;
use super::grpc;
use super::layer::Guard;
use crate::authenticate::{
    Admitted, Begun, Pending, SessionEnd, after_scheme, has_query_token, is_bare_token,
};
use crate::caller::Caller;
use crate::foreign::ForeignCaller;
use crate::header::{self, Changes, Head};
use crate::id::TraceId;
use crate::let_in::LetIn;
use crate::observe;
use crate::passage::{Passage, SetAside};
use crate::reject::{MalformedCredential, Rejection};
use crate::session::Moment;

/// The admission, or the refusal to answer with. Of an admitted request the head is as the inner service shall see it.
pub(super) type Verdict = Result<Admission, Response<Bytes>>;

/// What is due to the answer of an admitted request.
pub(super) struct Admission {
    /// What ends it early.
    pub(super) ended: Option<SessionEnd>,
    /// What it varies with beside `Authorization`.
    pub(super) vary: Option<Arc<HeaderValue>>,
}

/// A verdict, or what must be asked for it.
#[expect(clippy::large_enum_variant, reason = "a box would cost each refusal an allocation")]
pub(super) enum Decision {
    Made(Verdict),
    Pending(Asking),
}

/// What is asked, on its way: it holds nothing of the request.
pub(super) type Asking = Pin<Box<dyn Future<Output = Result<Admitted, Rejection>> + Send>>;

/// What a request comes to: who is let in, and what changes in its head.
struct Outcome {
    admitted: Option<Admitted>,
    trace: TraceId,
    changes: Changes,
    /// The caller's token, where it does not stand in `Authorization`.
    token: Option<Vec<u8>>,
    is_authorization_sent: bool,
    /// The length of the longest value of the other headers.
    longest: usize,
}

/// Decides at once where nothing must be asked.
pub(super) fn decide<B>(guard: &Arc<Guard>, request: &mut Request<B>) -> Decision {
    let now = Moment::now();
    let head = guard.authenticator.head(request.headers());
    let admitted = match begin(guard, &head, request.uri(), request.extensions(), now) {
        Ok(Begun::Pending(pending)) => return Decision::Pending(ask(guard.clone(), pending)),
        Ok(Begun::Admitted(admitted)) => Ok(Some(admitted)),
        Err(Rejection::NoCredential) if guard.optional => check_nobody(&head, request.uri()).map(|()| None),
        Err(rejection) => Err(rejection),
    };
    let outcome = conclude(guard, &head, request.method(), admitted);
    Decision::Made(outcome.map(|outcome| admit(guard, request, outcome, now)))
}

/// Decides by what was asked.
pub(super) fn decide_by<B>(
    guard: &Guard,
    request: &mut Request<B>,
    asked: Result<Admitted, Rejection>,
) -> Verdict {
    let head = guard.authenticator.head(request.headers());
    let outcome = conclude(guard, &head, request.method(), asked.map(Some));
    outcome.map(|outcome| admit(guard, request, outcome, Moment::now()))
}

fn ask(guard: Arc<Guard>, pending: Pending) -> Asking {
    Box::pin(async move { guard.authenticator.finish(pending).await })
}

/// Who calls, as far as it is known without I/O; an outer layer of the same bridge may have found out.
fn begin(
    guard: &Guard,
    head: &Head<'_>,
    uri: &Uri,
    extensions: &Extensions,
    now: Moment,
) -> Result<Begun, Rejection> {
    let is_authorization_sent = head.authorization.first().is_some();
    let two_ways = Err(Rejection::InvalidRequest(MalformedCredential::TwoWays));
    let is_sent_elsewhere = || guard.authenticator.sees_token_elsewhere(head);
    if !is_authorization_sent
        && let Some(outer) = LetIn::of(extensions)
        && let Some(verdict) = guard.authenticator.readmit(outer, now)
    {
        // The outer layer has taken the token away that it let the caller in on: this is another.
        return if is_sent_elsewhere() { two_ways } else { verdict.map(Begun::Admitted) };
    }
    if uri.query().is_some() && has_query_token(uri) && (is_authorization_sent || is_sent_elsewhere()) {
        return two_ways;
    }
    guard.authenticator.begin(head, now)
}

/// Refuses a request that would come in as nobody with a token that is not read.
fn check_nobody(head: &Head<'_>, uri: &Uri) -> Result<(), Rejection> {
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

/// What is to become of the request, or the refusal.
#[expect(clippy::result_large_err, reason = "a refusal is what the request ends with: it is not passed far")]
#[inline]
fn conclude(
    guard: &Guard,
    head: &Head<'_>,
    method: &Method,
    admitted: Result<Option<Admitted>, Rejection>,
) -> Result<Outcome, Response<Bytes>> {
    let (trace, has_good_parent) = TraceId::of(head);
    match admitted {
        Ok(admitted) => {
            observe::admitted(admitted.as_ref(), &trace);
            let value = |place| {
                let value = value_of(admitted.as_ref(), place);
                value.map_or(trace.as_bytes(), HeaderValue::as_bytes)
            };
            let changes = head.changes(written(guard, admitted.as_ref()), value, has_good_parent);
            let is_authorization_sent = head.authorization.first().is_some();
            let elsewhere = admitted.is_some() && !is_authorization_sent;
            Ok(Outcome {
                changes,
                token: elsewhere.then(|| guard.authenticator.token_elsewhere(head)).flatten(),
                is_authorization_sent,
                longest: head.longest(),
                admitted,
                trace,
            })
        }
        Err(rejection) => {
            observe::refused(&rejection, &trace);
            Err(refuse(guard, head, method, &rejection))
        }
    }
}

/// Which identity headers are written. Nothing but the trace is true of a caller without a session: upstream would take another
/// issuer's names for ours.
fn written(guard: &Guard, admitted: Option<&Admitted>) -> u8 {
    match admitted {
        _ if !guard.identity_headers => 0,
        Some(Admitted::Caller(_)) => header::ALL,
        _ => header::TRACE,
    }
}

/// What the identity header at `place` says of the caller; nothing for the trace.
fn value_of(admitted: Option<&Admitted>, place: usize) -> Option<&HeaderValue> {
    match admitted {
        Some(Admitted::Caller(caller)) => caller.header_value(place),
        _ => None,
    }
}

/// What ends the answer early, where the layer says so; without a session nothing does.
fn session_end(guard: &Guard, admitted: &Admitted) -> Option<SessionEnd> {
    let within = guard.streams_end_within?;
    match admitted {
        Admitted::Caller(caller) => Some(guard.authenticator.session_end(caller, within)),
        Admitted::Foreign(_) => None,
    }
}

/// The refusal in the words that the caller reads: gRPC's or HTTP's.
fn refuse(guard: &Guard, head: &Head<'_>, method: &Method, rejection: &Rejection) -> Response<Bytes> {
    let refusal = guard.refusals.answer(rejection);
    match grpc::call_type(method, head.content_type) {
        Some(call) => grpc::to_status(refusal, rejection, call.clone()),
        None if *method == Method::HEAD => without_body(refusal),
        None => refusal,
    }
}

/// Makes the head what the inner service shall see.
fn admit<B>(guard: &Guard, request: &mut Request<B>, outcome: Outcome, now: Moment) -> Admission {
    let headers = request.headers_mut();
    let authorization = if outcome.is_authorization_sent { headers.remove(AUTHORIZATION) } else { None };
    outcome.changes.make(headers, |place| {
        let value = value_of(outcome.admitted.as_ref(), place).cloned();
        value.unwrap_or_else(|| outcome.trace.to_header_value())
    });
    // Mostly no other header is long enough to hold a token.
    let bearer = authorization.as_ref().and_then(|value| after_scheme(value.as_bytes()));
    let shortest = bearer.map_or(conceal::LEAST_BYTES, |token| token.len().min(conceal::LEAST_BYTES));
    if outcome.longest >= shortest || outcome.token.is_some() {
        hide_tokens(guard, headers, bearer, &outcome);
    }
    let mut set_aside = None;
    if let Some(mut authorization) = authorization {
        authorization.set_sensitive(true);
        if guard.forward_authorization {
            headers.insert(AUTHORIZATION, authorization);
        } else if outcome.admitted.is_none() {
            set_aside = Some(SetAside(authorization));
        }
    }
    let Outcome { admitted, trace, .. } = outcome;
    let ended = admitted.as_ref().and_then(|admitted| session_end(guard, admitted));
    let passage = Passage { trace, refusals: guard.refusals.clone(), at: now.steady() };
    let extensions = request.extensions_mut();
    match admitted {
        Some(Admitted::Caller(caller)) => {
            extensions.insert(caller.passing(passage));
        }
        Some(Admitted::Foreign(caller)) => {
            extensions.remove::<Caller>();
            extensions.insert(caller.passing(passage));
        }
        None => {
            extensions.remove::<Caller>();
            extensions.remove::<ForeignCaller>();
            extensions.insert(passage);
            set_aside.map(|set_aside| extensions.insert(set_aside));
        }
    }
    Admission { ended, vary: guard.vary.clone() }
}

/// Removes the token that a caller was let in on from every other header, and what other tokens of ours there are.
fn hide_tokens(
    guard: &Guard,
    headers: &mut HeaderMap,
    bearer: Option<&[u8]>,
    outcome: &Outcome,
) {
    let token = bearer.or(outcome.token.as_deref()).filter(|_| outcome.admitted.is_some());
    match token {
        Some(token) => {
            conceal::remove_token(headers, token);
            conceal::remove_own_tokens(headers, &guard.authenticator);
            if guard.authenticator.reads_protocols() {
                conceal::remove_marker(headers);
            }
        }
        None if outcome.admitted.is_none() => {
            conceal::remove_own_tokens(headers, &guard.authenticator);
        }
        // A layer outside of this one has hidden all there is.
        None => {}
    }
}
