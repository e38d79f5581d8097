//! Revocation: what can be revoked, the revocation log, and the sweep.

use std::time::Duration;

use super::Tick;
use crate::id::{AssertionHash, ClientId, SessionId, UserId};

/// What to revoke.
///
/// Sessions, codes and device grants that expired less than a minute ago are revoked like live ones, because a clock may be set back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revoke {
    /// One session. Its credentials and all that hangs on it end with it: the session of its device's hooks, and
    /// [delegated](super::OpenSession::Delegated) sessions at any depth. The session itself is revoked even if it expired
    /// long ago.
    Session(SessionId),
    /// One session, if it belongs to this user. A session of another user is treated as unknown.
    SessionOf {
        /// The user who must own it.
        user: UserId,
        /// The session.
        session: SessionId,
    },
    /// Everything of a user: every session (those of hook clients and delegated ones too), every open code, every device grant that was
    /// allowed and not collected, every hook credential.
    User(UserId),
    /// Everything of a user that [`User`](Self::User) names, but for one session, all that hangs on it and its credentials.
    /// A session that is not live, or is another user's, keeps nothing.
    Others {
        /// The user.
        user: UserId,
        /// The session that stays. The session of a hook and a delegated session stay only with their device.
        keep: SessionId,
    },
    /// Everything of a client: every session it has, what [`Session`](Self::Session) names for each of them, every
    /// credential, and the open codes and allowed device grants that it has not collected. Only this target may change every session of the database.
    Client(ClientId),
}

/// What a security event of an external issuer does here, once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityEvent {
    /// The issuer and `jti` of the event.
    pub event: AssertionHash,
    /// How long the event must be remembered as done.
    pub life: Duration,
    /// What it does.
    pub action: EventAction,
}

/// What a security event does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventAction {
    /// [`Store::revoke`](super::Store::revoke).
    Revoke(Revoke),
    /// [`Store::disable_user`](super::Store::disable_user). An unknown user becomes known, disabled and without scopes: so nobody who is
    /// made known later comes in.
    Disable(UserId),
}

/// What became of a security event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOutcome {
    /// It was done. So many sessions were revoked; `None`: what it names was unknown.
    Done(Option<u64>),
    /// It was done before. Nothing was changed.
    DoneBefore,
}

/// What is remembered when all of `user` is revoked by an event, and nobody is called so yet.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) fn revocation_mark(user: &UserId) -> AssertionHash {
    AssertionHash::of_message("all_of_a_person", user.as_str(), "")
}

impl SecurityEvent {
    /// The event does `action`, and is remembered for `life`.
    #[must_use]
    pub const fn new(event: AssertionHash, life: Duration, action: EventAction) -> Self {
        Self { event, life, action }
    }
}

/// One entry of the revocation log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Revocation {
    /// This session.
    Session(SessionId),
    /// All sessions of this user.
    User(UserId),
    /// All sessions of this client.
    Client(ClientId),
}

/// A place in the revocation log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RevocationCursor {
    pub(crate) place: u64,
    /// The era of the log that the place belongs to. A log may have several eras.
    pub(crate) era: i64,
    /// The tick that the previous page showed.
    pub(crate) tick: Tick,
}

/// The entries of the revocation log after a place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RevocationPage {
    /// The entries, in no particular order; `None` when there are more than the limit.
    pub entries: Option<Vec<Revocation>>,
    /// Where to go on.
    pub next: RevocationCursor,
    /// The newest tick that the server showed in the same answer.
    pub tick: Tick,
}

/// How many rows a sweep deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Swept {
    /// Codes.
    pub codes: u64,
    /// Sessions.
    pub sessions: u64,
    /// Client secrets and keys.
    pub secrets: u64,
    /// Entries of the revocation log.
    pub revocations: u64,
    /// Refresh tokens that were deleted before their sessions.
    pub refresh_tokens: u64,
    /// Client assertions whose life is over.
    pub assertions: u64,
    /// Device grants.
    pub device_grants: u64,
}

impl Swept {
    /// All rows together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.codes
            + self.sessions
            + self.secrets
            + self.revocations
            + self.refresh_tokens
            + self.assertions
            + self.device_grants
    }
}

impl std::ops::AddAssign for Swept {
    fn add_assign(&mut self, other: Self) {
        self.codes += other.codes;
        self.sessions += other.sessions;
        self.secrets += other.secrets;
        self.revocations += other.revocations;
        self.refresh_tokens += other.refresh_tokens;
        self.assertions += other.assertions;
        self.device_grants += other.device_grants;
    }
}
