//! The connection for ticks. It also carries hints of revocations, and finds out that another server has taken over.

mod lease;
mod promise;

pub(super) use lease::ConnectionSource;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedMutexGuard, watch};
use tokio::time::timeout;
use tokio_postgres::Row;
use uuid::Uuid;

use self::lease::Lease;
use self::promise::{PromiseLog, replication};
use super::connect::OnNotification;
use super::connections::Connections;
use crate::background_task::Background;
use crate::store::{Proof, RunToCompletion, StoreError, StoreErrorKind, Tick};

/// The connection for ticks. It is made when it is needed, and made again when it is lost.
pub(super) struct TickConnection {
    shared: Arc<Shared>,
    /// Sends the hints.
    notifier: Background,
    /// Keeps the connection up while somebody listens for hints.
    listener: Background,
}

struct Shared {
    source: ConnectionSource,
    connections: Connections,
    /// The time to connect.
    connect_timeout: Duration,
    /// How long a tick may wait before the store checks whether another server has taken over.
    patience: Duration,
    /// Held while a tick is made, however long that takes: so there is one tick at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    lease: Mutex<Option<Arc<Lease>>>,
    /// The lease of the last acknowledged tick, and when this tick began.
    proved: Mutex<Option<(Uuid, Instant)>>,
    /// The store was dropped, so nobody waits for ticks.
    is_dropped: AtomicBool,
    promise_log: PromiseLog,
    hint: watch::Sender<()>,
    is_listening: AtomicBool,
    to_notify: Notify,
}

impl TickConnection {
    /// The most connections that it may have. The second one exists for a moment, to look for another server.
    pub(super) const CONNECTIONS: usize = 2;

    /// How long a tick confirms answers that deny something.
    const CONFIRMS: Duration = Duration::from_secs(1);

    /// How often a hint that waits behind a tick checks whether another connection was made meanwhile.
    const HINT_WAITS: Duration = Duration::from_secs(1);

    /// The least time between two hints.
    const HINT_PAUSE: Duration = Duration::from_millis(2);

    /// How often the listener checks that the connection is up: at first, and at most after faults.
    const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

    /// A connection for ticks beside `connections`. It closes `connections` when their server is no longer the primary.
    pub(super) fn new(
        source: ConnectionSource,
        connections: Connections,
        connect_timeout: Duration,
        patience: Duration,
    ) -> Self {
        let shared = Shared {
            source,
            connections,
            connect_timeout,
            patience,
            turn: Arc::default(),
            lease: Mutex::default(),
            proved: Mutex::default(),
            is_dropped: AtomicBool::new(false),
            promise_log: PromiseLog::default(),
            hint: watch::Sender::new(()),
            is_listening: AtomicBool::new(false),
            to_notify: Notify::new(),
        };
        Self { shared: Arc::new(shared), notifier: Background::default(), listener: Background::default() }
    }

    /// Makes a tick. It waits for its turn for at most `longest`, and then for the tick for at most `longest`.
    ///
    /// The server's wait for a synchronous standby is never cancelled: a cancelled wait looks like one that has ended.
    /// So no other tick is begun meanwhile, unless another server has taken over.
    pub(super) async fn tick(&self, longest: Duration) -> Result<Proof, StoreError> {
        let turn = self.turn(longest).await?;
        self.tick_in(turn, longest).await
    }

    /// Makes sure that the server was the primary a moment ago. An answer that denies something needs this: another
    /// server may know better.
    pub(super) async fn confirm(&self, longest: Duration) -> Result<(), StoreError> {
        if self.is_confirmed() {
            return Ok(());
        }
        let turn = self.turn(longest).await?;
        // The call that had the turn before may have made the tick.
        if self.is_confirmed() { Ok(()) } else { self.tick_in(turn, longest).await.map(drop) }
    }

    fn is_confirmed(&self) -> bool {
        self.shared.proved().is_some_and(|(_, began)| began.elapsed() < Self::CONFIRMS)
    }

    async fn turn(&self, longest: Duration) -> Result<OwnedMutexGuard<()>, StoreError> {
        timeout(longest, self.shared.turn.clone().lock_owned()).await.map_err(|_| unacknowledged())
    }

