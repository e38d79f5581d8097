//! Why a request is refused.

use http::StatusCode;

use crate::id::Scopes;
use crate::store::StoreErrorKind;
use crate::token::{CallerKind, InvalidToken};

/// Why a request was not let in.
///
/// The layer puts it into the extensions of its response, for the host's logs and metrics. The caller sees only the
/// [`code`](Self::code).
///
/// | rejection | status | `code` | `WWW-Authenticate` | of a gRPC call |
/// |---|---|---|---|---|
/// | [`CredentialTooLarge`](Self::CredentialTooLarge) | 431 | `credential_too_large` | none | `RESOURCE_EXHAUSTED` |
/// | [`InvalidRequest`](Self::InvalidRequest) | 400 | `invalid_request` | `error="invalid_request"` | `INVALID_ARGUMENT` |
/// | [`NoCredential`](Self::NoCredential) | 401 | `credential_required` | without `error`, `scope` | `UNAUTHENTICATED` |
/// | [`InvalidCredential`](Self::InvalidCredential) | 401 | `invalid_token` | `error="invalid_token"`, `scope` | `UNAUTHENTICATED` |
/// | [`CrossSite`](Self::CrossSite) | 403 | `cross_site` | none | `PERMISSION_DENIED` |
/// | [`InsufficientScope`](Self::InsufficientScope), [`CallerKind`](Self::CallerKind), [`ExternalCaller`](Self::ExternalCaller) | 403 | `insufficient_scope` | `error="insufficient_scope"`, `scope` | `PERMISSION_DENIED` |
/// | [`Unavailable`](Self::Unavailable), [`IssuerUnavailable`](Self::IssuerUnavailable) | 503, `Retry-After` (none if [somebody must correct the cause](StoreErrorKind::Misconfigured)) | `temporarily_unavailable` | none: the token may be good | `UNAVAILABLE`, `grpc-retry-pushback-ms` |
///
/// `scope` has the scopes that the layer requires, or the scopes of its protected resource. It is left out when there
/// are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The `Authorization` header, or the token in another place, is longer than a token may be.
    #[error("the credential is too large")]
    CredentialTooLarge,
    /// There is more than one credential, or it is malformed (RFC 6750 §3.1 `invalid_request`).
    #[error("{0}")]
    InvalidRequest(MalformedCredential),
    /// There is no bearer token.
    #[error("no bearer token")]
    NoCredential,
    /// The token, or the session that it names, is not good (RFC 6750 §3.1 `invalid_token`).
    #[error("{0}")]
    InvalidCredential(InvalidCredential),
    /// The token lacks a scope (RFC 6750 §3.1 `insufficient_scope`).
    #[error("a scope is missing: {required} are required")]
    InsufficientScope {
        /// All scopes that the route requires.
        required: Scopes,
    },
    /// The route is not for callers of this kind.
    #[error("the route is not for callers of the kind {found:?}")]
    CallerKind {
        /// The kind of the caller.
        found: CallerKind,
        /// All scopes that the route requires.
        required: Scopes,
    },
    /// The token is good, but it is another issuer's and has no session here. The route is for callers with a session.
    #[error("the route is for callers with a session, not for external callers")]
    ExternalCaller {
        /// All scopes that the route requires.
        required: Scopes,
    },
    /// The token is in a cookie, and a page of another site made the browser send it.
    #[error("a page of another site made the browser send the cookie")]
    CrossSite,
    /// The store could not answer, so nothing is known about the session.
    #[error("the session could not be looked up")]
    Unavailable(StoreErrorKind),
    /// The keys of another issuer could not be fetched in time, so nothing is known about the token.
    #[error("the issuer's keys could not be fetched")]
    IssuerUnavailable,
}

/// What is wrong with the form of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedCredential {
    /// There is more than one `Authorization` header, or another header or cookie with a token is sent more than once.
    #[error("more than one credential of one kind")]
    Repeated,
    /// There are tokens in more than one place: in `Authorization`, in the query (RFC 6750 §2), or in the [other
    /// places](crate::authenticate::Authenticator::token_from) that are read.
    #[error("a token in more than one place")]
    TwoCredentials,
    /// There is a token in the query, behind a layer that lets requests without a token in. A token in the query is
    /// never read, and it would reach the handler.
    #[error("a token in the query")]
    InQuery,
    /// `Authorization` is not a scheme and a token (RFC 9110 §11.4, RFC 6750 §2.1).
    #[error("malformed Authorization header")]
    Malformed,
}

