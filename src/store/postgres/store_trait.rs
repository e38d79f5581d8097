//! The implementation of [`Store`]. The statement of each operation is in the module for it.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use super::connections::Connections;
use super::store::PostgresStore;
use super::{clients, codes, device_grants, devices, refresh_rotation, revocations, sessions, users};
use crate::id::{AssertionHash, ClientId, RefreshHash, SessionId, UserCode, UserId};
use crate::store::poll::Poll;
use crate::store::write_queue::Writer;
use crate::store::{
    Client, ClientKey, ClientProof, DecideDeviceGrant, DecideDeviceGrantError, DeviceGrant, DevicePage,
    DeviceQuery, EventAction, EventOutcome, GrantRefusal, IssueCodeError, KeyQuery, KnownUser, NewCode,
    NewDeviceGrant, OpenSession, OpenSessionError, OpenedSession, PollDeviceGrant, PollDeviceGrantError,
    PoolStatus, Proof, ProvisionClient, ProvisionClientError, ProvisionedClient, RedeemCode, RedeemError,
    RefreshRefusal, RefreshSession, RefreshSessionError, RefreshStatus, RevocationCursor, RevocationPage,
    Revoke, RowStates, SecurityEvent, SessionKey, SessionStatuses, StartDeviceGrantError, Store, StoreError,
    Swept, UserPage, UserQuery,
};

#[async_trait]
impl Store for PostgresStore {
    async fn put_user(&self, user: &KnownUser) -> Result<(), StoreError> {
        let (person, user) = (user.id.clone(), user.clone());
        self.write_for(&person, |db| async move { users::put(&db, &user).await }).await
    }

    async fn add_user(&self, user: &KnownUser) -> Result<(), StoreError> {
        let (person, user) = (user.id.clone(), user.clone());
        self.write_for(&person, |db| async move { users::add(&db, &user).await }).await
    }

    async fn issue_code(&self, code: NewCode) -> Result<SystemTime, IssueCodeError> {
        let person = code.user.clone();
        let issued = self.write_for(&person, |db| async move { codes::issue(&db, &code).await });
        self.certain(issued, |issued| issued.as_ref().is_err_and(|e| !matches!(e, IssueCodeError::Store(_))))
            .await
    }

    async fn redeem_code(&self, redeem: RedeemCode) -> Result<OpenedSession, RedeemError> {
        let hash = redeem.hash;
        let owner = self.read(|db| async move { codes::owner(&db, &hash).await });
        let Some(person) = self.certain(owner, |owner| matches!(owner, Ok(None))).await? else {
            return Err(RedeemError::Refused(GrantRefusal::Unknown));
        };
        let redeem = |db: Connections| {
            self.hinting(async move { codes::redeem(&db, &redeem).await }, |redeemed| match redeemed {
                Ok(opened) => !opened.evicted.is_empty(),
                Err(error) => matches!(error, RedeemError::Refused(GrantRefusal::Replayed { .. })),
            })
        };
        let redeemed = self.write_for(&person, redeem);
        self.certain(redeemed, |redeemed| {
            redeemed.as_ref().is_err_and(|e| !matches!(e, RedeemError::Store(_)))
        })
        .await
    }

    async fn start_device_grant(&self, grant: NewDeviceGrant) -> Result<SystemTime, StartDeviceGrantError> {
        self.write(|db| async move { device_grants::start(&db, &grant).await }).await
    }

    async fn device_grant(&self, code: &UserCode) -> Result<Option<DeviceGrant>, StoreError> {
        let code = *code;
        let waiting = self.read(|db| async move { device_grants::waiting(&db, &code).await });
        self.certain(waiting, |waiting| matches!(waiting, Ok(None))).await
    }

    async fn decide_device_grant(&self, decision: DecideDeviceGrant) -> Result<(), DecideDeviceGrantError> {
        let person = decision.user.clone();
        let decided =
            self.write_for(&person, |db| async move { device_grants::decide(&db, &decision).await });
        let denies = |e: &DecideDeviceGrantError| !matches!(e, DecideDeviceGrantError::Store(_));
        self.certain(decided, |decided| decided.as_ref().is_err_and(denies)).await
    }