    async fn tick_in(&self, turn: OwnedMutexGuard<()>, longest: Duration) -> Result<Proof, StoreError> {
        let shared = self.shared.clone();
        let ticking = RunToCompletion::new(async move {
            let _turn = turn;
            shared.tick().await
        });
        timeout(longest, ticking).await.unwrap_or_else(|_| Err(unacknowledged()))
    }

    /// Logs what the database promises, as far as this is known without a tick.
    pub(super) async fn log_promise(&self) -> Result<(), StoreError> {
        let row = self.shared.connections.query_one(Lease::PROMISE, &[]).await?;
        self.shared.promise_log.note(replication(&row)?, None);
        Ok(())
    }

    /// The lease that answers must show.
    pub(super) fn lease_id(&self) -> Uuid {
        self.shared.proved().map_or(Uuid::nil(), |(lease, _)| lease)
    }

    /// Forgets `lease`, because the server that answers does not have it.
    pub(super) fn forget(&self, lease: Uuid) {
        let mut proved = self.shared.proved();
        if proved.is_some_and(|(proved, _)| proved == lease) {
            *proved = None;
        }
    }

    /// Tells all gateways that something was revoked: soon, and once for many revocations.
    pub(super) fn notify(&self) {
        self.notifier.ensure(|| {
            let shared = self.shared.clone();
            async move {
                loop {
                    shared.to_notify.notified().await;
                    if let Err(fault) = shared.send_hint().await {
                        let error = &fault as &dyn std::error::Error;
                        tracing::debug!(
                            error,
                            "no hint of a revocation was sent: other gateways read it from the log"
                        );
                    }
                    // One hint for all that is revoked meanwhile: each hint makes every watcher read the log.
                    tokio::time::sleep(TickConnection::HINT_PAUSE).await;
                }
            }
        });
        self.shared.to_notify.notify_one();
    }

    /// A channel that changes when a hint comes, while the connection is up; `None` if no hint can be received.
    pub(super) fn hints(&self) -> Option<watch::Receiver<()>> {
        if matches!(self.shared.source, ConnectionSource::Pool(..)) {
            return None;
        }
        // A connection that does not listen counts no more: it is made again.
        self.shared.is_listening.store(true, Ordering::SeqCst);
        // Subscribe before the listener starts: the first hint says that the connection listens.
        let hints = self.shared.hint.subscribe();
        self.listener.ensure(|| listen(self.shared.clone()));
        Some(hints)
    }
}

impl Drop for TickConnection {
    fn drop(&mut self) {
        self.shared.is_dropped.store(true, Ordering::SeqCst);
    }
}

/// Makes the connection whenever there is none.
async fn listen(shared: Arc<Shared>) {
    let (first, longest) = TickConnection::PAUSES;
    let mut pause = first;
    loop {
        let lease = {
            let _turn = shared.turn.lock().await;
            shared.lease().await
        };
        pause = match lease {
            Ok(_) => first,
            Err(fault) => {
                tracing::debug!(
                    error = &fault as &dyn std::error::Error,
                    "no hints of revocations can be received"
                );
                (pause * 2).min(longest)
            }
        };
        tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
    }
}

impl Shared {
    async fn tick(&self) -> Result<Proof, StoreError> {
        // Kept, because a tick still waits on each of these servers, and no other tick may wait there.
        let mut given_up = Vec::new();
        loop {
            let lease = self.lease().await?;
            match self.tick_on(&lease, &given_up).await {
                Ok(Some(proof)) => return Ok(proof),
                // Another server has taken over.
                Ok(None) => given_up.push(lease),
                Err(fault) => {
                    lease.retire();
                    return Err(fault);
                }
            }
        }
    }

    /// The connection that is up, or a new one.
    async fn lease(&self) -> Result<Arc<Lease>, StoreError> {
        if let Some(lease) = self.current() {
            return Ok(lease);
        }
        let lease = Arc::new(self.connect_anew().await?);
        self.replace(&lease);
        Ok(lease)
    }

    fn current(&self) -> Option<Arc<Lease>> {
        let lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        let must_listen = self.is_listening.load(Ordering::SeqCst);
        lease.clone().filter(|lease| !lease.is_over() && (lease.listens || !must_listen))
    }

