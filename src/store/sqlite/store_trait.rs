//! The implementation of [`Store`]. The statement of each operation is in the module for it.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::sync::watch;

use super::codes::Redeemed;
use super::delegated_sessions::Exchange;
use super::refresh_rotation::Refreshed;
use super::store::SqliteStore;
use super::transaction::system_time;
use super::{
    clients, codes, delegated_sessions, device_grants, devices, hook_sessions, provision, refresh_rotation,
    refresh_tokens, revocations, sessions, sweep, users,
};
use crate::id::{AssertionHash, ClientId, RefreshHash, SessionId, UserCode, UserId};
use crate::store::write_queue::Writer;
use crate::store::{
    Client, ClientKey, ClientProof, DecideDeviceGrant, DecideDeviceGrantError, DeviceGrant, DevicePage,
    DeviceQuery, EventOutcome, GrantRefusal, IssueCodeError, KeyQuery, KnownUser, NewCode, NewDeviceGrant,
    OpenSession, OpenSessionError, OpenedSession, PollDeviceGrant, PollDeviceGrantError, PoolStatus, Proof,
    ProvisionClient, ProvisionClientError, ProvisionedClient, RedeemCode, RedeemError, RefreshRefusal,
    RefreshSession, RefreshSessionError, RefreshStatus, Replication, RevocationCursor, RevocationPage,
    Revoke, RowStates, SecurityEvent, SessionKey, SessionStatuses, StartDeviceGrantError, Store, StoreError,
    Swept, Tick, UserPage, UserQuery,
};

#[async_trait]
impl Store for SqliteStore {
    async fn put_user(&self, user: &KnownUser) -> Result<(), StoreError> {
        let (known, new) = (user.clone(), user.clone());
        // A host puts the same person at every login: then nothing is written.
        if self.read(move |tx| users::is_put(tx, &known)).await? {
            return Ok(());
        }
        self.write_for(&user.id, move |tx| users::put(tx, &new)).await
    }

    async fn add_user(&self, user: &KnownUser) -> Result<(), StoreError> {
        let (person, user) = (user.id.clone(), user.clone());
        self.write_for(&person, move |tx| users::add(tx, &user)).await
    }

    async fn issue_code(&self, code: NewCode) -> Result<SystemTime, IssueCodeError> {
        let user = code.user.clone();
        self.write_for(&user, move |tx| codes::issue(tx, &code)).await.map(system_time)
    }

    async fn redeem_code(&self, redeem: RedeemCode) -> Result<OpenedSession, RedeemError> {
        let hash = redeem.hash;
        let Some(user) = self.read(move |tx| codes::user(tx, &hash)).await? else {
            return Err(RedeemError::Refused(GrantRefusal::Unknown));
        };
        match self.write_for(&user, move |tx| codes::redeem(tx, &redeem)).await? {
            Redeemed::Opened(session) => Ok(session),
            Redeemed::Replayed(refusal) => Err(RedeemError::Refused(refusal)),
        }
    }

    async fn start_device_grant(&self, grant: NewDeviceGrant) -> Result<SystemTime, StartDeviceGrantError> {
        self.write(move |tx| device_grants::start(tx, &grant)).await.map(system_time)
    }

    async fn device_grant(&self, code: &UserCode) -> Result<Option<DeviceGrant>, StoreError> {
        let code = *code;
        self.read(move |tx| device_grants::waiting(tx, &code)).await
    }

    async fn decide_device_grant(&self, decision: DecideDeviceGrant) -> Result<(), DecideDeviceGrantError> {
        let (code, person) = (decision.user_code, decision.user.clone());
        // Guessing must not take the writer.
        if self.read(move |tx| device_grants::waiting(tx, &code)).await?.is_none() {
            return Err(DecideDeviceGrantError::NotWaiting);
        }
        self.write_for(&person, move |tx| device_grants::decide(tx, &decision)).await
    }

    /// The polls of one grant take turns, so most of them are answered by a look alone.
    async fn poll_device_grant(&self, poll: PollDeviceGrant) -> Result<OpenedSession, PollDeviceGrantError> {
        let (code, client) = (poll.device_code, poll.session.client.clone());
        let turn = self.turn(Writer::DeviceGrant(code)).await?;
        let asks = client.clone();
        let mut found = self.read(move |tx| device_grants::look(tx, &code, &asks)).await?;
        if found.must_be_counted() {
            found = self.write_in(turn, move |tx| device_grants::count(tx, &code, &client)).await?;
        }
        let person = found.allowed()?;
        self.write_for(&person, move |tx| device_grants::collect(tx, &poll)).await
    }

    async fn open_session(&self, open: OpenSession) -> Result<OpenedSession, OpenSessionError> {
        match open {
            OpenSession::Vouched { user, scopes, session } => {
                let person = user.clone();
                self.write_for(&person, move |tx| sessions::open(tx, &user, &scopes, &session)).await
            }
            OpenSession::Client { owner, proof, scopes, session } => {
                let person = owner.clone();
                let wish = hook_sessions::Wish { owner, proof, scopes, session };
                let look = wish.clone();
                if let Some(opened) = self.read(move |tx| hook_sessions::look(tx, &look)).await? {
                    return Ok(opened);
                }
                self.write_for(&person, move |tx| hook_sessions::open(tx, &wish)).await
            }
            OpenSession::Delegated { user, parent, actor, scopes, session } => {
                let person = user.clone();
                let exchange = Exchange { user, parent, actor, scopes, session };
                self.write_for(&person, move |tx| delegated_sessions::open(tx, &exchange)).await
            }
        }
    }

