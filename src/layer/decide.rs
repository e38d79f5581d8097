//! The decision over one request's head: no body, no inner service.

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response};

use super::layer::Guard;
use crate::authenticate::has_query_token;
use crate::caller::Caller;
use crate::header::{self, X_TRACE_ID};
use crate::id::TraceId;
use crate::observe;
use crate::passage::Passage;
use crate::reject::{MalformedCredential, Rejection};

/// The head to hand to the inner service, or the refusal to answer with.
pub(super) async fn decide(guard: &Guard, mut parts: Parts) -> Result<Parts, Response<Bytes>> {
    let outcome = caller(guard, &parts).await;
    let trace = TraceId::continue_from(&mut parts.headers);
    match outcome {
        Ok(caller) => {
            observe::admitted(caller.as_ref(), &trace);
            admit(guard, &mut parts, caller, trace);
            Ok(parts)
        }
        Err(rejection) => {
            observe::refused(&rejection, &trace);
            Err(guard.refusals.answer(&rejection))
        }
    }
}

/// Who calls; `None` is nobody, where that is allowed.
async fn caller(guard: &Guard, parts: &Parts) -> Result<Option<Caller>, Rejection> {
    if parts.headers.contains_key(AUTHORIZATION) {
        if has_query_token(&parts.uri) {
            return Err(Rejection::InvalidRequest(MalformedCredential::TwoWays));
        }
    } else if let Some(outer) = parts.extensions.get::<Passage>().and_then(|passage| passage.caller.as_ref())
        && let Some(verdict) = guard.authenticator.readmit(outer)
    {
        return verdict.map(Some);
    }
    match guard.authenticator.authenticate(&parts.headers).await {
        Err(Rejection::NoCredential) if guard.optional => Ok(None),
        verdict => verdict.map(Some),
    }
}

fn admit(guard: &Guard, parts: &mut Parts, caller: Option<Caller>, trace: TraceId) {
    match &caller {
        Some(caller) => {
            header::strip_misspelt(&mut parts.headers);
            caller.write_headers(&mut parts.headers);
            parts.extensions.insert(caller.clone());
            hide_token(guard, &mut parts.headers);
        }
        None => {
            header::strip(&mut parts.headers);
            parts.extensions.remove::<Caller>();
        }
    }
    parts.headers.insert(X_TRACE_ID, trace.to_header_value());
    parts.extensions.insert(Passage { caller, trace, refusals: guard.refusals.clone() });
}

fn hide_token(guard: &Guard, headers: &mut HeaderMap) {
    if guard.forward_authorization {
        headers.get_mut(AUTHORIZATION).into_iter().for_each(|value| HeaderValue::set_sensitive(value, true));
    } else {
        headers.remove(AUTHORIZATION);
    }
}
