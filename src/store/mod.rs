//! Where users, codes, sessions, clients and revocations live: one trait of a few coarse operations,
//! each atomic.
//!
//! Two implementations come with the crate: `PostgresStore` (feature `postgres`) for real use and
//! `SqliteStore` (feature `sqlite`) for a single node without a server. One conformance suite,
//! `tests/store`, runs against both.
//!
//! # Stores outside this crate
//!
//! The structs here will grow. Make them with `new` and their builder methods; a store can make all that it returns. The enums
//! that a store acts on or judges with are closed ([`OpenSession`], [`RequestedId`], [`WhenFull`], [`ClientCredential`],
//! [`ClientProof`], [`SessionState`]): a new variant is a breaking change, so that no store overlooks it.

#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;

mod answers;
mod client;
mod code;
mod deadline;
mod device;
mod error;
mod fault_log;
mod inputs;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod pool_usage;
mod refresh;
mod revocation;
mod run_to_completion;
mod session;
mod tick;
mod user;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod write_queue;

pub use client::{
    Client, ClientCredential, ClientKey, ClientProof, KeyQuery, ProvisionClient, ProvisionClientError,
    ProvisionedClient,
};
pub use code::{GrantRefusal, IssueCodeError, NewCode, RedeemCode, RedeemError};
pub(crate) use deadline::{Deadlines, within_deadline};
pub use device::{Device, DeviceCursor, DevicePage, DeviceQuery, HookSession, InvalidCursor};
pub use error::{StoreError, StoreErrorKind};
pub(crate) use fault_log::log_fault;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresStore, PostgresStoreBuilder};
pub use refresh::{RefreshRefusal, RefreshSession, RefreshSessionError, RefreshStatus};
pub use revocation::{Revocation, RevocationCursor, RevocationPage, Revoke, Swept};
pub(crate) use run_to_completion::RunToCompletion;
pub use session::{
    NewSession, OpenSession, OpenSessionError, OpenedSession, Origin, RequestedId, RowMark, RowState,
    Session, SessionKey, SessionLimit, SessionState, SessionStatus, WhenFull,
};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteStore, SqliteStoreBuilder};
pub use tick::{Proof, Replication, RowStates, SessionStatuses, Tick};
pub use user::KnownUser;

use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::id::{AssertionHash, ClientId, RefreshHash, SessionId, UserId};

