//! How far a request got without I/O, and what is still to be asked.

use std::sync::Arc;

use super::admitted::Admitted;
use crate::caller::VerifiedToken;
use crate::external_issuer::{ExternalToken, TrustedIssuer};
use crate::header::OwnedLines;

/// How far a request got without I/O.
pub(crate) enum Begun {
    /// It is in.
    Admitted(Admitted),
    /// There is something to be asked.
    Pending(Pending),
}

/// What is still to be asked. It holds nothing of the request.
pub(crate) enum Pending {
    /// The token is good; its session is to be looked up.
    Session(Arc<VerifiedToken>),
    /// The token is another issuer's.
    External(PendingExternal),
}

/// A bearer token: one of our own that holds, or one that may be another issuer's.
pub(super) enum Token {
    Own(Arc<VerifiedToken>),
    External(External),
}

/// A token of another issuer, as far as it got without I/O.
pub(crate) enum External {
    /// This text, with this digest, says it is of this issuer.
    Unverified(u128, Box<str>, Arc<TrustedIssuer>),
    /// It is good.
    Verified(Arc<ExternalToken>),
}

/// What is left to ask about another issuer's token. It holds nothing of the request but the session that was declared with it.
pub(crate) struct PendingExternal {
    pub(super) external: External,
    pub(super) declared: OwnedLines,
}
