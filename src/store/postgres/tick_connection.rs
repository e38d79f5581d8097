//! The connection for ticks. It also carries hints of revocations, and finds out that another server has taken over.

mod lease;

pub(super) use lease::ConnectionSource;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedMutexGuard, watch};
use tokio::time::timeout;
use tokio_postgres::Row;
use uuid::Uuid;

use self::lease::Lease;
use super::connect::OnNotification;
use super::connections::Connections;
use super::error::failed;
use super::row::Columns as _;
use crate::background::Background;
use crate::store::{Proof, Replication, RunToCompletion, StoreError, StoreErrorKind, Tick};

/// The connection for ticks. It is made when it is needed, and made again when it is lost.
pub(super) struct TickConnection {
    shared: Arc<Shared>,
    /// Sends the hints.
    notifier: Background,
    /// Keeps the connection up while somebody listens for hints.
    listener: Background,
}

struct Shared {
    dial: ConnectionSource,
    connections: Connections,
    /// The time to connect.
    connect: Duration,
    /// How long a tick may wait before the store checks whether another server has taken over.
    patience: Duration,
    /// Held while a tick is made, however long that takes: so there is one tick at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    call: Mutex<Option<Arc<Lease>>>,
    /// The lease of the last acknowledged tick, and when this tick began.
    proved: Mutex<Option<(Uuid, Instant)>>,
    /// The store was dropped, so nobody waits for ticks.
    is_dropped: AtomicBool,
    /// The promise that was logged last, and its era.
    told: Mutex<(Option<Replication>, Option<i64>)>,
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
        dial: ConnectionSource,
        connections: Connections,
        connect: Duration,
        patience: Duration,
    ) -> Self {
        let shared = Shared {
            dial,
            connections,
            connect,
            patience,
            turn: Arc::default(),
            call: Mutex::default(),
            proved: Mutex::default(),
            is_dropped: AtomicBool::new(false),
            told: Mutex::default(),
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
    pub(super) async fn tell_promise(&self) -> Result<(), StoreError> {
        let row = self.shared.connections.query_one(Lease::PROMISE, &[]).await?;
        self.shared.tell(replication(&row)?, None);
        Ok(())
    }

    /// The lease that answers must show.
    pub(super) fn lease(&self) -> Uuid {
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
        if matches!(self.shared.dial, ConnectionSource::Pool(..)) {
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
        let call = {
            let _turn = shared.turn.lock().await;
            shared.call().await
        };
        pause = match call {
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
        // Kept, because a tick still waits on each of these servers, and no other tick shall wait there.
        let mut given_up = Vec::new();
        loop {
            let call = self.call().await?;
            match self.tick_on(&call, &given_up).await {
                Ok(Some(proof)) => return Ok(proof),
                // Another server has taken over.
                Ok(None) => given_up.push(call),
                Err(fault) => {
                    call.hang_up();
                    return Err(fault);
                }
            }
        }
    }

    /// The connection that is up, or a new one.
    async fn call(&self) -> Result<Arc<Lease>, StoreError> {
        if let Some(call) = self.standing() {
            return Ok(call);
        }
        let call = Arc::new(self.dial().await?);
        self.take_up(&call);
        Ok(call)
    }

    fn standing(&self) -> Option<Arc<Lease>> {
        let call = self.call.lock().unwrap_or_else(PoisonError::into_inner);
        let must_listen = self.is_listening.load(Ordering::SeqCst);
        call.clone().filter(|call| !call.is_over() && (call.listens || !must_listen))
    }

    fn take_up(&self, call: &Arc<Lease>) {
        if let ConnectionSource::Own(connector) = &self.dial {
            connector.prefer(call.place);
        }
        let before = self.call.lock().unwrap_or_else(PoisonError::into_inner).replace(call.clone());
        if before.is_some_and(|before| before.server != call.server) {
            self.connections.leave("another server has taken over, or this one was restarted");
        }
        // Hints from before this connection were not received: this one makes the watcher read the log.
        self.hint.send_replace(());
    }

    /// Logs what is promised, at first and whenever the promise changes, and logs a new era.
    fn tell(&self, replication: Replication, era: Option<i64>) {
        let before = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let now = (Some(replication), era.or(told.1));
            std::mem::replace(&mut *told, now)
        };
        let now = replication.as_str();
        match before {
            (Some(was), Some(before)) if era.is_some_and(|era| era != before) => {
                crate::telemetry::count("bridge_auth_era_changes_total", was.as_str());
                tracing::warn!(was = was.as_str(), replication = now, "{}", another_era(was));
            }
            (Some(was), _) if was == replication => {}
            (Some(was), _) => {
                tracing::warn!(was = was.as_str(), replication = now, "{}", replication.promise());
            }
            (None, _) => tracing::info!(replication = now, "{}", replication.promise()),
        }
    }

    fn proved(&self) -> MutexGuard<'_, Option<(Uuid, Instant)>> {
        self.proved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects to the first host that takes writes. The host where the primary was last found comes first.
    async fn dial(&self) -> Result<Lease, StoreError> {
        let mut fault = StoreError::timed_out();
        for place in self.dial.places() {
            match self.dial_at(place).await {
                Ok(call) => return Ok(call),
                Err(error) => fault = error,
            }
        }
        Err(fault)
    }

    async fn dial_at(&self, place: usize) -> Result<Lease, StoreError> {
        let hint = self.hint.clone();
        let heard: OnNotification = Arc::new(move || hint.send_modify(|()| {}));
        let dialled = Lease::dial(&self.dial, place, self.is_listening.load(Ordering::SeqCst), heard);
        timeout(self.connect, dialled).await.unwrap_or_else(|_| Err(StoreError::timed_out()))
    }

    /// Makes a tick; `None` when another server has taken over.
    async fn tick_on(&self, call: &Arc<Lease>, given_up: &[Arc<Lease>]) -> Result<Option<Proof>, StoreError> {
        let (began, number) = (Instant::now(), call.next());
        let mut ticking = std::pin::pin!(call.tick(number));
        loop {
            if let Ok(row) = timeout(self.patience, &mut ticking).await {
                return self.proof(call, number, began, &row?).map(Some);
            }
            if self.is_dropped.load(Ordering::SeqCst) {
                return Err(unacknowledged());
            }
            if let Some(other) = self.look_elsewhere(call, given_up).await {
                self.take_up(&Arc::new(other));
                return Ok(None);
            }
        }
    }

    fn proof(&self, call: &Lease, number: u64, began: Instant, row: &Row) -> Result<Proof, StoreError> {
        let replication = replication(row)?;
        *self.proved() = Some((call.lease, began));
        if self.dial.timeline().go_on(call.timeline) {
            // Until now connections could still be made to the server that was replaced.
            self.connections.leave("another server has taken over");
        }
        self.tell(replication, Some(call.era));
        Ok(Proof::new(Tick::new(call.lease.as_u128(), number), call.era, replication))
    }

    /// A connection to a server on which no tick of ours waits.
    ///
    /// This may be another server than that of `call` and those of `given_up`. It may also be one of these servers,
    /// when the tick has not reached it or the answer of the tick was lost.
    async fn look_elsewhere(&self, call: &Lease, given_up: &[Arc<Lease>]) -> Option<Lease> {
        for place in self.dial.places() {
            let Ok(other) = self.dial_at(place).await else { continue };
            let mut one_waits = false;
            for there in given_up.iter().map(|call| &**call).chain([call]) {
                if there.server == other.server {
                    let waits = timeout(self.connect, there.is_waiting(&other)).await;
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
        let call = match self.standing() {
            Some(call) => call,
            None => {
                let _turn = self.turn.lock().await;
                self.call().await?
            }
        };
        tokio::select! {
            sent = call.client.batch_execute("NOTIFY bridge_auth_revoked") => Ok(sent?),
            () = self.replaced(&call) => {
                // Its server does not answer: send the hint again, on the other connection.
                self.to_notify.notify_one();
                Ok(())
            }
        }
    }

    /// Returns when `call` is no longer the connection that is up.
    async fn replaced(&self, call: &Arc<Lease>) {
        while self.standing().is_some_and(|standing| Arc::ptr_eq(&standing, call)) {
            tokio::time::sleep(TickConnection::HINT_WAITS).await;
        }
    }
}

/// What a new era means for revocations; `was` is the promise before it.
fn another_era(was: Replication) -> String {
    let may_be_undone = match was {
        Replication::Synchronous => {
            "If that server was the synchronous standby, nothing acknowledged is lost. If it was not, what"
        }
        _ => "If another one has, what",
    };
    format!(
        "the database has restarted after a crash, or another server has taken over. {may_be_undone} was acknowledged \
         shortly before may be undone, revocations too. To end every session of all bridges: curl -X DELETE -H \
         \"authorization: Bearer $ADMIN_TOKEN\" $GATEWAY/admin/clients/sp_bridge/sessions (use the path of your \
         operators' endpoints and your bridge client id), or call Admin::revoke_client"
    )
}

fn replication(row: &Row) -> Result<Replication, StoreError> {
    match row.column("replication")? {
        "one_node" => Ok(Replication::OneNode),
        "asynchronous" => Ok(Replication::Asynchronous),
        "synchronous" => Ok(Replication::Synchronous),
        other => Err(failed(format!("unknown kind of replication {other:?}"))),
    }
}

fn unacknowledged() -> StoreError {
    StoreError::new(
        StoreErrorKind::TimedOut,
        "a write was not acknowledged in time: the synchronous standby does not answer, or another server has taken \
         over",
    )
}
