//! Revocation: what can be revoked, the log of it, and the broom.

use super::Tick;
use crate::id::{ClientId, SessionId, UserId};

/// What to revoke.
///
/// What expired less than a minute ago is revoked like what is live: a clock may be set back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revoke {
    /// One session: with it go the credentials and the session of its device's hooks. The session itself is revoked however
    /// long ago it expired.
    Session(SessionId),
    /// One session, if it belongs to this user: another's is as good as unknown.
    SessionOf {
        /// The user who must own it.
        user: UserId,
        /// The session.
        session: SessionId,
    },
    /// All of a user: every session (hook clients' too), every open code, every hook credential.
    User(UserId),
    /// All of a client: every session it has, with what [`Session`](Self::Session) takes along, and every credential. It alone
    /// may touch every session there is.
    Client(ClientId),
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
    /// Which of the log's lives the place belongs to, where it may have several.
    pub(crate) era: i64,
    /// The tick that the page before showed.
    pub(crate) tick: Tick,
}

/// What happened since a place in the revocation log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RevocationPage {
    /// The entries, in no particular order; `None` when they are too many to hand over.
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
    /// Refresh tokens, before the sessions they belong to.
    pub refresh_tokens: u64,
    /// Client assertions that may be forgotten.
    pub assertions: u64,
}

impl Swept {
    /// All rows together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.codes + self.sessions + self.secrets + self.revocations + self.refresh_tokens + self.assertions
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
    }
}