    fn replace(&self, lease: &Arc<Lease>) {
        if let ConnectionSource::Own(connector) = &self.source {
            connector.prefer(lease.place);
        }
        let before = self.lease.lock().unwrap_or_else(PoisonError::into_inner).replace(lease.clone());
        if before.is_some_and(|before| before.server != lease.server) {
            self.connections.leave("another server has taken over, or this one was restarted");
        }
        // Hints from before this connection were not received: this one makes the watcher read the log.
        self.hint.send_replace(());
    }

    fn proved(&self) -> MutexGuard<'_, Option<(Uuid, Instant)>> {
        self.proved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects to the first host that takes writes. The host where the primary was last found comes first.
    async fn connect_anew(&self) -> Result<Lease, StoreError> {
        let mut fault = StoreError::timed_out();
        for place in self.source.places() {
            match self.connect_at(place).await {
                Ok(lease) => return Ok(lease),
                Err(error) => fault = error,
            }
        }
        Err(fault)
    }

    async fn connect_at(&self, place: usize) -> Result<Lease, StoreError> {
        let hint = self.hint.clone();
        let heard: OnNotification = Arc::new(move || hint.send_modify(|()| {}));
        let connecting = Lease::connect(&self.source, place, self.is_listening.load(Ordering::SeqCst), heard);
        timeout(self.connect_timeout, connecting).await.unwrap_or_else(|_| Err(StoreError::timed_out()))
    }

    /// Makes a tick; `None` when another server has taken over.
    async fn tick_on(
        &self,
        lease: &Arc<Lease>,
        given_up: &[Arc<Lease>],
    ) -> Result<Option<Proof>, StoreError> {
        let (began, number) = (Instant::now(), lease.next());
        let mut ticking = std::pin::pin!(lease.tick(number));
        loop {
            if let Ok(row) = timeout(self.patience, &mut ticking).await {
                return self.proof(lease, number, began, &row?).map(Some);
            }
            if self.is_dropped.load(Ordering::SeqCst) {
                return Err(unacknowledged());
            }
            if let Some(other) = self.look_elsewhere(lease, given_up).await {
                self.replace(&Arc::new(other));
                return Ok(None);
            }
        }
    }

    fn proof(&self, lease: &Lease, number: u64, began: Instant, row: &Row) -> Result<Proof, StoreError> {
        let replication = replication(row)?;
        *self.proved() = Some((lease.id, began));
        if self.source.timeline().go_on(lease.timeline) {
            // Until now connections could still be made to the server that was replaced.
            self.connections.leave("another server has taken over");
        }
        self.promise_log.note(replication, Some(lease.era));
        Ok(Proof::new(Tick::new(lease.id.as_u128(), number), lease.era, replication))
    }

    /// A connection to a server on which no tick of ours waits.
    ///
    /// This may be another server than that of `lease` and those of `given_up`. It may also be one of these servers,
    /// when the tick has not reached it or the answer of the tick was lost.
    async fn look_elsewhere(&self, lease: &Lease, given_up: &[Arc<Lease>]) -> Option<Lease> {
        for place in self.source.places() {
            let Ok(other) = self.connect_at(place).await else { continue };
            let mut one_waits = false;
            for there in given_up.iter().map(|lease| &**lease).chain([lease]) {
                if there.server == other.server {
                    let waits = timeout(self.connect_timeout, there.is_waiting(&other)).await;
                    one_waits |= !matches!(waits, Ok(Ok(false)));
                }
            }
            if !one_waits {
                return Some(other);
            }
        }
        None
    }

    async fn send_hint(&self) -> Result<(), StoreError> {
        let lease = match self.current() {
            Some(lease) => lease,
            None => {
                let _turn = self.turn.lock().await;
                self.lease().await?
            }
        };
        tokio::select! {
            sent = lease.client.batch_execute("NOTIFY bridge_auth_revoked") => Ok(sent?),
            () = self.replaced(&lease) => {
                // Its server does not answer: send the hint again, on the other connection.
                self.to_notify.notify_one();
                Ok(())
            }
        }
    }

    /// Returns when `lease` is no longer the connection that is up.
    async fn replaced(&self, lease: &Arc<Lease>) {
        while self.current().is_some_and(|current| Arc::ptr_eq(&current, lease)) {
            tokio::time::sleep(TickConnection::HINT_WAITS).await;
        }
    }
}

fn unacknowledged() -> StoreError {
    StoreError::new(
        StoreErrorKind::TimedOut,
        "a write was not acknowledged in time: the synchronous standby does not answer, or another server has taken \
         over",
    )
}
