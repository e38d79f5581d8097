//! A real store whose look-ups are counted, and whose answers can be withheld.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bridge_auth::id::{AssertionHash, ClientId, RefreshHash, UserCode};
use bridge_auth::store::*;
use bridge_auth::{SessionId, UserId};
use tokio::sync::watch;

#[derive(Debug)]
pub struct Counting {
    store: Arc<dyn Store>,
    queries: AtomicUsize,
    full_queries: AtomicUsize,
    verifications: AtomicUsize,
    most_ids: AtomicUsize,
    log_is_broken: AtomicBool,
    look_ups_are_broken: AtomicBool,
    broken_session: Mutex<Option<SessionId>>,
    look_ups_panic: AtomicBool,
    look_ups_hang: AtomicBool,
    ticks_are_broken: AtomicBool,
    sweeps: AtomicUsize,
    sweeps_are_broken: AtomicBool,
    sweeps_panic: AtomicBool,
}

impl Counting {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            queries: AtomicUsize::new(0),
            full_queries: AtomicUsize::new(0),
            verifications: AtomicUsize::new(0),
            most_ids: AtomicUsize::new(0),
            log_is_broken: AtomicBool::new(false),
            look_ups_are_broken: AtomicBool::new(false),
            broken_session: Mutex::default(),
            look_ups_panic: AtomicBool::new(false),
            look_ups_hang: AtomicBool::new(false),
            ticks_are_broken: AtomicBool::new(false),
            sweeps: AtomicUsize::new(0),
            sweeps_are_broken: AtomicBool::new(false),
            sweeps_panic: AtomicBool::new(false),
        }
    }

    /// How many look-ups ran since the last reset.
    pub fn queries(&self) -> usize {
        self.queries.load(Ordering::SeqCst)
    }

    /// How many of them asked whose the sessions are.
    pub fn full_queries(&self) -> usize {
        self.full_queries.load(Ordering::SeqCst)
    }

    /// How many clients were looked for since the last reset.
    pub fn verifications(&self) -> usize {
        self.verifications.load(Ordering::SeqCst)
    }

    /// The most ids that one of them asked for.
    pub fn most_ids(&self) -> usize {
        self.most_ids.load(Ordering::SeqCst)
    }

    /// How many sweeps were begun.
    pub fn sweeps(&self) -> usize {
        self.sweeps.load(Ordering::SeqCst)
    }

    pub fn break_sweeps(&self) {
        self.sweeps_are_broken.store(true, Ordering::SeqCst);
    }

    pub fn panic_at_sweeps(&self) {
        self.sweeps_panic.store(true, Ordering::SeqCst);
    }

    pub fn reset(&self) {
        self.queries.store(0, Ordering::SeqCst);
        self.full_queries.store(0, Ordering::SeqCst);
        self.verifications.store(0, Ordering::SeqCst);
        self.most_ids.store(0, Ordering::SeqCst);
    }

    async fn count(&self, ids: usize) -> Result<(), StoreError> {
        if self.look_ups_hang.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        check(&self.look_ups_are_broken)?;
        assert!(!self.look_ups_panic.load(Ordering::SeqCst), "a defect of the store");
        self.queries.fetch_add(1, Ordering::SeqCst);
        self.most_ids.fetch_max(ids, Ordering::SeqCst);
        Ok(())
    }

    pub fn break_log(&self) {
        self.log_is_broken.store(true, Ordering::SeqCst);
    }

    pub fn break_look_ups(&self) {
        self.look_ups_are_broken.store(true, Ordering::SeqCst);
    }

    /// Breaks the look-ups that ask for this session.
    pub fn break_look_ups_of(&self, session: SessionId) {
        *self.broken_session.lock().unwrap() = Some(session);
    }

    fn check_session(&self, is_asked: impl Fn(&SessionId) -> bool) -> Result<(), StoreError> {
        let broken = self.broken_session.lock().unwrap();
        if broken.as_ref().is_some_and(is_asked) { Err(StoreError::timed_out()) } else { Ok(()) }
    }

    pub fn break_ticks(&self) {
        self.ticks_are_broken.store(true, Ordering::SeqCst);
    }

    /// A defect of a store of the host's own.
    pub fn panic_at_look_ups(&self) {
        self.look_ups_panic.store(true, Ordering::SeqCst);
    }

    /// A store that never answers.
    pub fn hang_look_ups(&self) {
        self.look_ups_hang.store(true, Ordering::SeqCst);
    }

    pub fn mend(&self) {
        self.look_ups_hang.store(false, Ordering::SeqCst);
        self.ticks_are_broken.store(false, Ordering::SeqCst);
        self.look_ups_panic.store(false, Ordering::SeqCst);
        self.log_is_broken.store(false, Ordering::SeqCst);
        self.look_ups_are_broken.store(false, Ordering::SeqCst);
        *self.broken_session.lock().unwrap() = None;
    }
}

fn check(broken: &AtomicBool) -> Result<(), StoreError> {
    if broken.load(Ordering::SeqCst) { Err(StoreError::timed_out()) } else { Ok(()) }
}

