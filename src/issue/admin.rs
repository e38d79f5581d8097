//! The operators' side.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::audit_trail::{AuditEvent, AuditTrail, AuditTrailError};
use super::settings::IssueSettings;
use crate::id::{AssertionHash, ClientId, SessionId, UserId};
use crate::session::Liveness;
use crate::store::{
    DevicePage, DeviceQuery, EventAction, EventOutcome, Revocation, Revoke, SecurityEvent, Store, StoreError,
    Swept, UserPage, UserQuery, UserRecord, within_deadline,
};
use crate::telemetry::audit;

/// Finds people, lists and revokes their sessions, disables and enables them, and sweeps old rows.
///
/// [`Bridge::admin`](crate::Bridge::admin) hands it out. Every method is idempotent.
///
/// After a revoke call returns, this bridge answers 401 at once to what was revoked. Other gateways do so as
/// [`Freshness`](crate::Freshness) promises. A revocation waits for no other write of the same person that waits in this
/// gateway; only what a person does to their own sessions waits: [`revoke_session_of`](Self::revoke_session_of) and
/// [`revoke_others`](Self::revoke_others). A revocation has the
/// [write deadline](crate::BridgeBuilder::write_deadline) of the bridge, 10 s by default.
///
/// # Cancel safety
///
/// A dropped future leaves its operation done or not done, never half done.
#[derive(Clone)]
pub struct Admin {
    store: Arc<dyn Store>,
    liveness: Arc<Liveness>,
    settings: Arc<IssueSettings>,
    /// `None`: the host keeps no audit events.
    audit_trail: Option<Arc<dyn AuditTrail>>,
}

impl Admin {
    /// How many rows of each table one step of a sweep deletes at most.
    const SWEEP_BATCH: u32 = 500;
    /// Revoking a client may change every session in the database. A store may take a minute for this.
    const ALL_OF_A_CLIENT: Duration = Duration::from_secs(75);

    pub(crate) fn new(
        store: Arc<dyn Store>,
        liveness: Arc<Liveness>,
        settings: Arc<IssueSettings>,
        audit_trail: Option<Arc<dyn AuditTrail>>,
    ) -> Self {
        Self { store, liveness, settings, audit_trail }
    }