    /// The polls of one grant take turns, so most of them are answered by a look alone.
    async fn poll_device_grant(&self, poll: PollDeviceGrant) -> Result<OpenedSession, PollDeviceGrantError> {
        let (code, client) = (poll.device_code, poll.session.client.clone());
        let turn = self.turn(Writer::DeviceGrant(code)).await?;
        let denies = |found: &Result<Poll, StoreError>| found.as_ref().is_ok_and(Poll::is_denial);
        let asks = client.clone();
        let look = self.read(|db| async move { device_grants::look(&db, &code, &asks).await });
        let mut found = self.certain(look, denies).await?;
        if found.must_be_counted() {
            let count =
                self.write_in(turn, |db| async move { device_grants::count(&db, &code, &client).await });
            found = self.certain(count, denies).await?;
        }
        let person = found.allowed()?;
        let collect = |db: Connections| {
            self.hinting(async move { device_grants::collect(&db, &poll).await }, |collected| {
                collected.as_ref().is_ok_and(|opened| !opened.evicted.is_empty())
            })
        };
        let denies = |e: &PollDeviceGrantError| !matches!(e, PollDeviceGrantError::Store(_));
        self.certain(self.write_for(&person, collect), |collected| collected.as_ref().is_err_and(denies))
            .await
    }

    async fn open_session(&self, open: OpenSession) -> Result<OpenedSession, OpenSessionError> {
        let person = open.person().clone();
        let open = |db: Connections| {
            self.hinting(async move { sessions::open(&db, &open).await }, |opened| {
                opened.as_ref().is_ok_and(|opened| !opened.evicted.is_empty())
            })
        };
        let opened = self.write_for(&person, open);
        self.certain(opened, |opened| {
            opened.as_ref().is_err_and(|e| !matches!(e, OpenSessionError::Store(_)))
        })
        .await
    }

    async fn refresh_session(&self, refresh: RefreshSession) -> Result<OpenedSession, RefreshSessionError> {
        let token = refresh.presented;
        let owner = self.read(|db| async move { refresh_rotation::owner(&db, &token).await });
        let Some(person) = self.certain(owner, |owner| matches!(owner, Ok(None))).await? else {
            return Err(RefreshSessionError::Refused(RefreshRefusal::Unknown));
        };
        let refresh = |db: Connections| {
            self.hinting(async move { refresh_rotation::refresh(&db, &refresh).await }, |refreshed| {
                matches!(refreshed, Err(RefreshSessionError::Refused(RefreshRefusal::Reused { .. })))
            })
        };
        let refreshed = self.write_for(&person, refresh);
        let denies = |e: &RefreshSessionError| !matches!(e, RefreshSessionError::Store(_));
        self.certain(refreshed, |refreshed| refreshed.as_ref().is_err_and(denies)).await
    }

    async fn refresh_status(&self, token: &RefreshHash) -> Result<Option<RefreshStatus>, StoreError> {
        let token = *token;
        let status = self.read(|db| async move { refresh_rotation::look(&db, &token).await });
        self.certain(status, |status| matches!(status, Ok(None))).await
    }

    async fn session_statuses(&self, ids: &[SessionId]) -> Result<SessionStatuses, StoreError> {
        let (db, ids, lease) = (self.connections.clone(), ids.to_vec(), self.ticks.lease_id());
        let answer = self.connections.look_ups.run(async move { sessions::statuses(&db, &ids, lease).await });
        answer.await.inspect_err(|fault| self.forget_if_unknown(lease, fault))
    }

    async fn row_states(&self, sessions: &[SessionKey]) -> Result<RowStates, StoreError> {
        let (db, lease) = (self.connections.clone(), self.ticks.lease_id());
        let keys = sessions.iter().map(|session| Uuid::from_u128(session.digest())).collect();
        let look_up = async move { sessions::row_states(&db, keys, lease).await };
        let answer = self.connections.look_ups.run(look_up);
        answer.await.inspect_err(|fault| self.forget_if_unknown(lease, fault))
    }

    async fn tick(&self) -> Result<Proof, StoreError> {
        self.ticks.tick(self.tick_deadline()).await
    }

    async fn devices_of(&self, user: &UserId, query: &DeviceQuery) -> Result<DevicePage, StoreError> {
        let (user, query) = (user.clone(), query.clone());
        self.read(|db| async move { devices::of_user(&db, &user, &query).await }).await
    }

    async fn users(&self, query: &UserQuery) -> Result<UserPage, StoreError> {
        let query = query.clone();
        self.read(|db| async move { users::list(&db, &query).await }).await
    }

    async fn revoke(&self, target: &Revoke) -> Result<Option<u64>, StoreError> {
        let of = target.clone();
        let revoke = |db: Connections| {
            self.hinting(async move { revocations::revoke(&db, &of).await }, |revoked| {
                matches!(revoked, Ok(Some(_)))
            })
        };
        let revoked = async {
            match target {
                Revoke::SessionOf { user, .. } | Revoke::Others { user, .. } => {
                    self.write_for(user, revoke).await
                }
                // It may change every session of the database.
                Revoke::Client(_) => {
                    let longest =
                        revocations::ALL_OF_A_CLIENT.saturating_add(self.connections.rest.longest());
                    self.run_to_completion(longest, revoke(self.connections.clone())).await
                }
                // What an operator revokes does not wait behind the writes of the person.
                _ => self.write(revoke).await,
            }
        };
        // What was revoked before is not written again: here this is the same as unknown.
        self.certain(revoked, |revoked| matches!(revoked, Ok(None | Some(0)))).await
    }

