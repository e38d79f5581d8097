//! Sessions: what the store takes and returns.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::{ClientProof, StoreError};
use crate::id::{
    AssertionHash, Audience, CallSource, ClientId, RefreshHash, Scopes, SessionId, UserId, shown_text,
};
use crate::token::Actor;

/// A session to open or renew.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewSession {
    /// The id that it gets.
    pub id: RequestedId,
    /// The OAuth client it is for.
    pub client: ClientId,
    /// What kind of program calls.
    pub call_source: CallSource,
    /// Where the request for it came from.
    pub origin: Origin,
    /// How long it lives from now, and again from each renewal and each refresh: the limit of inactivity.
    pub life: Duration,
    /// How long it may live since the person last signed in, however often it is refreshed.
    pub max_life: Duration,
    /// The hash of its first refresh token, if it gets one. Its earlier refresh tokens are unknown from then on, with
    /// or without a new one.
    pub refresh: Option<RefreshHash>,
    /// How many live sessions its user may have. For a [delegated](OpenSession::Delegated) session: how many live
    /// sessions may hang on the session of its device, at any depth; the next one is refused.
    pub limit: SessionLimit,
    /// The one resource that its tokens may be for. Default: none is named. A session that is opened by a code, a device
    /// grant or a hook client's credential has the resource of these instead.
    pub resource: Option<Audience>,
    /// The assertion that is spent with it. Default: none. Only a session that is opened by [`OpenSession::Vouched`] or
    /// [`OpenSession::Delegated`] spends one.
    pub assertion: Option<SpentAssertion>,
}

/// An assertion that vouches for a person or a workload, and is spent with the session that it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpentAssertion {
    /// Its issuer and `jti`. `None`: it may be used again, and only its age counts.
    pub hash: Option<AssertionHash>,
    /// How long it must be remembered.
    pub life: Duration,
    /// When it was issued: its `iat`. After the last revoke-all of the person it is worth nothing, as a code is.
    pub issued_at: SystemTime,
}

impl SpentAssertion {
    /// An assertion that was issued at `issued_at` and must be remembered for `life`.
    #[must_use]
    pub const fn new(hash: AssertionHash, life: Duration, issued_at: SystemTime) -> Self {
        Self { hash: Some(hash), life, issued_at }
    }

    /// An assertion that was issued at `issued_at` and may be used again.
    #[must_use]
    pub const fn reusable(issued_at: SystemTime) -> Self {
        Self { hash: None, life: Duration::ZERO, issued_at }
    }
}

/// The id that a session gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedId {
    /// Made by the server. It must be new.
    Fresh(SessionId),
    /// Declared by the bridge. It must be new, or the id of a live session of the same user and client.
    Declared(SessionId),
}

/// How many live sessions a user may have, without those of hook clients, and what happens beyond that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct SessionLimit {
    /// The most live sessions that a user may have; at least 1.
    pub max: u32,
    /// What happens when one more is asked for.
    pub when_full: WhenFull,
}

/// What happens when a user who has the most live sessions asks for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(rename_all = "lowercase"))]
pub enum WhenFull {
    /// Sessions are revoked: those that an assertion opened first, each least recently renewed first.
    Evict,
    /// The new session is refused.
    Refuse,
}

/// Where a session comes from. It is shown to people who list where they are signed in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The `User-Agent`, cut to 256 characters.
    pub user_agent: Option<String>,
    /// The address of the bridge: the peer address of the socket, or the address that trusted proxies report.
    pub address: Option<IpAddr>,
    /// The name that the bridge gives its device, cut to 256 characters.
    pub device_name: Option<String>,
    /// The external issuer whose assertion opened it, if one did. A session that is opened by a code, a device grant or a hook
    /// client's credential has none.
    pub issuer: Option<String>,
}

/// Who may open a session without a code.
#[derive(Debug, Clone)]
pub enum OpenSession {
    /// The host vouches for the user.
    Vouched {
        /// The user, who must be known.
        user: UserId,
        /// The scopes that were asked for.
        scopes: Scopes,
        /// The session to open.
        session: NewSession,
    },
    /// A hook client proves itself. [`NewSession::client`] names the client.
    Client {
        /// The person it belongs to.
        owner: UserId,
        /// What it proves itself with.
        proof: ClientProof,
        /// The scopes that were asked for.
        scopes: Scopes,
        /// The session to open.
        session: NewSession,
    },
    /// A client exchanges a token of a live session for a token of a session of its own (RFC 8693). The new session
    /// hangs on the old one, its *parent*, and ends with it.
    Delegated {
        /// The person of the parent.
        user: UserId,
        /// The session that the new one hangs on.
        parent: SessionId,
        /// Who acts for the person. `None`: nobody is named (impersonation).
        actor: Option<Box<Actor>>,
        /// The scopes that were asked for.
        scopes: Scopes,
        /// The session to open.
        session: NewSession,
    },
}

