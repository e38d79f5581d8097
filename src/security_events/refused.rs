//! Why a message is not taken.

use std::time::Duration;

use crate::external_issuer::TrustedIssuer;
use crate::store::{StoreError, StoreErrorKind};
use crate::telemetry::quoted;
use crate::token::InvalidToken;

/// Why a message is not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It is not good. The text is for the log.
    Message(RefusedMessage, String),
    /// The store or the host's mapper could not answer: it may or may not be done.
    Unavailable(StoreError),
    /// It is not known now which keys this issuer has.
    KeysUnavailable(String),
    /// This issuer has sent too many. Nothing was done.
    TooMany(String, Duration),
}

/// What is wrong with a message, in the words of RFC 8935 §2.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusedMessage {
    Request,
    Key,
    Issuer,
    Audience,
    Authentication,
    Access,
    /// SSF 1.0 §8.1.4.2
    State,
}

impl RefusedMessage {
    /// RFC 8935 §2.4.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Request => "invalid_request",
            Self::Key => "invalid_key",
            Self::Issuer => "invalid_issuer",
            Self::Audience => "invalid_audience",
            Self::Authentication => "authentication_failed",
            Self::Access => "access_denied",
            Self::State => "invalid_state",
        }
    }

    /// What the sender of an event is told. The log learns what exactly is wrong.
    pub(crate) const fn told(self) -> &'static str {
        match self {
            Self::Request => "The body is not a security event token that is good here and now.",
            Self::Key => "The event is not signed with a key that the issuer publishes.",
            Self::Issuer => "The issuer is not one that this gateway trusts.",
            Self::Audience => "The event is for another audience.",
            Self::Authentication => "The transmitter has not shown who it is.",
            Self::Access => "The issuer may not send events to this gateway.",
            Self::State => "The state is not one that this gateway has sent for this stream.",
        }
    }
}

pub(super) fn refused_token(reason: InvalidToken) -> Refused {
    let what = match reason {
        InvalidToken::Algorithm | InvalidToken::UnknownKey | InvalidToken::Signature => RefusedMessage::Key,
        InvalidToken::Issuer => RefusedMessage::Issuer,
        _ => RefusedMessage::Request,
    };
    Refused::Message(what, reason.to_string())
}

pub(super) fn malformed(detail: &str) -> Refused {
    refuse(RefusedMessage::Request, detail)
}

pub(super) fn refuse(what: RefusedMessage, detail: &str) -> Refused {
    Refused::Message(what, detail.to_owned())
}

pub(super) fn no_access(trusted: &TrustedIssuer) -> Refused {
    let detail = format!("the issuer {} may not send this: nothing of it is taken", quoted(trusted.name()));
    Refused::Message(RefusedMessage::Access, detail)
}

/// The audience is that of a stream which is not set up: the event must come again.
pub(super) fn no_audience_yet() -> Refused {
    let why = "the event is for no audience of the stream as it is known here: the stream may be set up anew";
    Refused::Unavailable(StoreError::new(StoreErrorKind::Unavailable, why))
}