    async fn disable_user(&self, user: &UserId) -> Result<bool, StoreError> {
        let user = user.clone();
        let disable = |db: Connections| {
            self.hinting(async move { users::disable(&db, &user).await }, |disabled| {
                matches!(disabled, Ok(true))
            })
        };
        self.certain(self.write(disable), |disabled| matches!(disabled, Ok(false))).await
    }

    /// As with what an operator revokes, it does not wait behind the writes of the person.
    async fn apply_event(&self, event: &SecurityEvent) -> Result<EventOutcome, StoreError> {
        let event = event.clone();
        let longest = match &event.action {
            EventAction::Revoke(Revoke::Client(_)) => revocations::ALL_OF_A_CLIENT,
            _ => Duration::ZERO,
        };
        let longest = longest.saturating_add(self.connections.rest.longest());
        let db = self.connections.clone();
        let apply = async move { revocations::apply(&db, &event).await };
        let apply = self.hinting(apply, |applied| matches!(applied, Ok(EventOutcome::Done(Some(_)))));
        let denies = |applied: &Result<EventOutcome, StoreError>| {
            matches!(applied, Ok(EventOutcome::DoneBefore | EventOutcome::Done(None | Some(0))))
        };
        self.certain(self.run_to_completion(longest, apply), denies).await
    }

    async fn enable_user(&self, user: &UserId) -> Result<bool, StoreError> {
        let user = user.clone();
        let enabled = self.write(|db| async move { users::enable(&db, &user).await });
        self.certain(enabled, |enabled| matches!(enabled, Ok(false))).await
    }

    async fn provision_client(
        &self,
        provision: ProvisionClient,
    ) -> Result<ProvisionedClient, ProvisionClientError> {
        let person = provision.owner.clone();
        let provisioned =
            self.write_for(&person, |db| async move { clients::provision(&db, &provision).await });
        let denies = |e: &ProvisionClientError| !matches!(e, ProvisionClientError::Store(_));
        self.certain(provisioned, |provisioned| provisioned.as_ref().is_err_and(denies)).await
    }

    async fn verify_client(
        &self,
        client: &ClientId,
        proof: &ClientProof,
    ) -> Result<Option<Client>, StoreError> {
        let (client, proof) = (client.clone(), *proof);
        let verified = self.read(|db| async move { clients::verify(&db, &client, &proof).await });
        self.certain(verified, |verified| matches!(verified, Ok(None))).await
    }

    async fn client_keys(&self, client: &ClientId, query: &KeyQuery) -> Result<Vec<ClientKey>, StoreError> {
        let (client, query) = (client.clone(), query.clone());
        let keys = self.read(|db| async move { clients::keys(&db, &client, &query).await });
        self.certain(keys, |keys| keys.as_ref().is_ok_and(Vec::is_empty)).await
    }

    async fn spend_assertion(&self, assertion: &AssertionHash, life: Duration) -> Result<bool, StoreError> {
        let assertion = *assertion;
        let spent = self.write(|db| async move { clients::spend_assertion(&db, &assertion, life).await });
        self.certain(spent, |spent| matches!(spent, Ok(false))).await
    }

    async fn revocations_since(
        &self,
        cursor: &RevocationCursor,
        limit: u32,
    ) -> Result<RevocationPage, StoreError> {
        let (db, cursor, lease) = (self.connections.clone(), *cursor, self.ticks.lease_id());
        let read = async move { revocations::since(&db, &cursor, limit, lease).await };
        let answer = self.connections.look_ups.run(read);
        answer.await.inspect_err(|fault| self.forget_if_unknown(lease, fault))
    }

    fn revocation_hints(&self) -> Option<watch::Receiver<()>> {
        self.ticks.hints()
    }

    async fn sweep(&self, limit: u32) -> Result<Swept, StoreError> {
        self.write(|db| async move { revocations::sweep(&db, limit).await }).await
    }

    /// A full disk is found by [`tick`](Self::tick). A ping does not wait for one: if no maximum age of proofs is set,
    /// look-ups go on while a synchronous standby is gone.
    async fn ping(&self) -> Result<(), StoreError> {
        let _one = self.ping.lock().await;
        let db = self.connections.clone();
        self.connections.look_ups.run(async move { sessions::ping(&db).await }).await
    }

    fn pool_status(&self) -> Option<PoolStatus> {
        Some(self.connections.status())
    }
}