#[async_trait]
impl Store for Counting {
    async fn session_statuses(&self, ids: &[SessionId]) -> Result<SessionStatuses, StoreError> {
        self.count(ids.len()).await?;
        self.check_session(|broken| ids.contains(broken))?;
        self.full_queries.fetch_add(1, Ordering::SeqCst);
        self.store.session_statuses(ids).await
    }

    async fn row_states(&self, sessions: &[SessionKey]) -> Result<RowStates, StoreError> {
        self.count(sessions.len()).await?;
        self.check_session(|broken| sessions.contains(&SessionKey::of(broken.clone())))?;
        self.store.row_states(sessions).await
    }

    async fn revocations_since(
        &self,
        cursor: &RevocationCursor,
        limit: u32,
    ) -> Result<RevocationPage, StoreError> {
        check(&self.log_is_broken)?;
        self.store.revocations_since(cursor, limit).await
    }

    fn revocation_hints(&self) -> Option<watch::Receiver<()>> {
        self.store.revocation_hints()
    }

    async fn put_user(&self, user: &KnownUser) -> Result<(), StoreError> {
        self.store.put_user(user).await
    }

    async fn issue_code(&self, code: NewCode) -> Result<SystemTime, IssueCodeError> {
        self.store.issue_code(code).await
    }

    async fn redeem_code(&self, redeem: RedeemCode) -> Result<OpenedSession, RedeemError> {
        self.store.redeem_code(redeem).await
    }

    async fn open_session(&self, open: OpenSession) -> Result<OpenedSession, OpenSessionError> {
        self.store.open_session(open).await
    }

    async fn start_device_grant(&self, grant: NewDeviceGrant) -> Result<SystemTime, StartDeviceGrantError> {
        self.store.start_device_grant(grant).await
    }

    async fn device_grant(&self, code: &UserCode) -> Result<Option<DeviceGrant>, StoreError> {
        self.store.device_grant(code).await
    }

    async fn decide_device_grant(&self, decision: DecideDeviceGrant) -> Result<(), DecideDeviceGrantError> {
        self.store.decide_device_grant(decision).await
    }

    async fn poll_device_grant(&self, poll: PollDeviceGrant) -> Result<OpenedSession, PollDeviceGrantError> {
        self.store.poll_device_grant(poll).await
    }

    async fn users(&self, query: &UserQuery) -> Result<UserPage, StoreError> {
        self.store.users(query).await
    }

    async fn devices_of(&self, user: &UserId, query: &DeviceQuery) -> Result<DevicePage, StoreError> {
        self.store.devices_of(user, query).await
    }

    async fn revoke(&self, target: &Revoke) -> Result<Option<u64>, StoreError> {
        self.store.revoke(target).await
    }

    async fn disable_user(&self, user: &UserId) -> Result<bool, StoreError> {
        self.store.disable_user(user).await
    }

    async fn apply_event(&self, event: &SecurityEvent) -> Result<EventOutcome, StoreError> {
        self.store.apply_event(event).await
    }

    async fn add_user(&self, user: &KnownUser) -> Result<(), StoreError> {
        self.store.add_user(user).await
    }

    async fn enable_user(&self, user: &UserId) -> Result<bool, StoreError> {
        self.store.enable_user(user).await
    }

    async fn provision_client(
        &self,
        provision: ProvisionClient,
    ) -> Result<ProvisionedClient, ProvisionClientError> {
        self.store.provision_client(provision).await
    }

    async fn verify_client(
        &self,
        client: &ClientId,
        proof: &ClientProof,
    ) -> Result<Option<Client>, StoreError> {
        self.verifications.fetch_add(1, Ordering::SeqCst);
        self.store.verify_client(client, proof).await
    }

    async fn refresh_session(&self, refresh: RefreshSession) -> Result<OpenedSession, RefreshSessionError> {
        self.store.refresh_session(refresh).await
    }

    async fn refresh_status(&self, token: &RefreshHash) -> Result<Option<RefreshStatus>, StoreError> {
        self.store.refresh_status(token).await
    }

    async fn client_keys(&self, client: &ClientId, query: &KeyQuery) -> Result<Vec<ClientKey>, StoreError> {
        self.verifications.fetch_add(1, Ordering::SeqCst);
        self.store.client_keys(client, query).await
    }

    async fn spend_assertion(&self, assertion: &AssertionHash, life: Duration) -> Result<bool, StoreError> {
        self.store.spend_assertion(assertion, life).await
    }

    async fn sweep(&self, limit: u32) -> Result<Swept, StoreError> {
        self.sweeps.fetch_add(1, Ordering::SeqCst);
        assert!(!self.sweeps_panic.load(Ordering::SeqCst), "a defect of the store");
        check(&self.sweeps_are_broken)?;
        self.store.sweep(limit).await
    }

    async fn tick(&self) -> Result<Proof, StoreError> {
        check(&self.ticks_are_broken)?;
        self.store.tick().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }

    fn pool_status(&self) -> Option<PoolStatus> {
        self.store.pool_status()
    }
}
