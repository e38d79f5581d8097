//! The answer to a refused request, in the host's words.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};

use super::challenge::Challenge;
use super::error_body::RejectionBody;
use super::reason::Rejection;
use super::refusal::Refusal;
use crate::header::X_TRACE_ID;
use crate::id::{Scopes, Trace, TraceId};
use crate::store::StoreErrorKind;
use crate::telemetry::{self, RefusedRequest, RefusedWith, RequestLog};

/// How a host words its rejections.
#[derive(Clone)]
pub(crate) struct RejectionFormat {
    pub(crate) challenge: Challenge,
    pub(crate) body: Arc<dyn RejectionBody>,
    pub(crate) request_log: Arc<RequestLog>,
}

impl RejectionFormat {
    /// The answer to a refused request. The rejection is logged and counted.
    pub(crate) fn refuse(
        &self,
        request: RefusedRequest<'_>,
        refusal: Refusal,
        trace: &Trace,
    ) -> Response<Bytes> {
        let (rejection, known) = refusal.known();
        let trace = trace.id();
        telemetry::count_refused(rejection.reason());
        let with = RefusedWith {
            status: rejection.status().as_u16(),
            code: rejection.code(),
            reason: rejection.reason(),
            words: &rejection,
        };
        self.request_log.refused(request, with, &known, &trace);
        self.answer(rejection, &trace)
    }

    /// The answer to a refused request. The rejection is in its extensions.
    fn answer(&self, rejection: Rejection, trace: &TraceId) -> Response<Bytes> {
        let (content_type, content) = self.body.body_in_trace(&rejection, trace);
        let mut response = Response::new(content);
        *response.status_mut() = rejection.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        headers.insert(VARY, HeaderValue::from_static("authorization"));
        headers.insert(X_TRACE_ID, trace.to_header_value());
        if let Some(value) = self.challenge(&rejection) {
            headers.insert(WWW_AUTHENTICATE, value);
        }
        // A retry helps only if the fault may pass.
        let may_pass = rejection != Rejection::Unavailable(StoreErrorKind::Misconfigured);
        if rejection.status() == StatusCode::SERVICE_UNAVAILABLE && may_pass {
            headers.insert(RETRY_AFTER, HeaderValue::from(self.challenge.retry_after.as_secs().max(1)));
        }
        response.extensions_mut().insert(rejection);
        response
    }

    /// The `WWW-Authenticate` value, if there is one.
    fn challenge(&self, rejection: &Rejection) -> Option<HeaderValue> {
        let challenge = &self.challenge;
        match rejection {
            Rejection::CredentialTooLarge
            | Rejection::CrossSite
            | Rejection::Unavailable(_)
            | Rejection::IssuerUnavailable => None,
            Rejection::NoCredential => Some(challenge.bare()),
            Rejection::InvalidRequest(_) => Some(challenge.write(Some(rejection.code()), &Scopes::default())),
            Rejection::InvalidCredential(_) => {
                Some(challenge.write(Some(rejection.code()), &challenge.scopes))
            }
            Rejection::InsufficientScope { required }
            | Rejection::CallerKind { required, .. }
            | Rejection::ExternalCaller { required } => {
                Some(challenge.write(Some(rejection.code()), required))
            }
        }
    }
}

impl fmt::Debug for RejectionFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RejectionFormat").field("challenge", &self.challenge).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::super::error_body::ProblemJson;
    use super::super::reason::InvalidCredential;
    use super::*;
    use crate::token::InvalidToken;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn answer(rejection: &Rejection) -> Response<Bytes> {
        let challenge = Challenge {
            realm: Some("gateway".to_owned()),
            resource_metadata: Some(
                Url::parse("https://g.example/.well-known/oauth-protected-resource").unwrap(),
            ),
            ..Challenge::default()
        };
        let format = RejectionFormat { challenge, body: Arc::new(ProblemJson), request_log: Arc::default() };
        format.answer(rejection.clone(), &TraceId::parse(TRACE).unwrap())
    }

    #[test]
    fn no_credential_is_challenged_without_an_error() {
        let response = answer(&Rejection::NoCredential);
        assert_eq!(response.status(), 401);
        assert_eq!(
            response.headers()[WWW_AUTHENTICATE],
            "Bearer realm=\"gateway\", resource_metadata=\"https://g.example/.well-known/oauth-protected-resource\""
        );
    }

    #[test]
    fn every_answer_names_its_trace_in_a_header_and_in_the_body() {
        let response = answer(&Rejection::NoCredential);
        assert_eq!(response.headers()[X_TRACE_ID], TRACE);
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["trace_id"], TRACE);
    }

    #[test]
    fn every_bad_credential_is_answered_alike() {
        let all = [
            InvalidCredential::Audience,
            InvalidCredential::SessionUnknown,
            InvalidCredential::SessionRevoked,
            InvalidCredential::SessionExpired,
            InvalidCredential::ActorSessionEnded,
            InvalidCredential::SessionOfAnother,
            InvalidCredential::SessionIdMismatch,
            InvalidCredential::Token(InvalidToken::Expired),
        ];
        let seen = |reason: &InvalidCredential| {
            let response = answer(&Rejection::InvalidCredential(reason.clone()));
            (response.status(), format!("{:?}", response.headers()), response.into_body())
        };
        let first = seen(&all[0]);
        assert!(first.1.contains("error=\\\"invalid_token\\\""), "{}", first.1);
        assert!(all.iter().all(|reason| seen(reason) == first));
    }

    #[test]
    fn an_unreachable_store_calls_no_token_bad() {
        let response = answer(&Rejection::Unavailable(StoreErrorKind::TimedOut));
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert!(!response.headers().contains_key(WWW_AUTHENTICATE));
        assert!(response.extensions().get::<Rejection>().is_some());
    }

    #[test]
    fn a_store_that_somebody_must_mend_tells_nobody_to_try_again() {
        let rejection = Rejection::Unavailable(StoreErrorKind::Misconfigured);
        let response = answer(&rejection);
        assert_eq!(response.status(), 503);
        assert!(!response.headers().contains_key(RETRY_AFTER));
        assert!(!response.headers().contains_key(WWW_AUTHENTICATE));
        assert_eq!(
            (rejection.code(), rejection.reason()),
            ("temporarily_unavailable", "store_misconfigured")
        );
    }

    #[test]
    fn a_missing_scope_names_all_that_are_needed() {
        let required = Scopes::parse("b a").unwrap();
        let response = answer(&Rejection::InsufficientScope { required });
        let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.ends_with("error=\"insufficient_scope\", scope=\"a b\""), "{challenge}");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }
}
