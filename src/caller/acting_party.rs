//! Who acts, as an actor token says (RFC 8693 §2.1).

use crate::id::{SessionId, UserId};
use crate::rejection::Rejection;
use crate::token::Actor;

/// The party that a good actor token names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ActingParty {
    pub(crate) actor: Actor,
    /// The person of this gateway, when the party is one.
    pub(crate) user: Option<UserId>,
    /// The session of the token. `None`: an external issuer's token that is mapped to no session.
    pub(crate) session: Option<SessionId>,
    /// The second from which the token is no longer good.
    pub(crate) expires_at: u64,
}

/// Why an actor token names nobody who may act.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoActingParty {
    /// It is no token that is good here now, or that cannot be known.
    Rejected(Rejection),
    /// It was delegated itself. So its subject is not the one who acts.
    Delegated,
    /// It is a hook's.
    Hook,
}

impl From<Rejection> for NoActingParty {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}
