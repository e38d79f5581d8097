//! What operators do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::settings::IssueSettings;
use crate::id::{ClientId, SessionId, UserId};
use crate::session::Liveness;

use crate::store::{DevicePage, DeviceQuery, Revocation, Revoke, Store, StoreError, Swept, within_deadline};
use crate::telemetry::audit;

/// Lists and revokes sessions, disables and enables people, sweeps old rows:
/// [`Bridge::admin`](crate::Bridge::admin) hands it out.
///
/// Every method is idempotent. Once a revocation has returned, this bridge answers 401 to what it revoked at once, and any
/// node as [`Freshness`](crate::Freshness) promises. Revocations wait for no other write of the person's that waits in this
/// gateway, and have the bridge's [write deadline](crate::BridgeBuilder::write_deadline), 10 s by default.
///
/// # Cancel safety
///
/// A dropped future leaves its operation done or not done, never half done.
#[derive(Clone)]
pub struct Admin {
    store: Arc<dyn Store>,
    liveness: Arc<Liveness>,
    settings: Arc<IssueSettings>,
}

impl Admin {
    /// How many rows of each table one step of a sweep deletes at most.
    const SWEEP_BATCH: u32 = 500;
    /// Revoking a client may touch every session there is: a store may take a minute for it.
    const ALL_OF_A_CLIENT: Duration = Duration::from_secs(75);

    pub(crate) fn new(store: Arc<dyn Store>, liveness: Arc<Liveness>, settings: Arc<IssueSettings>) -> Self {
        Self { store, liveness, settings }
    }

    /// The devices of `user`, newest first: every live session, with the credential and the session of its hooks. A page
    /// says where the next one begins.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn devices_of(&self, user: &UserId, query: &DeviceQuery) -> Result<DevicePage, StoreError> {
        within_deadline(self.settings.deadlines.read, self.store.devices_of(user, query)).await
    }

    /// Revokes one session, with the credentials and the session of its device's hooks; `false` when there is no such
    /// session.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer: try again, it is not known whether it happened.
    pub async fn revoke_session(&self, session: &SessionId) -> Result<bool, StoreError> {
        let revoked = self.revoke(Revoke::Session(session.clone())).await?;
        audit!("session_revoked", session_id = %session, found = revoked.is_some());
        Ok(revoked.is_some())
    }

    /// Revokes one session of `user`; `false` when there is no such session or it is another's. It takes its turn with the
    /// person's other writes, for it is the person who asks.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer: try again, it is not known whether it happened.
    pub async fn revoke_session_of(&self, user: &UserId, session: &SessionId) -> Result<bool, StoreError> {
        let target = Revoke::SessionOf { user: user.clone(), session: session.clone() };
        let revoked = self.revoke(target).await?;
        audit!("session_revoked", user_id = %user, session_id = %session, found = revoked.is_some());
        Ok(revoked.is_some())
    }

    /// Revokes every session of `user`, every open code and every hook credential; returns how many sessions
    /// that were, `None` when the user is unknown.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer: try again, it is not known whether it happened.
    pub async fn revoke_user(&self, user: &UserId) -> Result<Option<u64>, StoreError> {
        let revoked = self.revoke(Revoke::User(user.clone())).await?;
        audit!("user_revoked", user_id = %user, sessions = revoked);
        Ok(revoked)
    }

    /// Revokes every session and every credential of `client`; returns how many sessions that were.
    ///
    /// That may be every session there is, so this alone may take longer than the write deadline: up to 75 s.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer: try again, it is not known whether it happened.
    pub async fn revoke_client(&self, client: &ClientId) -> Result<u64, StoreError> {
        let target = Revoke::Client(client.clone());
        let revoked = self.revoke_within(Self::ALL_OF_A_CLIENT, target).await?.unwrap_or(0);
        audit!("client_revoked", client_id = %client, sessions = revoked);
        Ok(revoked)
    }

    /// Disables `user` and revokes all they have; `false` when the user is unknown.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer: try again, it is not known whether it happened.
    pub async fn disable_user(&self, user: &UserId) -> Result<bool, StoreError> {
        let found = within_deadline(self.settings.deadlines.write, self.store.disable_user(user)).await?;
        self.liveness.forget(&Revocation::User(user.clone()));
        audit!("user_disabled", user_id = %user, found);
        Ok(found)
    }

    /// Lets `user` link again; what was revoked stays revoked. `false` when the user is unknown.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn enable_user(&self, user: &UserId) -> Result<bool, StoreError> {
        let found = within_deadline(self.settings.deadlines.write, self.store.enable_user(user)).await?;
        audit!("user_enabled", user_id = %user, found);
        Ok(found)
    }

    /// Deletes all dead rows in small steps, and tells `progress` the sum after each.
    ///
    /// Run it now and then, on any node, on several at once if it so happens. It never deletes a live row.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer; what was deleted stays deleted.
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

    /// Whether requests could be judged now, and the store be written to: for a readiness probe.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when not; its [kind](StoreError::kind) says what is wrong.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.liveness.check().await.map_err(StoreError::of)?;
        within_deadline(self.settings.deadlines.read, self.store.ping()).await
    }

    async fn revoke(&self, target: Revoke) -> Result<Option<u64>, StoreError> {
        self.revoke_within(self.settings.deadlines.write, target).await
    }

    async fn revoke_within(&self, deadline: Duration, target: Revoke) -> Result<Option<u64>, StoreError> {
        let revoked = within_deadline(deadline, self.store.revoke(&target)).await?;
        self.liveness.forget(&match target {
            Revoke::Session(session) | Revoke::SessionOf { session, .. } => Revocation::Session(session),
            Revoke::User(user) => Revocation::User(user),
            Revoke::Client(client) => Revocation::Client(client),
        });
        Ok(revoked)
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("store", &self.store).finish_non_exhaustive()
    }
}
