//! How far a request gets without I/O, and what must still be asked.

use std::sync::Arc;

use super::admitted::Admitted;
use crate::caller::VerifiedToken;
use crate::external_issuer::{ExternalToken, TrustedIssuer};
use crate::header::OwnedLines;

/// How far a request gets without I/O.
pub(crate) enum Begun {
    /// The request is let in.
    Admitted(Admitted),
    /// Something must be asked.
    Pending(Pending),
}

/// What must still be asked. It holds nothing of the request.
pub(crate) enum Pending {
    /// The token is verified. Its session must be looked up.
    Session(Arc<VerifiedToken>),
    /// The token is an external issuer's.
    External(PendingExternal),
}

/// A bearer token: a verified one of our own, or one that may be an external issuer's.
pub(super) enum Token {
    Own(Arc<VerifiedToken>),
    External(External),
}

/// An external issuer's token, as far as it gets without I/O.
pub(crate) enum External {
    /// The digest and the text of the token, and the issuer that it names. Nothing is verified yet.
    ToVerify(u128, Box<str>, Arc<TrustedIssuer>),
    /// The token is verified.
    Verified(Arc<ExternalToken>),
}

/// What must still be asked about an external issuer's token. Of the request it holds only the session that it
/// declared.
pub(crate) struct PendingExternal {
    pub(super) external: External,
    pub(super) declared: OwnedLines,
}
