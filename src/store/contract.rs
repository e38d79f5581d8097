//! What every store promises.

use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    Client, ClientKey, ClientProof, DecideDeviceGrant, DecideDeviceGrantError, DeviceGrant, DevicePage,
    DeviceQuery, EventOutcome, IssueCodeError, KeyQuery, KnownUser, NewCode, NewDeviceGrant, OpenSession,
    OpenSessionError, OpenedSession, PollDeviceGrant, PollDeviceGrantError, PoolStatus, Proof,
    ProvisionClient, ProvisionClientError, ProvisionedClient, RedeemCode, RedeemError, RefreshSession,
    RefreshSessionError, RefreshStatus, RevocationCursor, RevocationPage, Revoke, RowState, RowStates,
    SecurityEvent, SessionKey, SessionStatus, SessionStatuses, StartDeviceGrantError, StoreError, Swept,
    UserPage, UserQuery,
};
#[cfg(doc)]
use super::{GrantRefusal, NewSession, RefreshRefusal, RequestedId};
use crate::id::{AssertionHash, ClientId, RefreshHash, SessionId, UserCode, UserId};

/// The one way to the database.
///
/// # What every implementation guarantees
///
/// - **Atomic.** Each operation happens whole or not at all. This holds in every race, on any number of gateways, and when
///   the operation's future is dropped, the connection is lost or the process dies.
/// - **The database's clock** decides what has expired. The gateway's clock never does.
/// - **The primary.** No operation reads from a replica.
/// - **No false answers.** A fault is a [`StoreError`]. It is never answered as "unknown" or "not live".
/// - **Bounded.** A person has a bounded number of live rows: [`NewSession::limit`] sessions, one more session for the
///   hooks of each of [`ProvisionClient::max_devices`] devices, and two credentials for each device. An expired row
///   counts as dead, also before the sweep. No operation takes longer because of dead rows.
/// - **Fair.** The writes of one person take turns before they take a connection. No write takes a connection that
///   [`session_statuses`](Self::session_statuses) and [`revocations_since`](Self::revocations_since) need.
///
/// # Cancel safety
///
/// When a future is dropped, its operation is done or not done, never half done. Its connection is usable or closed. A
/// connection never goes back to the pool while an answer on it is outstanding.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a store",
    label = "give a `PostgresStore`, a `SqliteStore`, or a type that implements `Store`",
    note = "a store that is shared or chosen at run time (`Arc<dyn Store>`) goes to `Bridge::builder_with`"
)]
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Makes `user` known, or replaces the scopes of a known user. It does not enable a disabled user.
    ///
    /// It writes nothing when nothing changes, so a host may call it at every login.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    async fn put_user(&self, user: &KnownUser) -> Result<(), StoreError>;

    /// Makes `user` known, unless they are known already: then nothing changes.
    ///
    /// When all of this person was revoked by an [event](Self::apply_event) less than ten minutes ago, an
    /// [assertion](NewSession::assertion) from before opens nothing, as if the person had been known.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    async fn add_user(&self, user: &KnownUser) -> Result<(), StoreError>;

    /// Stores a code for a known, enabled user, and returns when the code expires.
    ///
    /// A user has at most [`NewCode::max_open`] open codes. When there would be more, the oldest codes become invalid.
    ///
    /// With [`NewCode::ticket`] the ticket is spent in the same transaction, as
    /// [`spend_assertion`](Self::spend_assertion) does it: of several calls with one ticket exactly one gets `Ok`. A
    /// call that is refused spends no ticket.
    ///
    /// # Errors
    ///
    /// [`IssueCodeError`] when the user is unknown or disabled, when the ticket was used before, or when the store cannot
    /// answer.
    async fn issue_code(&self, code: NewCode) -> Result<SystemTime, IssueCodeError>;

    /// Spends a code and opens or renews a session. The check of the user is in the same transaction.
    ///
    /// When several calls present one code at the same time, exactly one of them gets `Ok`. On any error the code stays
    /// as it was. The user row is locked before the session is opened: so a disabled user never has a live session.
    ///
    /// The checks, in this order:
    ///
    /// 1. A code that is not stored: [`GrantRefusal::Unknown`].
    /// 2. A spent code: [`GrantRefusal::Replayed`], whatever else was presented. **The session that the first use
    ///    opened is revoked**, and with it what [`Revoke::Session`] names.
    /// 3. A code that is past its expiry, or was issued before the last revoke-all of its user:
    ///    [`GrantRefusal::Expired`].
    /// 4. A disabled user: [`GrantRefusal::UserDisabled`].
    /// 5. A challenge that differs from the stored one, a challenge when none is stored, or no challenge when one is
    ///    stored: [`GrantRefusal::WrongVerifier`].
    /// 6. A client other than the one that the code was issued to: [`GrantRefusal::WrongClient`]. A code that was
    ///    stored before codes named a client is good for every client.
    /// 7. A redirect URI other than the one that the code was sent to, when both are named:
    ///    [`GrantRefusal::WrongRedirect`].
    /// 8. A resource other than the one that the code is bound to: [`RedeemError::WrongResource`].
    ///
    /// Then the session is opened as [`Store::open_session`] says. It gets the scopes that the code was issued for and
    /// that the user still holds. It is bound to the resource of the code.
    ///
    /// # Errors
    ///
    /// [`RedeemError`]: the code is refused, the session id is taken, or the store cannot answer.
    async fn redeem_code(&self, redeem: RedeemCode) -> Result<OpenedSession, RedeemError>;

    /// Stores a device grant, and returns when it expires. Until a person allows it, no session belongs to it.
    ///
    /// Its user code is free when the only grant that has it has expired.
    ///
    /// # Errors
    ///
    /// [`StartDeviceGrantError`]: the user code is in use, or the store cannot answer.
    async fn start_device_grant(&self, grant: NewDeviceGrant) -> Result<SystemTime, StartDeviceGrantError>;

    /// The device grant with this user code, when it waits for a decision. This call changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    async fn device_grant(&self, code: &UserCode) -> Result<Option<DeviceGrant>, StoreError>;

    /// Stores what a person decides about a device grant.
    ///
    /// Of any number of decisions about one grant, exactly one is stored. The person must be known and enabled, also to
    /// say no. A grant that was allowed has no session before the client [collects it](Self::poll_device_grant).
    ///
    /// A person has at most eight grants that were allowed and not collected. When there would be more, those that were
    /// allowed first become unknown. A code that waits for no decision changes nothing and locks nothing.
    ///
    /// # Errors
    ///
    /// [`DecideDeviceGrantError`]: the grant waits for no decision, the user may not decide, or the store cannot answer.
    async fn decide_device_grant(&self, decision: DecideDeviceGrant) -> Result<(), DecideDeviceGrantError>;

    /// A client polls. When the person allowed it, the grant is spent and a session is opened, in one transaction.
    ///
    /// When several calls present one code at the same time, exactly one of them gets `Ok`. On any error the grant stays
    /// as it was, but for the time of the poll. In each interval at most two polls write anything: the first one, and
    /// the first one that is too early.
    ///
    /// The checks, in this order:
    ///
    /// 1. A code that is not stored, or was spent: [`PollDeviceGrantError::Unknown`].
    /// 2. A code of another client: [`PollDeviceGrantError::WrongClient`].
    /// 3. A grant that is past its expiry, whatever was decided: [`PollDeviceGrantError::Expired`].
    /// 4. A denied grant: [`PollDeviceGrantError::Denied`].
    /// 5. A grant that waits for a decision: [`PollDeviceGrantError::Pending`], or
    ///    [`PollDeviceGrantError::SlowDown`] when the poll came before the interval was over. The interval counts from
    ///    the last poll that was not too early: a client that polls all the time gets an answer once in each interval.
    ///    An interval with polls that are too early grows by five seconds, up to a minute, and so do those after it.
    /// 6. A disabled user, or a decision from before the last revoke-all of the user:
    ///    [`PollDeviceGrantError::UserDisabled`].
    /// 7. A resource other than the one that the grant is bound to: [`PollDeviceGrantError::WrongResource`].
    ///
    /// Then the session is opened as [`Store::open_session`] says. It gets the scopes that were allowed and that the user
    /// still holds. It is bound to the resource of the grant. The person signed in when they decided. An allowed grant is
    /// collected however fast the client polls.
    ///
    /// # Errors
    ///
    /// [`PollDeviceGrantError`] says why there is no session.
    async fn poll_device_grant(&self, poll: PollDeviceGrant) -> Result<OpenedSession, PollDeviceGrantError>;

    /// Opens or renews a session without a code.
    ///
    /// A [`RequestedId::Declared`] id that is new is taken. If a live session of the same user and the same client has
    /// the id, this session is renewed. It gets the new scopes, origin and life, and keeps its call source. Its expiry
    /// and its absolute end never move to an earlier time. If the id belongs to any other session, the answer is
    /// [`OpenSessionError::SessionTaken`].
    ///
    /// A user has at most [`NewSession::limit`] live sessions; the sessions of hook clients do not count. When there
    /// would be more, some are revoked, with everything that belongs to them ([`OpenedSession::evicted`]): sessions that an
    /// assertion opened ([`Origin::issuer`](super::Origin::issuer)) first, each least recently renewed first.
    ///
    /// The session expires [`NewSession::life`] from now, or [`NewSession::max_life`] from now if that is sooner. Its
    /// absolute end is [`NewSession::max_life`] from now. With [`NewSession::refresh`] it gets its first refresh token.
    /// In any case its earlier refresh tokens are unknown from now on.
    ///
    /// [`OpenSession::Vouched`] opens the session for a known, enabled user. It grants the asked scopes that the user
    /// holds.
    ///
    /// [`OpenSession::Client`] checks the client's proof in the same transaction. The proof is good only while the
    /// session of its device is live. The hook client of a device has **one live session**, a child of the device's
    /// session. It is renewed when it exists, and opened under the asked id only when it does not. It expires with the
    /// device's session. The answer has the asked scopes that the client holds.
    ///
    /// [`OpenSession::Delegated`] opens a session that hangs on another one, its parent, for the same user. The user must
    /// be enabled and the parent live, in the same transaction. The session of a hook is no parent. At most
    /// [`NewSession::limit`] live delegated sessions hang on the session of a device, at any depth, and a chain has at most
    /// [`Actor::MAX_DEPTH`](crate::token::Actor::MAX_DEPTH) of them. The new session is never wider than its parent:
    ///
    /// - It expires when its parent does, or sooner. Nothing extends it, and it has no refresh token and no hook credential.
    /// - The answer has the asked scopes that the user and the parent hold, and the parent's sign-in time.
    /// - If the parent is bound to a resource, so is the new session.
    ///
    /// A declared id is refused with [`OpenSessionError::SessionTaken`].
    ///
    /// With [`NewSession::assertion`] the assertion is spent in the same transaction, as
    /// [`spend_assertion`](Self::spend_assertion) does it: of several calls with one assertion exactly one gets `Ok`. A call
    /// that is refused spends none. An assertion that was issued at or before the last revoke-all of the user is refused with
    /// [`OpenSessionError::AssertionUsed`]. Only a vouched and a delegated session spend one.
    ///
    /// # Errors
    ///
    /// [`OpenSessionError`] says why no session was opened.
    async fn open_session(&self, open: OpenSession) -> Result<OpenedSession, OpenSessionError>;

    /// Uses a refresh token: returns a successor and extends the session, in one transaction.
    ///
    /// A token is good for one use. A token that was never used is good at any age, unless it was retired. What happens
    /// when it is used again:
    ///
    /// - **Within [`RefreshSession::grace`]:** the answer is another successor, beside the first one. So when several
    ///   calls use one token at the same time, all get `Ok`, and each goes on with its own successor.
    /// - **Later, while none of its successors was ever used** (the answer was lost): the answer is a new successor, a
    ///   grace begins again, and the earlier successors are *retired*.
    /// - **Later, after one of its successors was used:** [`RefreshRefusal::Reused`]. A retired token gets this answer
    ///   at any time. **The session is revoked**, and with it what [`Revoke::Session`] names, whatever scopes the call
    ///   asks for: two parties hold the token.
    ///
    /// The checks, in this order:
    ///
    /// 1. A token that is not stored, or was forgotten: [`RefreshRefusal::Unknown`].
    /// 2. A token of a session that is not live: [`RefreshRefusal::SessionEnded`].
    /// 3. A token of another client: [`RefreshRefusal::WrongClient`].
    /// 4. Reuse, as above.
    /// 5. A disabled user: [`RefreshRefusal::UserDisabled`].
    /// 6. Scopes that the session would not keep: [`RefreshSessionError::Scopes`].
    /// 7. A resource other than the one that the session is bound to: [`RefreshSessionError::WrongResource`].
    ///
    /// Of these refusals only reuse changes anything.
    ///
    /// The session then expires [`RefreshSession::life`] from now, or at its absolute end if that is sooner, but never
    /// sooner than it would have expired before. It keeps those of its scopes that the user still holds. It gets the
    /// new origin; without a device name in the new origin it keeps the old name. The answer has the scopes that were
    /// asked for, and the time when the person last signed in.
    ///
    /// # Errors
    ///
    /// [`RefreshSessionError`] says why no session was refreshed.
    async fn refresh_session(&self, refresh: RefreshSession) -> Result<OpenedSession, RefreshSessionError>;

    /// The state of a refresh token now; `None` when it is not stored. This call changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    async fn refresh_status(&self, token: &RefreshHash) -> Result<Option<RefreshStatus>, StoreError>;

    /// Looks many sessions up by primary key in one query, and judges each one by the database's clock.
    ///
    /// A session without a row is left out. The order of the answer is not the order of `ids`. The answer names the
    /// newest [`tick`](Self::tick) that its snapshot shows: this tick tells how old the answer may be.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer, or when its server takes no writes. Then nobody knows whether the
    /// sessions are live.
    async fn session_statuses(&self, ids: &[SessionId]) -> Result<SessionStatuses, StoreError>;

    /// The same as [`session_statuses`](Self::session_statuses), but cheaper: it does not say whose the sessions are.
    ///
    /// The caller asks only for sessions whose [`SessionStatus`] it has seen before. What the answer says about a row
    /// counts only when that status had the same [`RowState::row`]: then it is the same row, of the same user and the
    /// same client. A store may find a row by its digest alone. `sessions` holds no session twice. The default
    /// implementation asks for the statuses.
    ///
    /// # Errors
    ///
    /// The same as for [`session_statuses`](Self::session_statuses).
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

    /// Makes a write, and waits until it is acknowledged as every other write is: by the whole synchronous set, if
    /// there is one.
    ///
    /// So it proves that the server could still acknowledge writes **when this was called**. A primary that was
    /// replaced can never do so, even if it does not know that it was replaced. A tick proves nothing, and is an error,
    /// when it is acknowledged with a warning or when its wait was cancelled. A store with one server that nothing can
    /// replace may answer at once, with the same tick each time.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the write is not acknowledged in time.
    async fn tick(&self) -> Result<Proof, StoreError>;

    /// The live sessions of `user` that `query` asks for, newest first, each with what belongs to it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    async fn devices_of(&self, user: &UserId, query: &DeviceQuery) -> Result<DevicePage, StoreError>;

    /// The people that `query` asks for. The work is bounded, whatever the text is: it is that of a page, and of the
    /// thousand labels that a search may look at ([`UserQuery::text`]).
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    async fn users(&self, query: &UserQuery) -> Result<UserPage, StoreError>;

    /// Revokes `target`, and returns how many sessions this call has revoked.
    ///
    /// The answer is `None` when the session or user that `target` names is unknown. For [`Revoke::SessionOf`] it is
    /// also `None` when the session belongs to another user. The revocation log is written in the same transaction.
    ///
    /// Once this call returns, no later look-up on any gateway says that the sessions are live. A second call for the same
    /// target succeeds and changes nothing. [`Revoke`] says what ends with each target. The work is bounded, whatever
    /// the person did before. Only the work for [`Revoke::Client`] is not bounded.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer: the revocation may or may not have happened.
    async fn revoke(&self, target: &Revoke) -> Result<Option<u64>, StoreError>;

    /// Disables `user` and does what [`Revoke::User`] does, in one transaction. `false` when the user is unknown.
    ///
    /// A second call succeeds and changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer: the user may or may not be disabled.
    async fn disable_user(&self, user: &UserId) -> Result<bool, StoreError>;

    /// Does what a security event says, and remembers for [`SecurityEvent::life`] that it was done, in one transaction.
    ///
    /// When several calls bring one event at the same time, exactly one of them does it. The others return
    /// [`EventOutcome::DoneBefore`] only after it was committed. So whoever gets an answer knows that it is done. An event that names an
    /// unknown session or user is remembered too.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer: the event may or may not be done.
    async fn apply_event(&self, event: &SecurityEvent) -> Result<EventOutcome, StoreError>;

    /// Enables `user` again. What was revoked stays revoked. `false` when the user is unknown.
    ///
    /// A second call succeeds and changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    async fn enable_user(&self, user: &UserId) -> Result<bool, StoreError>;

    /// Makes a hook client if it is new, and adds a credential (a secret or a public key) to it, in one statement.
    ///
    /// A device ([`ProvisionClient::session`]) has at most two live credentials: the new one and the one before. The
    /// one before stays good for [`ProvisionClient::overlap`] more. This time should be longer than an answer may take
    /// to arrive.
    ///
    /// Concurrent calls do not make each other's answers useless. A call does not replace a credential that was
    /// committed **after the call reached the database**: so the credential that was returned last is never dead. If
    /// two other calls were answered while a call waited, the call is refused with
    /// [`ProvisionClientError::Overlapped`]. Two later calls end a credential at once, when the second of
    /// them began after the first was committed. This holds even when the credential's own answer has not arrived yet.
    ///
    /// A key that the client already has becomes the key of this device alone. So the key ends with the session that
    /// presented it last.
    ///
    /// A credential is live only while the session of its device is live. At most [`ProvisionClient::max_devices`]
    /// devices of a client have live credentials. A call for one more device is refused.
    ///
    /// # Errors
    ///
    /// [`ProvisionClientError`]: the asking session is no longer live, the user is disabled, too many devices have
    /// credentials, the call overlapped with others, or the store cannot answer.
    async fn provision_client(
        &self,
        provision: ProvisionClient,
    ) -> Result<ProvisionedClient, ProvisionClientError>;

    /// The client, when `proof` fits one of its live credentials and its owner is enabled; otherwise `None`.
    ///
    /// A secret is never accepted as a key, nor a key as a secret. The comparison takes constant time. An unknown
    /// client costs the same work.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer: the proof may be good.
    async fn verify_client(
        &self,
        client: &ClientId,
        proof: &ClientProof,
    ) -> Result<Option<Client>, StoreError>;

    /// The live public keys of a client that fit `query`: newest first, at most two.
    ///
    /// A key fits when it is for [`KeyQuery::algorithm`] and answers to [`KeyQuery::key_id`], which is the `kid` of its
    /// JWK or its thumbprint in base64url. Without a key id all keys of the algorithm fit. An unknown client has no
    /// keys, and neither has a client whose owner is disabled.
    ///
    /// Anybody may cause a verification with each key that is returned: so there are never more than two.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    async fn client_keys(&self, client: &ClientId, query: &KeyQuery) -> Result<Vec<ClientKey>, StoreError>;

    /// Remembers for `life` that an assertion was used. `false` when it was used before.
    ///
    /// When several calls spend one assertion at the same time, exactly one of them gets `true`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer: the assertion may or may not count as used.
    async fn spend_assertion(&self, assertion: &AssertionHash, life: Duration) -> Result<bool, StoreError>;

    /// The revocations that a reader at `cursor` may not have seen.
    ///
    /// Every revocation that was acknowledged before this call began, and after the call that returned `cursor`, is in
    /// the page. Commits out of order and open transactions hide none. A revocation may come more than once. The page
    /// names the newest [`tick`](Self::tick) that its snapshot shows.
    ///
    /// When there are more than `limit` revocations, [`RevocationPage::entries`] is `None`. Then forget every verdict,
    /// and go on from [`RevocationPage::next`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer, or when its server takes no writes.
    async fn revocations_since(
        &self,
        cursor: &RevocationCursor,
        limit: u32,
    ) -> Result<RevocationPage, StoreError>;

    /// A channel that changes when something may have been revoked.
    ///
    /// It only makes a reader ask sooner. A hint may be late, lost or without a cause: so every listener must also read
    /// the log now and then by itself. The default implementation gives no channel.
    fn revocation_hints(&self) -> Option<watch::Receiver<()>> {
        None
    }

    /// Deletes at most `limit` dead rows of each table, and returns how many it deleted.
    ///
    /// - A code is deleted a day after it expired: until then a replay is recognised.
    /// - A session is deleted an hour after it expired, revoked or not, with its refresh tokens and credentials. A
    ///   token never outlives its session, and an id must not be used again while a token names it.
    /// - A device grant is deleted an hour after it expired.
    /// - A client credential is deleted after its overlap.
    /// - A revocation is deleted after a day.
    /// - An assertion is deleted when its life is over.
    ///
    /// A live row is never deleted.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    async fn sweep(&self, limit: u32) -> Result<Swept, StoreError>;

    /// Whether the store can answer and takes writes. [`tick`](Self::tick) tells whether a write is acknowledged.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer, or takes no writes.
    async fn ping(&self) -> Result<(), StoreError>;

    /// The state of its pool; `None` when there is none to report, which is the default.
    fn pool_status(&self) -> Option<PoolStatus> {
        None
    }
}