    async fn refresh_session(&self, refresh: RefreshSession) -> Result<OpenedSession, RefreshSessionError> {
        let token = refresh.presented;
        let Some(user) = self.read(move |tx| refresh_tokens::user(tx, &token)).await? else {
            return Err(RefreshSessionError::Refused(RefreshRefusal::Unknown));
        };
        match self.write_for(&user, move |tx| refresh_rotation::refresh(tx, &refresh)).await? {
            Refreshed::Extended(session) => Ok(session),
            Refreshed::Reused(refusal) => Err(RefreshSessionError::Refused(refusal)),
        }
    }

    async fn refresh_status(&self, token: &RefreshHash) -> Result<Option<RefreshStatus>, StoreError> {
        let token = *token;
        self.read(move |tx| refresh_rotation::look(tx, &token)).await
    }

    async fn session_statuses(&self, ids: &[SessionId]) -> Result<SessionStatuses, StoreError> {
        let ids = ids.to_vec();
        let found = self.look_up(move |tx| sessions::statuses(tx, &ids)).await?;
        Ok(SessionStatuses { found, tick: Tick::default() })
    }

    async fn row_states(&self, sessions: &[SessionKey]) -> Result<RowStates, StoreError> {
        let sessions = sessions.to_vec();
        let found = self.look_up(move |tx| sessions::row_states(tx, &sessions)).await?;
        Ok(RowStates { found, tick: Tick::default() })
    }

    /// No other server can take the place of a file.
    async fn tick(&self) -> Result<Proof, StoreError> {
        Ok(Proof::new(Tick::default(), 0, Replication::OneNode))
    }

    async fn devices_of(&self, user: &UserId, query: &DeviceQuery) -> Result<DevicePage, StoreError> {
        let (user, query) = (user.clone(), query.clone());
        self.read(move |tx| devices::of_user(tx, &user, &query)).await
    }

    async fn users(&self, query: &UserQuery) -> Result<UserPage, StoreError> {
        let query = query.clone();
        self.read(move |tx| users::list(tx, &query)).await
    }

    async fn revoke(&self, target: &Revoke) -> Result<Option<u64>, StoreError> {
        let target = target.clone();
        match &target {
            Revoke::SessionOf { user, .. } | Revoke::Others { user, .. } => {
                let person = user.clone();
                self.write_for(&person, move |tx| revocations::revoke(tx, &target)).await
            }
            // What an operator revokes does not wait behind the writes of the person.
            _ => self.write(move |tx| revocations::revoke(tx, &target)).await,
        }
    }

    async fn disable_user(&self, user: &UserId) -> Result<bool, StoreError> {
        let person = user.clone();
        self.write(move |tx| revocations::disable(tx, &person)).await.map(|revoked| revoked.is_some())
    }

    fn revocation_hints(&self) -> Option<watch::Receiver<()>> {
        self.hints.subscribe()
    }

    /// As with what an operator revokes, it does not wait behind the writes of the person.
    async fn apply_event(&self, event: &SecurityEvent) -> Result<EventOutcome, StoreError> {
        let event = event.clone();
        self.write(move |tx| revocations::apply(tx, &event)).await
    }

    async fn enable_user(&self, user: &UserId) -> Result<bool, StoreError> {
        let person = user.clone();
        self.write(move |tx| users::set_disabled(tx, &person, false)).await
    }

    async fn provision_client(
        &self,
        provision: ProvisionClient,
    ) -> Result<ProvisionedClient, ProvisionClientError> {
        let (owner, new) = (provision.owner.clone(), provision.clone());
        let turn = self.turn(&owner).await?;
        // Read before the wait for the writer: this call does not replace what another process adds while it waits.
        let newest = self.read(move |tx| provision::newest(tx, &new)).await?;
        self.write_in(turn, move |tx| provision::provision(tx, &provision, newest)).await
    }

    async fn verify_client(
        &self,
        client: &ClientId,
        proof: &ClientProof,
    ) -> Result<Option<Client>, StoreError> {
        let (client, proof) = (client.clone(), *proof);
        self.read(move |tx| clients::verify(tx, &client, &proof)).await
    }

    async fn client_keys(&self, client: &ClientId, query: &KeyQuery) -> Result<Vec<ClientKey>, StoreError> {
        let (client, query) = (client.clone(), query.clone());
        self.read(move |tx| clients::keys(tx, &client, &query)).await
    }

    async fn spend_assertion(&self, assertion: &AssertionHash, life: Duration) -> Result<bool, StoreError> {
        let assertion = *assertion;
        self.write(move |tx| clients::spend_assertion(tx, &assertion, life)).await
    }

    async fn revocations_since(
        &self,
        cursor: &RevocationCursor,
        limit: u32,
    ) -> Result<RevocationPage, StoreError> {
        let cursor = *cursor;
        self.look_up(move |tx| revocations::since(tx, cursor, limit)).await
    }

    async fn sweep(&self, limit: u32) -> Result<Swept, StoreError> {
        self.write(move |tx| sweep::sweep(tx, limit)).await
    }

    /// Reads, and writes a few bytes unless this was done less than a second ago.
    async fn ping(&self) -> Result<(), StoreError> {
        self.look_up(|tx| tx.row("SELECT 1 FROM users LIMIT 1", [], |_| Ok(()))).await?;
        self.connections.can_write().await
    }

    fn pool_status(&self) -> Option<PoolStatus> {
        Some(self.connections.status())
    }
}
