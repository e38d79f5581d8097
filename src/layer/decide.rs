//! The decision over one request's head: no body, no inner service.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response};

use super::conceal;
use super::future::without_body;
use super::grpc;
use super::layer::Guard;
use crate::authenticate::{Admitted, Begun, SessionEnd, after_scheme, has_query_token, is_bare_token};
use crate::caller::Caller;
use crate::foreign::ForeignCaller;
use crate::header::{self, X_TRACE_ID};
use crate::id::TraceId;
use crate::observe;
use crate::passage::{Passage, SetAside};
use crate::reject::{MalformedCredential, Rejection};

/// The admission, or the refusal to answer with.
pub(super) type Verdict = Result<Admission, Response<Bytes>>;

/// The head to hand to the inner service, and what ends its answer early.
pub(super) struct Admission {
    pub(super) parts: Parts,
    pub(super) ended: Option<SessionEnd>,
    /// What the answer varies with beside `Authorization`.
    pub(super) vary: Option<Arc<HeaderValue>>,
}

/// A verdict, or the look-up it hangs on.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the common one: a box would cost each request"
)]
pub(super) enum Decision {
    Made(Verdict),
    Pending(PendingVerdict),
}

pub(super) type PendingVerdict = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// Decides at once where nothing must be looked up.
pub(super) fn decide(guard: &Arc<Guard>, parts: Parts) -> Decision {
    let outcome = match begin(guard, &parts) {
        Ok(Begun::Pending(pending)) => {
            let guard = guard.clone();
            return Decision::Pending(Box::pin(async move {
                let admitted = guard.authenticator.finish(pending, &parts.headers).await;
                conclude(&guard, parts, admitted.map(Some))
            }));
        }
        Ok(Begun::Admitted(admitted)) => Ok(Some(admitted)),
        Err(Rejection::NoCredential) if guard.optional => check_nobody(&parts).map(|()| None),
        Err(rejection) => Err(rejection),
    };
    Decision::Made(conclude(guard, parts, outcome))
}

/// Who calls, as far as it is known without I/O; an outer layer of the same bridge may have found out.
fn begin(guard: &Guard, parts: &Parts) -> Result<Begun, Rejection> {
    let outer = parts.extensions.get::<Passage>().and_then(|passage| passage.admitted.as_ref());
    let two_ways = Err(Rejection::InvalidRequest(MalformedCredential::TwoWays));
    let is_sent_elsewhere = || guard.authenticator.sees_token_elsewhere(&parts.headers);
    if let Some(outer) = outer
        && !parts.headers.contains_key(AUTHORIZATION)
        && let Some(verdict) = guard.authenticator.readmit(outer)
    {
        // The outer layer has taken the token away that it let the caller in on: this is another.
        return if is_sent_elsewhere() { two_ways } else { verdict.map(Begun::Admitted) };
    }
    if parts.uri.query().is_some()
        && has_query_token(&parts.uri)
        && (parts.headers.contains_key(AUTHORIZATION) || is_sent_elsewhere())
    {
        return two_ways;
    }
    guard.authenticator.begin(&parts.headers)
}

/// Refuses a request that would come in as nobody with a token that is not read.
fn check_nobody(parts: &Parts) -> Result<(), Rejection> {
    if has_query_token(&parts.uri) {
        return Err(Rejection::InvalidRequest(MalformedCredential::InQuery));
    }
    match parts.headers.get(AUTHORIZATION) {
        Some(value) if is_bare_token(value.as_bytes()) => {
            Err(Rejection::InvalidRequest(MalformedCredential::Malformed))
        }
        _ => Ok(()),
    }
}

/// Prepares the head for the inner service, or the refusal.
#[expect(clippy::result_large_err, reason = "a refusal is what the request ends with: it is not passed far")]
fn conclude(guard: &Guard, mut parts: Parts, outcome: Result<Option<Admitted>, Rejection>) -> Verdict {
    let trace = TraceId::continue_from(&mut parts.headers);
    match outcome {
        Ok(admitted) => {
            observe::admitted(admitted.as_ref(), &trace);
            let ended = admitted.as_ref().and_then(|admitted| session_end(guard, admitted));
            admit(guard, &mut parts, admitted, trace);
            Ok(Admission { parts, ended, vary: guard.vary.clone() })
        }
        Err(rejection) => {
            observe::refused(&rejection, &trace);
            Err(refuse(guard, &parts, &rejection))
        }
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
fn refuse(guard: &Guard, parts: &Parts, rejection: &Rejection) -> Response<Bytes> {
    let refusal = guard.refusals.answer(rejection);
    match grpc::call_type(&parts.method, &parts.headers) {
        Some(call) => grpc::to_status(refusal, rejection, call.clone()),
        None if parts.method == Method::HEAD => without_body(refusal),
        None => refusal,
    }
}

fn admit(guard: &Guard, parts: &mut Parts, admitted: Option<Admitted>, trace: TraceId) {
    let authorization = parts.headers.remove(AUTHORIZATION);
    match &admitted {
        Some(Admitted::Caller(caller)) => {
            parts.extensions.insert(caller.clone());
            hide_token(guard, &mut parts.headers, authorization.as_ref(), |headers, length| {
                caller.write_headers(headers, length)
            });
        }
        Some(Admitted::Foreign(caller)) => {
            // Nothing the identity headers could say is true of it: upstream would take its names for ours.
            write_no_caller(parts, &trace);
            parts.extensions.insert(caller.clone());
            hide_token(guard, &mut parts.headers, authorization.as_ref(), |_, _| true);
        }
        None => {
            write_no_caller(parts, &trace);
            conceal::remove_own_tokens(&mut parts.headers, &guard.authenticator);
        }
    }
    if let Some(mut authorization) = authorization {
        authorization.set_sensitive(true);
        if guard.forward_authorization {
            parts.headers.insert(AUTHORIZATION, authorization);
        } else if admitted.is_none() {
            parts.extensions.insert(SetAside(authorization));
        }
    }
    parts.extensions.insert(Passage { admitted, trace, refusals: guard.refusals.clone() });
}

/// Leaves no identity but the trace's.
fn write_no_caller(parts: &mut Parts, trace: &TraceId) {
    header::strip(&mut parts.headers);
    parts.headers.insert(X_TRACE_ID, trace.to_header_value());
    parts.extensions.remove::<Caller>();
    parts.extensions.remove::<ForeignCaller>();
}

/// Removes the token that a caller was let in on from every header, and what other tokens of ours there are. `write` is told
/// how long a value must be to hold one, and tells whether it met any.
fn hide_token(
    guard: &Guard,
    headers: &mut HeaderMap,
    authorization: Option<&HeaderValue>,
    write: impl FnOnce(&mut HeaderMap, usize) -> bool,
) {
    let bearer = authorization.and_then(|value| after_scheme(value.as_bytes()));
    let elsewhere = if bearer.is_none() { guard.authenticator.token_elsewhere(headers) } else { None };
    // A layer outside of this one has hidden it already where there is none.
    let token = bearer.or(elsewhere.as_deref());
    if write(headers, token.map_or(usize::MAX, |token| token.len().min(conceal::LEAST_BYTES)))
        && let Some(token) = token
    {
        conceal::remove_token(headers, token);
        conceal::remove_own_tokens(headers, &guard.authenticator);
        if guard.authenticator.reads_protocols() {
            conceal::remove_marker(headers);
        }
    }
}