    /// The people whose id or label begins with a text, in the order of their ids.
    ///
    /// A person is known from the first time that the host signs them in. A page says where the next page begins.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn users(&self, query: &UserQuery) -> Result<UserPage, StoreError> {
        within_deadline(self.settings.deadlines.read, self.store.users(query)).await
    }

    /// One person, by their exact id. `None`: the user is unknown.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn user(&self, user: &UserId) -> Result<Option<UserRecord>, StoreError> {
        within_deadline(self.settings.deadlines.read, self.find(user)).await
    }

    /// The last audit events of `user` that the host kept, newest first, at most `limit`.
    ///
    /// They come from the host's [`AuditTrail`].
    ///
    /// # Errors
    ///
    /// [`AuditTrailError`] when the host keeps no audit events, or they cannot be read now. The audit trail may take as
    /// long as the store may for a read ([`BridgeBuilder::store_deadline`](crate::BridgeBuilder::store_deadline)).
    pub async fn events(&self, user: &UserId, limit: u32) -> Result<Vec<AuditEvent>, AuditTrailError> {
        let trail = self.audit_trail.as_ref().ok_or(AuditTrailError::NotKept)?;
        let reading = tokio::time::timeout(self.settings.deadlines.read, trail.recent(user, limit));
        let mut events =
            reading.await.map_err(|_| AuditTrailError::TimedOut)?.map_err(AuditTrailError::Failed)?;
        events.sort_by_key(|event| Reverse(event.at));
        events.truncate(limit as usize);
        Ok(events)
    }

    /// The devices of `user`, newest first.
    ///
    /// Each device is a live session, with its credential and its hook session. A page says where the next page begins.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn devices_of(&self, user: &UserId, query: &DeviceQuery) -> Result<DevicePage, StoreError> {
        within_deadline(self.settings.deadlines.read, self.store.devices_of(user, query)).await
    }

    /// Revokes one session, with the credentials and the hook session of its device.
    ///
    /// `false`: there is no such session.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer. It is not known whether the session was revoked: try again.
    pub async fn revoke_session(&self, session: &SessionId) -> Result<bool, StoreError> {
        let revoked = self.revoke(Revoke::Session(session.clone())).await?;
        audit!("session_revoked", session_id = %session, found = revoked.is_some());
        Ok(revoked.is_some())
    }

    /// Revokes one session of `user`.
    ///
    /// `false`: there is no such session, or it is another user's.
    ///
    /// This write is the person's own. So it waits for the person's other writes.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer. It is not known whether the session was revoked: try again.
    pub async fn revoke_session_of(&self, user: &UserId, session: &SessionId) -> Result<bool, StoreError> {
        let target = Revoke::SessionOf { user: user.clone(), session: session.clone() };
        let revoked = self.revoke(target).await?;
        audit!("session_revoked", user_id = %user, session_id = %session, found = revoked.is_some());
        Ok(revoked.is_some())
    }

    /// Revokes every session, every open code and every hook credential of `user`.
    ///
    /// Returns how many sessions were revoked. `None`: the user is unknown.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer. It is not known whether anything was revoked: try again.
    pub async fn revoke_user(&self, user: &UserId) -> Result<Option<u64>, StoreError> {
        let revoked = self.revoke(Revoke::User(user.clone())).await?;
        audit!("user_revoked", user_id = %user, sessions = revoked);
        Ok(revoked)
    }

    /// Revokes everything of `user` that [`revoke_user`](Self::revoke_user) revokes, but for the session `keep`, its hook session and
    /// its credentials.
    ///
    /// Returns how many sessions were revoked. `None`: the user is unknown. When `keep` is not a live session of this user, nothing
    /// is kept. What the user allowed and no program has collected is void too. Either all of this happens, or nothing.
    ///
    /// This write is the person's own. So it waits for the person's other writes.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer. It is not known whether anything was revoked: try again.
    pub async fn revoke_others(&self, user: &UserId, keep: &SessionId) -> Result<Option<u64>, StoreError> {
        let revoked = self.revoke(Revoke::Others { user: user.clone(), keep: keep.clone() }).await?;
        audit!("others_revoked", user_id = %user, kept_session_id = %keep, sessions = revoked);
        Ok(revoked)
    }

    /// Revokes every session and every credential of `client`.
    ///
    /// Returns how many sessions were revoked.
    ///
    /// This may be every session in the database. So this method alone may take longer than the write deadline: up to
    /// 75 s.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer. It is not known whether anything was revoked: try again.
    pub async fn revoke_client(&self, client: &ClientId) -> Result<u64, StoreError> {
        let target = Revoke::Client(client.clone());
        let revoked = self.revoke_within(Self::ALL_OF_A_CLIENT, target).await?.unwrap_or(0);
        audit!("client_revoked", client_id = %client, sessions = revoked);
        Ok(revoked)
    }

    /// Disables `user` and revokes everything they have.
    ///
    /// `false`: the user is unknown.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer. It is not known whether the user was disabled: try again.
    pub async fn disable_user(&self, user: &UserId) -> Result<bool, StoreError> {
        let found = within_deadline(self.settings.deadlines.write, self.store.disable_user(user)).await?;
        self.liveness.forget(&Revocation::User(user.clone()));
        audit!("user_disabled", user_id = %user, found);
        Ok(found)
    }

    /// Lets `user` link again.
    ///
    /// What was revoked stays revoked. `false`: the user is unknown.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn enable_user(&self, user: &UserId) -> Result<bool, StoreError> {
        let found = within_deadline(self.settings.deadlines.write, self.store.enable_user(user)).await?;
        audit!("user_enabled", user_id = %user, found);
        Ok(found)
    }

    /// Deletes all dead rows in small steps, and gives `progress` the sum after each step.
    ///
    /// Run it at intervals, on any gateway. Several gateways may run it at the same time. It never deletes a live row.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer. What was deleted stays deleted.
    pub async fn sweep(&self, mut progress: impl FnMut(&Swept)) -> Result<Swept, StoreError> {
        let mut sum = Swept::default();
        loop {
            let sweep = self.store.sweep(Self::SWEEP_BATCH);
            let step = within_deadline(self.settings.deadlines.write, sweep).await?;
            if step.total() == 0 {
                return Ok(sum);
            }
            sum += step;
            progress(&sum);
        }
    }

    /// Checks that requests can be judged now and that the store can be written to.
    ///
    /// Use it for a readiness probe.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when not. Its [kind](StoreError::kind) says what is wrong.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.liveness.check().await.map_err(StoreError::of)?;
        within_deadline(self.settings.deadlines.read, self.store.ping()).await
    }

    /// Does what a security event of an external issuer says, once.
    pub(crate) async fn apply_event(&self, event: &SecurityEvent) -> Result<EventOutcome, StoreError> {
        let outcome = within_deadline(self.settings.deadlines.write, self.store.apply_event(event)).await?;
        match &event.action {
            EventAction::Revoke(target) => self.forget(target.clone()).await,
            EventAction::Disable(user) => self.liveness.forget(&Revocation::User(user.clone())),
        }
        Ok(outcome)
    }

    /// Remembers for `life` that a message of an external issuer was used. `false`: it was used before.
    pub(crate) async fn spend_message(
        &self,
        message: &AssertionHash,
        life: Duration,
    ) -> Result<bool, StoreError> {
        within_deadline(self.settings.deadlines.write, self.store.spend_assertion(message, life)).await
    }

    /// Whether the host keeps audit events.
    pub(crate) fn keeps_events(&self) -> bool {
        self.audit_trail.is_some()
    }

    /// Whose session it is, live or not. `None`: there is no such session.
    pub(crate) async fn owner_of(&self, session: &SessionId) -> Result<Option<UserId>, StoreError> {
        let status = self.liveness.status(session.clone()).await.map_err(StoreError::of)?;
        Ok(status.map(|status| status.user))
    }

    async fn find(&self, user: &UserId) -> Result<Option<UserRecord>, StoreError> {
        // Of the ids that begin with this one, it is the first. Before it come only people whose label begins with it.
        let mut query = UserQuery::new(user.as_str()).limit(1);
        loop {
            let page = self.store.users(&query).await?;
            if let Some(found) = page.users.into_iter().find(|found| found.id.as_str() >= user.as_str()) {
                return Ok(Some(found).filter(|found| found.id == *user));
            }
            let Some(next) = page.next else { return Ok(None) };
            query = query.after(next).limit(100);
        }
    }

    async fn revoke(&self, target: Revoke) -> Result<Option<u64>, StoreError> {
        self.revoke_within(self.settings.deadlines.write, target).await
    }

    async fn revoke_within(&self, deadline: Duration, target: Revoke) -> Result<Option<u64>, StoreError> {
        let revoked = within_deadline(deadline, self.store.revoke(&target)).await?;
        self.forget(target).await;
        Ok(revoked)
    }

    /// Forgets the verdicts of all that has just ended with `target`, before the log says so. So this gateway refuses at once also
    /// what hangs on a session: its hooks, and the tokens that were exchanged from its own.
    pub(crate) async fn forget(&self, target: Revoke) {
        if !self.liveness.caches_verdicts() {
            return;
        }
        let user = match target {
            // What hangs on a session is the same person's. What is not revoked is looked up again, and let in.
            Revoke::User(user) | Revoke::Others { user, .. } | Revoke::SessionOf { user, .. } => user,
            Revoke::Session(session) => {
                let owner = self.owner_of(&session).await;
                self.liveness.forget(&Revocation::Session(session));
                // Otherwise the log says soon what hangs on the session.
                let Ok(Some(owner)) = owner else { return };
                owner
            }
            // Its sessions, and what hangs on them, are of many people.
            Revoke::Client(_) => return self.liveness.forget_all(),
        };
        self.liveness.forget(&Revocation::User(user));
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("store", &self.store).finish_non_exhaustive()
    }
}