/// A session that was just opened or renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenedSession {
    /// Its id.
    pub id: SessionId,
    /// Its user; for a hook client's session, the client's owner.
    pub user: UserId,
    /// What kind of program it was opened for.
    pub call_source: CallSource,
    /// The scopes granted.
    pub scopes: Scopes,
    /// When the person last signed in, by the database's clock: when the code was issued, or now.
    pub authenticated_at: SystemTime,
    /// How long it lives from now, by the database's clock.
    pub expires_in: Duration,
    /// Whether it was live before this call.
    pub renewed: bool,
    /// The one resource that its tokens may be for, if its code was bound to one. A hook client's session has the
    /// resource of the device's session.
    pub resource: Option<Audience>,
    /// The sessions that were revoked to keep the limit.
    pub evicted: Vec<SessionId>,
}

/// Why no session was opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenSessionError {
    /// The host has not made the user known.
    #[error("the user is unknown: make the user known with Issuer::register_user or Store::put_user first")]
    UnknownUser,
    /// The user, or the client's owner, is disabled.
    #[error("the user is disabled")]
    UserDisabled,
    /// The client is unknown, or the proof fits none of its live credentials. A credential is live only while the
    /// session of its device is live.
    #[error("the client's credential is not good")]
    WrongSecret,
    /// The declared session id is revoked, expired, or of another user or client.
    #[error("the session id is taken")]
    SessionTaken,
    /// The user has as many live sessions as the limit allows.
    #[error("the user has too many sessions")]
    TooManySessions,
    /// The assertion was used before.
    #[error("the assertion was used before")]
    AssertionUsed,
    /// The parent of a delegated session is unknown, revoked, expired or another user's.
    #[error("the session that the new one would hang on has ended")]
    ParentEnded,
    /// The chain of delegated sessions is as long as it may be ([`Actor::MAX_DEPTH`]).
    #[error("the chain of delegated sessions is too long")]
    TooDeep,
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A session to look up: its id and the digest of the id. The digest is made once for many look-ups.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionKey {
    digest: u128,
    id: SessionId,
}

/// Identifies a row of a session.
///
/// A row keeps its mark, its id, its user, its client and its call source for as long as it exists. When the row was
/// swept and its id is declared again, the new row has another mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowMark(i64);

/// Whether the session of a row is live. It does not say whose the session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowState {
    /// The [digest](SessionKey::digest) of its id.
    pub digest: u128,
    /// Which row it is.
    pub row: RowMark,
    /// How long it has left, by the database's clock; zero once it has expired.
    pub expires_in: Duration,
    /// Whether it is live now, by the database's clock.
    pub state: SessionState,
}

/// What a look-up says about a session that has a row.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionStatus {
    /// Its id.
    pub id: SessionId,
    /// Which row it is.
    pub row: RowMark,
    /// Its user; for a hook client's session, the client's owner.
    pub user: UserId,
    /// Its OAuth client.
    pub client: ClientId,
    /// What kind of program it was opened for.
    pub call_source: CallSource,
    /// How long it has left, by the database's clock; zero once it has expired.
    pub expires_in: Duration,
    /// Whether it is live now, by the database's clock.
    pub state: SessionState,
}

/// Whether a session is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// Not revoked and not expired.
    Live,
    /// Revoked.
    Revoked,
    /// Past its expiry.
    Expired,
}

/// A live session, as its owner and operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Its user; for a hook client's session, the client's owner.
    pub user: UserId,
    /// Its OAuth client.
    pub client: ClientId,
    /// What kind of program it was opened for.
    pub call_source: CallSource,
    /// The scopes granted.
    pub scopes: Scopes,
    /// Where it was opened from, or last renewed from.
    pub origin: Origin,
    /// When it was opened.
    pub created_at: SystemTime,
    /// When it was last renewed, or opened if it was never renewed.
    pub renewed_at: SystemTime,
    /// When it expires if it is not renewed.
    pub expires_at: SystemTime,
    /// Its absolute end. A refresh never moves it.
    pub ends_at: SystemTime,
}

impl SessionKey {
    /// The key of `id`.
    #[must_use]
    pub fn of(id: SessionId) -> Self {
        Self { digest: Self::digest_of(&id), id }
    }

    /// The first half of the SHA-256 of `id`.
    pub(crate) fn digest_of(id: &SessionId) -> u128 {
        let digest: [u8; 32] = Sha256::digest(id.as_str().as_bytes()).into();
        let (half, _) = digest.split_first_chunk().expect("32 bytes begin with 16");
        u128::from_be_bytes(*half)
    }