/// The one door to the database.
///
/// # What every implementation guarantees
///
/// - **Atomic.** Each operation happens whole or not at all, under any race, on any number of nodes,
///   whether its future is dropped, the connection is lost or the process dies.
/// - **The database's clock** decides what is expired, never the caller's.
/// - **The primary.** No operation reads a replica.
/// - **No false answers.** A fault is a [`StoreError`], never "unknown" or "not live".
/// - **Bounded.** All that is live of one person is bounded: [`NewSession::limit`] sessions, one session more for the hooks
///   of each of [`ProvisionClient::max_devices`] devices, and two credentials a device. What has expired counts as dead,
///   also before the sweep, and no operation takes longer for dead rows.
/// - **Fair.** The writes of one person take turns before they take a connection, and no write takes a connection that
///   [`session_statuses`](Self::session_statuses) and [`revocations_since`](Self::revocations_since) need.
///
/// # Cancel safety
///
/// A dropped future leaves its operation done or not done, never half done, and its connection
/// usable or closed, never back in the pool with an answer outstanding.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Makes `user` known, or gives a known user these scopes. It does not enable a disabled user.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    async fn put_user(&self, user: &KnownUser) -> Result<(), StoreError>;

    /// Stores a code for a known, enabled user and returns when it expires.
    ///
    /// A user has at most [`NewCode::max_open`] open codes: beyond that the oldest die.
    ///
    /// # Errors
    ///
    /// [`IssueCodeError`] when the user is unknown or disabled, or the store cannot answer.
    async fn issue_code(&self, code: NewCode) -> Result<SystemTime, IssueCodeError>;

    /// Spends a code and opens or renews a session, in one transaction with the check of the user.
    ///
    /// Of any number of racers on one code exactly one is answered `Ok`. On any error the code is as
    /// it was. The user row is locked before the session is opened, so that no session is ever live
    /// for a disabled user.
    ///
    /// In order: a code that is not stored is [`GrantRefusal::Unknown`]. One that is spent is
    /// [`GrantRefusal::Replayed`], **and the session its first use opened is revoked** (with what
    /// [`Revoke::Session`] takes along), whatever else was presented. One past its expiry, or issued
    /// before the last revoke-all of its user, is [`GrantRefusal::Expired`]. A disabled user is
    /// [`GrantRefusal::UserDisabled`]. A challenge that differs from the stored one, stands where
    /// none is stored, or is missing where one is, is [`GrantRefusal::WrongVerifier`]. A resource other than the one that the
    /// code is bound to is [`RedeemError::WrongResource`]. Then the
    /// session is opened as [`Store::open_session`] says, with the scopes that the code was issued
    /// for and the user still holds, and bound to the code's resource.
    ///
    /// # Errors
    ///
    /// [`RedeemError`]: a refusal, a session id that is taken, or a store that cannot answer.
    async fn redeem_code(&self, redeem: RedeemCode) -> Result<OpenedSession, RedeemError>;

    /// Opens or renews a session without a code.
    ///
    /// A [`RequestedId::Declared`] id that is new is taken. One whose session is live, and belongs to
    /// the same user and the same client, is renewed: it gets the new scopes,
    /// origin and life (its expiry and its absolute end never move nearer), and keeps its call source.
    /// Any other is [`OpenSessionError::SessionTaken`]. A user's live
    /// sessions (hook clients' aside) stay within [`NewSession::limit`]: beyond that those are revoked, with all that hangs on
    /// them, that were renewed least recently ([`OpenedSession::evicted`]).
    ///
    /// It expires [`NewSession::life`] from now and ends for good [`NewSession::max_life`] from now, whichever comes first.
    /// With [`NewSession::refresh`] it gets its first refresh token. Those that it had before are unknown from now on, with
    /// or without a new one.
    ///
    /// [`OpenSession::Vouched`] opens it for a known, enabled user with those of the asked scopes
    /// that the user holds.
    ///
    /// [`OpenSession::Client`] checks the client's proof in the same transaction: it is good only while the session of its
    /// device is live. A device's hook client has **one live session**, a child of the device's: it is renewed, and only
    /// opened, under the asked id, when there is none. It expires with the device's session. The answer has those of
    /// the asked scopes that the client holds.
    ///
    /// # Errors
    ///
    /// [`OpenSessionError`].
    async fn open_session(&self, open: OpenSession) -> Result<OpenedSession, OpenSessionError>;

    /// Uses a refresh token: answers with a successor and extends its session, in one transaction.
    ///
    /// A token is good once. One that was never used is good however old it is, unless it was retired. Used again
    ///
    /// - within [`RefreshSession::grace`] it is answered with another successor beside the first: so of any number of racers
    ///   on one token all are answered `Ok`, and go on apart;
    /// - later, while **nothing that it was answered with was ever used** (the answer was lost), it is answered again, a grace
    ///   begins anew, and what it was answered with before is *retired*;
    /// - later, after something that it was answered with was used, it is [`RefreshRefusal::Reused`], as is a retired token
    ///   whenever it comes, **and the session is revoked** (with what [`Revoke::Session`] takes along), whatever scopes it asks
    ///   for: two hold it.
    ///
    /// In order: a token that is not stored, or was forgotten, is [`RefreshRefusal::Unknown`]; one of a session that is not
    /// live is [`RefreshRefusal::SessionEnded`]; one of another client [`RefreshRefusal::WrongClient`]; then reuse is judged;
    /// a disabled user is [`RefreshRefusal::UserDisabled`]; scopes that the session would not keep are
    /// [`RefreshSessionError::Scopes`]; a resource other than the one that the session is bound to is
    /// [`RefreshSessionError::WrongResource`]. None of these but reuse changes anything.
    ///
    /// The session then expires [`RefreshSession::life`] from now, or at its absolute end if that is sooner, but never sooner
    /// than it would have. It keeps those of its scopes that the user still holds, and gets the new origin, but for a device
    /// name that is not told. The answer has the scopes that were asked for, and when the person last signed in.
    ///
    /// # Errors
    ///
    /// [`RefreshSessionError`].
    async fn refresh_session(&self, refresh: RefreshSession) -> Result<OpenedSession, RefreshSessionError>;

    /// What is to say of a refresh token now; `None` when it is not stored. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    async fn refresh_status(&self, token: &RefreshHash) -> Result<Option<RefreshStatus>, StoreError>;

    /// Looks many sessions up by primary key in one query, and judges each by the database's clock.
    ///
    /// A session without a row is left out. The order of the answer is not that of `ids`. The answer names the newest
    /// [`tick`](Self::tick) that its snapshot shows: only so is known how old it may be.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer, or its server takes no writes: it is then not known whether they are live.
    async fn session_statuses(&self, ids: &[SessionId]) -> Result<SessionStatuses, StoreError>;

    /// The same as [`session_statuses`](Self::session_statuses) for less: it leaves out whose the sessions are.
    ///
    /// It is asked for sessions whose status was seen before. What it says of a row counts only for a session whose status
    /// had the same [`RowState::row`]: then it is the same row, and so of the same user and client. A row may be found by the
    /// digest alone. `sessions` holds none twice. The default asks for the statuses.
    ///
    /// # Errors
    ///
    /// As of [`session_statuses`](Self::session_statuses).
    async fn row_states(&self, sessions: &[SessionKey]) -> Result<RowStates, StoreError> {
        let ids: Vec<_> = sessions.iter().map(|session| session.id().clone()).collect();
        let SessionStatuses { found, tick } = self.session_statuses(&ids).await?;
        let found = found.into_iter().map(|SessionStatus { id, row, expires_in, state, .. }| RowState {
            digest: SessionKey::digest_of(&id),
            row,
            expires_in,
            state,
        });
        Ok(RowStates { found: found.collect(), tick })
    }

    /// Writes, and waits until that is acknowledged as every other write is: by the whole synchronous set, where there is one.
    ///
    /// So it proves that the server could still acknowledge writes **when this was called**: a primary that was replaced, and
    /// does not know it, never can. A tick that is acknowledged with a warning, or whose wait was cancelled, proves nothing, and is
    /// an error. A store of one server that nothing can replace may answer at once, with the same tick each time.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it is not acknowledged, or not in time.
    async fn tick(&self) -> Result<Proof, StoreError>;

    /// The live sessions of `user` that `query` asks for, newest first, each with what hangs on it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    async fn devices_of(&self, user: &UserId, query: &DeviceQuery) -> Result<DevicePage, StoreError>;

    /// Revokes, writes the revocation log in the same transaction, and returns how many sessions
    /// that were not revoked before are now, `None` when the session or the user that `target` names
    /// is unknown (for [`Revoke::SessionOf`] also when it is another user's).
    ///
    /// Idempotent. Once it returns, no later look-up on any node says live. What each target takes
    /// along stands at [`Revoke`]. The work is bounded, whatever the person did before; that of [`Revoke::Client`] is not.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer: the revocation may or may not have happened.
    async fn revoke(&self, target: &Revoke) -> Result<Option<u64>, StoreError>;

    /// Disables `user` and does what [`Revoke::User`] does, in one transaction. `false` when the user
    /// is unknown. Idempotent.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer: the user may or may not be disabled.
    async fn disable_user(&self, user: &UserId) -> Result<bool, StoreError>;

    /// Enables `user` again; what was revoked stays revoked. `false` when the user is unknown.
    /// Idempotent.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    async fn enable_user(&self, user: &UserId) -> Result<bool, StoreError>;

    /// Inserts a hook client or adds a credential (a secret or a public key) to it, in one statement.
    ///
    /// A device ([`ProvisionClient::session`]) has at most two live credentials: the new one, and the one before, which stays
    /// good for [`ProvisionClient::overlap`] more; that is to be longer than an answer may be on its way. One that was
    /// committed **after this call reached the database** is not replaced by it. So no credential that was returned last is
    /// dead; a call beside which two others were answered is [`ProvisionClientError::Overlapped`]. Two later calls, the second begun after
    /// the first was committed, end a credential at once, also while its own answer is on its way. A key that the client has
    /// already becomes this device's, and its alone: so it ends with the session that brought it last.
    ///
    /// A credential is live only while the session of its device is. A client has live credentials of at most
    /// [`ProvisionClient::max_devices`] devices: beyond that the call is refused.
    ///
    /// # Errors
    ///
    /// [`ProvisionClientError`]: the asking session is no longer live, the user is disabled, all places are
    /// taken, or the store cannot answer.
    async fn provision_client(
        &self,
        provision: ProvisionClient,
    ) -> Result<ProvisionedClient, ProvisionClientError>;

    /// The client, when `proof` fits one of its live credentials and its owner is enabled.
    ///
    /// A secret is never taken for a key, nor a key for a secret. Compares in constant time, and does the same work for an
    /// unknown client.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer: the proof may be good.
    async fn verify_client(
        &self,
        client: &ClientId,
        proof: &ClientProof,
    ) -> Result<Option<Client>, StoreError>;

    /// The live public keys of a client, of [`KeyQuery::algorithm`], that answer to [`KeyQuery::key_id`] (the JWK's `kid`, or the
    /// thumbprint in base64url), or without one all of the algorithm: newest first, at most two. None for an unknown client, and
    /// none when its owner is disabled.
    ///
    /// Every key that is returned costs a verification, which anybody may ask for: so never more than two.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    async fn client_keys(&self, client: &ClientId, query: &KeyQuery) -> Result<Vec<ClientKey>, StoreError>;

    /// Remembers for `life` that an assertion was used; `false` when it was before. Of any number of racers one is
    /// answered `true`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer: the assertion may or may not count as used.
    async fn spend_assertion(&self, assertion: &AssertionHash, life: Duration) -> Result<bool, StoreError>;

    /// The revocations that a reader at `cursor` may not have seen.
    ///
    /// Every revocation that was acknowledged before this call began, and after the call that gave
    /// `cursor`, is in the page: commits out of order, and transactions that stay open, hide none.
    /// One may come more than once. When there are more than `limit`, [`RevocationPage::entries`] is
    /// `None`: forget every verdict and go on from [`RevocationPage::next`]. The page names the newest
    /// [`tick`](Self::tick) that its snapshot shows.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer, or its server takes no writes.
    async fn revocations_since(
        &self,
        cursor: &RevocationCursor,
        limit: u32,
    ) -> Result<RevocationPage, StoreError>;

    /// A channel that changes when something may have been revoked, sooner than it takes to ask.
    ///
    /// A hint and nothing more: it may be late, lost or for nothing, so whoever listens must read the log now and
    /// then by itself. The default gives none.
    fn revocation_hints(&self) -> Option<watch::Receiver<()>> {
        None
    }

    /// Deletes at most `limit` dead rows of each table, and returns how many.
    ///
    /// A code goes a day after it expired (until then a replay is recognised); a session an hour
    /// after it expired, revoked or not, because a token never outlives its session and an id must
    /// not come back while a token names it, and its refresh tokens and credentials with it; a client credential after its
    /// overlap; a revocation after a day; an assertion once its life is over. A live row never goes.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    async fn sweep(&self, limit: u32) -> Result<Swept, StoreError>;

    /// Whether the store can answer, and takes writes. Whether a write is acknowledged, [`tick`](Self::tick) tells.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it cannot.
    async fn ping(&self) -> Result<(), StoreError>;

    /// How its pool fares; `None` where there is none to tell of. The default.
    fn pool_status(&self) -> Option<PoolStatus> {
        None
    }
}

/// How the pool of a store fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PoolStatus {
    /// How many connections the store may have at once: what a server must have room for.
    pub size: usize,
    /// How many are lent now, also to statements that nobody waits for any more.
    pub connections_out: usize,
    /// How long the last operation waited for one, in vain or not. Look-ups, and whatever else has connections of its own, are
    /// told apart: this is the longest.
    pub last_wait: Duration,
}