/// Why a token, or its session, is not good. Only logs and metrics show it; the caller does not see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCredential {
    /// The token itself is not good.
    #[error("{0}")]
    Token(#[from] InvalidToken),
    /// The token is for another audience.
    #[error("wrong audience")]
    Audience,
    /// The session has no row.
    #[error("unknown session")]
    SessionUnknown,
    /// The session is revoked.
    #[error("session revoked")]
    SessionRevoked,
    /// The session has expired.
    #[error("session expired")]
    SessionExpired,
    /// The session is live, and that of an actor of the token is not.
    #[error("the session of an actor has ended")]
    ActorSessionEnded,
    /// The session belongs to a user or client other than those in the token.
    #[error("the session belongs to another user or client")]
    SessionOfAnother,
    /// The `x-session-id` header names a session other than the token's.
    #[error("x-session-id differs from the token's session")]
    SessionIdMismatch,
}

impl Rejection {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::CredentialTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::InvalidRequest(_) => StatusCode::BAD_REQUEST,
            Self::NoCredential | Self::InvalidCredential(_) => StatusCode::UNAUTHORIZED,
            Self::InsufficientScope { .. }
            | Self::CallerKind { .. }
            | Self::ExternalCaller { .. }
            | Self::CrossSite => StatusCode::FORBIDDEN,
            Self::Unavailable(_) | Self::IssuerUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The stable word that the caller is told.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::CredentialTooLarge => "credential_too_large",
            Self::InvalidRequest(_) => "invalid_request",
            Self::NoCredential => "credential_required",
            Self::InvalidCredential(_) => "invalid_token",
            Self::InsufficientScope { .. } | Self::CallerKind { .. } | Self::ExternalCaller { .. } => {
                "insufficient_scope"
            }
            Self::CrossSite => "cross_site",
            Self::Unavailable(_) | Self::IssuerUnavailable => "temporarily_unavailable",
        }
    }

    /// The stable word for the exact reason, one of a bounded set. It is for logs and metric labels, never for the
    /// caller.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::CredentialTooLarge => "credential_too_large",
            Self::InvalidRequest(MalformedCredential::Repeated) => "repeated_authorization",
            Self::InvalidRequest(MalformedCredential::TwoCredentials) => "two_credentials",
            Self::InvalidRequest(MalformedCredential::InQuery) => "token_in_query",
            Self::InvalidRequest(MalformedCredential::Malformed) => "malformed_authorization",
            Self::NoCredential => "no_credential",
            Self::InvalidCredential(credential) => credential.reason(),
            Self::InsufficientScope { .. } => "insufficient_scope",
            Self::CallerKind { .. } => "caller_kind",
            Self::ExternalCaller { .. } => "external_caller",
            Self::CrossSite => "cross_site",
            Self::Unavailable(StoreErrorKind::Unavailable) => "store_unavailable",
            Self::Unavailable(StoreErrorKind::TimedOut) => "store_timed_out",
            Self::Unavailable(StoreErrorKind::ReadOnly) => "store_read_only",
            Self::Unavailable(StoreErrorKind::Full) => "store_full",
            Self::Unavailable(StoreErrorKind::Moved) => "store_moved",
            Self::Unavailable(StoreErrorKind::Failed) => "store_failed",
            Self::Unavailable(StoreErrorKind::Misconfigured) => "store_misconfigured",
            Self::Unavailable(StoreErrorKind::Unproven) => "freshness_unproven",
            Self::IssuerUnavailable => "issuer_unavailable",
        }
    }

    /// What the caller may do about it, in a sentence that gives no details away.
    pub(crate) fn detail(&self) -> &'static str {
        match self {
            Self::CredentialTooLarge => "The credential is larger than any token issued here.",
            Self::InvalidRequest(_) => "Send exactly one Authorization header of the form: Bearer <token>.",
            Self::NoCredential => "Send an access token in the Authorization header: Bearer <token>.",
            Self::InvalidCredential(_) => {
                "The access token is not valid here. Refresh it, or link the bridge again."
            }
            Self::InsufficientScope { .. } | Self::CallerKind { .. } | Self::ExternalCaller { .. } => {
                "The access token does not allow this."
            }
            Self::CrossSite => "A page of another site may not do this.",
            Self::Unavailable(StoreErrorKind::Misconfigured) => {
                "The session cannot be checked until this gateway is repaired. Keep the token."
            }
            Self::Unavailable(_) => "The session cannot be checked right now. Keep the token and try again.",
            Self::IssuerUnavailable => "The token cannot be checked right now. Keep it and try again.",
        }
    }
}

impl InvalidCredential {
    fn reason(&self) -> &'static str {
        match self {
            Self::Token(token) => token.reason(),
            Self::Audience => "wrong_audience",
            Self::SessionUnknown => "session_unknown",
            Self::SessionRevoked => "session_revoked",
            Self::SessionExpired => "session_expired",
            Self::ActorSessionEnded => "actor_session_ended",
            Self::SessionOfAnother => "session_of_another",
            Self::SessionIdMismatch => "session_id_mismatch",
        }
    }
}

impl From<InvalidCredential> for Rejection {
    fn from(credential: InvalidCredential) -> Self {
        Self::InvalidCredential(credential)
    }
}