    /// The id itself.
    #[must_use]
    pub const fn id(&self) -> &SessionId {
        &self.id
    }

    /// The first half of the SHA-256 of the id. Two ids could be made to share it.
    #[must_use]
    pub const fn digest(&self) -> u128 {
        self.digest
    }
}

impl RowMark {
    /// The mark of the row that was made at `time`, in a unit of the store's own. Two rows of one id are never made at
    /// the same time: at least an hour lies between them.
    #[must_use]
    pub const fn made_at(time: i64) -> Self {
        Self(time)
    }

    /// When the row was made, in the store's unit.
    #[must_use]
    pub const fn time(self) -> i64 {
        self.0
    }
}

impl SessionState {
    /// The state of a row that is `revoked` or not, and has `expires_in` left.
    #[must_use]
    pub const fn of(revoked: bool, expires_in: Duration) -> Self {
        match revoked {
            true => Self::Revoked,
            false if expires_in.is_zero() => Self::Expired,
            false => Self::Live,
        }
    }
}

impl OpenSession {
    /// The person that the session is for. For a hook client it is the owner of the client.
    #[must_use]
    pub fn person(&self) -> &UserId {
        match self {
            Self::Vouched { user, .. } | Self::Client { owner: user, .. } | Self::Delegated { user, .. } => {
                user
            }
        }
    }

    /// The session to open.
    #[must_use]
    pub fn session(&self) -> &NewSession {
        match self {
            Self::Vouched { session, .. }
            | Self::Client { session, .. }
            | Self::Delegated { session, .. } => session,
        }
    }
}

impl RequestedId {
    /// The id itself.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        match self {
            Self::Fresh(id) | Self::Declared(id) => id,
        }
    }
}

impl Origin {
    /// An origin about which nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        Self::default()
    }

    /// Sets the `User-Agent`. Characters that are not shown as themselves are dropped: control, format, private and
    /// unassigned characters, line and paragraph separators. What is longer than 256 characters is cut.
    #[must_use]
    pub fn user_agent(mut self, text: &str) -> Self {
        self.user_agent = shown_text(text, 256);
        self
    }

    /// Sets the address.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = Some(address.to_canonical());
        self
    }

    /// Sets the external issuer. Characters that are not shown are dropped, as by [`user_agent`](Self::user_agent).
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.issuer = shown_text(issuer, 256);
        self
    }

    /// Sets the device name. The same characters are dropped as by [`user_agent`](Self::user_agent).
    #[must_use]
    pub fn device_name(mut self, text: &str) -> Self {
        self.device_name = shown_text(text, 256);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_hold_no_control_characters_and_have_an_end() {
        let origin = Origin::unknown().user_agent("a\0b\r\nc\x1b[31m").device_name(&"é".repeat(1000));
        assert_eq!(origin.user_agent.as_deref(), Some("abc[31m"));
        assert_eq!(origin.device_name.unwrap().chars().count(), 256);
        assert_eq!(Origin::unknown().device_name("\t ").device_name, None);
    }

    #[test]
    fn attack_n14_a_label_holds_nothing_that_is_not_shown() {
        for hidden in [
            "\u{0}\u{7f}\u{85}",
            "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}",
            "\u{2066}\u{2067}\u{2068}\u{2069}\u{200e}\u{200f}\u{61c}",
            "\u{200b}\u{200c}\u{200d}\u{2060}\u{ad}\u{feff}",
            "\u{e0001}\u{e0041}\u{e007f}",
            "\u{2028}\u{2029}",
            "\u{e000}\u{f0000}\u{10fffd}",
            "\u{378}\u{ffff}",
        ] {
            let text = hidden.chars().fold("lap".to_owned(), |text, c| format!("{text}{c}t")) + hidden;
            let shown = format!("lap{}", "t".repeat(hidden.chars().count()));
            let origin = Origin::unknown().user_agent(&text).device_name(&text);
            assert_eq!(origin.user_agent.as_deref(), Some(&*shown), "{hidden:?}");
            assert_eq!(origin.device_name.as_deref(), Some(&*shown), "{hidden:?}");
            assert_eq!(Origin::unknown().device_name(hidden).device_name, None, "{hidden:?}");
        }
        let name = "José’s  laptop\u{a0}日本 e\u{301} 💻 (עברית)";
        assert_eq!(Origin::unknown().device_name(name).device_name.as_deref(), Some(name));
        let long = format!("{}{}", "\u{200b}".repeat(300), "a".repeat(300));
        assert_eq!(Origin::unknown().device_name(&long).device_name, Some("a".repeat(256)));
    }
}
