//! The line to the primary: one connection for ticks, for hints of revocations, and to find out that another server has
//! taken over.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Object, Pool};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

use super::connect::{Connector, OnNotification};
use super::connections::Connections;
use super::error::failed;
use super::row::Columns as _;
use crate::background::Background;
use crate::store::{Proof, Replication, StoreError, StoreErrorKind, Tick, ToItsEnd};

/// The line, made when it is needed, and made again when it is lost.
pub(super) struct Line {
    shared: Arc<Shared>,
    /// Sends the hints.
    notifier: Background,
    /// Keeps the line up while hints are listened for.
    listener: Background,
}

struct Shared {
    dial: Dial,
    connections: Connections,
    /// For a connection to come about.
    connect: Duration,
    /// How long a tick may wait before it is asked whether another server has taken over.
    patience: Duration,
    /// Held while a tick is made, however long that takes: there is one at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    call: Mutex<Option<Arc<Call>>>,
    /// The lease whose tick was acknowledged last.
    proved: Mutex<Option<Uuid>>,
    /// What the log was told of last.
    told: Mutex<Option<Proof>>,
    hint: watch::Sender<()>,
    is_listening: AtomicBool,
    to_notify: Notify,
}

/// Where the connection comes from.
pub(super) enum Dial {
    Own(Connector),
    /// One is taken out of the host's pool. What the server says beside its answers is not heard there.
    Pool(Pool),
}

/// A connection to one server: a lease.
struct Call {
    client: Talk,
    /// Which host it is to.
    place: usize,
    lease: Uuid,
    tick: Statement,
    /// Which life of the database it is to: another one begins only once this line has ended.
    era: i64,
    /// When the server was started: no two servers are the same one by that.
    server: String,
    backend: i32,
    number: AtomicU64,
    /// Nothing more is to be said on it.
    hung_up: AtomicBool,
}

enum Talk {
    Own(Client),
    Pooled(ClientWrapper),
}

impl Line {
    /// How many connections it may have: the second one for a moment, to look for another server.
    pub(super) const CONNECTIONS: usize = 2;

    /// How often it is looked whether the line still stands, at first and at most after faults.
    const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

    /// One statement, which is planned once: it is made some times a second for as long as a gateway runs.
    const TICK: &'static str = "INSERT INTO bridge_auth.ticks (lease, number, era, xid, begun_at, at)
        VALUES ($1, $2, $3, pg_current_xact_id(), clock_timestamp(), clock_timestamp())
        ON CONFLICT (lease) DO UPDATE SET number = excluded.number, xid = excluded.xid, at = excluded.at
        RETURNING CASE
            WHEN trim(current_setting('synchronous_standby_names')) <> ''
                AND current_setting('synchronous_commit') NOT IN ('off', 'local') THEN 'synchronous'
            WHEN EXISTS (SELECT FROM pg_stat_get_wal_senders())
                OR EXISTS (SELECT FROM pg_get_replication_slots() WHERE slot_type = 'physical') THEN 'asynchronous'
            ELSE 'one_node'
        END AS replication";

    /// Before all else on a line. An era is begun here and not by a tick: whoever does so in a tick has all others wait for the
    /// standby with it.
    const BEGIN: &'static str = "SELECT pg_backend_pid() AS backend,
        extract(epoch FROM pg_postmaster_start_time())::text AS server, bridge_auth.era() AS era,
        -- A tick is on the disk before it is acknowledged, whatever the role is set to.
        set_config('synchronous_commit', coalesce(nullif(current_setting('synchronous_commit'), 'off'), 'on'), false)";

    /// A line beside `connections`, which it has left when their server is no longer the primary.
    pub(super) fn new(dial: Dial, connections: Connections, connect: Duration, patience: Duration) -> Self {
        let shared = Shared {
            dial,
            connections,
            connect,
            patience,
            turn: Arc::default(),
            call: Mutex::default(),
            proved: Mutex::default(),
            told: Mutex::default(),
            hint: watch::Sender::new(()),
            is_listening: AtomicBool::new(false),
            to_notify: Notify::new(),
        };
        Self { shared: Arc::new(shared), notifier: Background::default(), listener: Background::default() }
    }

    /// Makes a tick, and waits for it for twice `longest` at most.
    ///
    /// The wait for a synchronous standby itself is never given up: one that is cancelled looks like one that has ended. So no
    /// other tick is begun meanwhile, unless another server has taken over.
    pub(super) async fn tick(&self, longest: Duration) -> Result<Proof, StoreError> {
        let turn =
            timeout(longest, self.shared.turn.clone().lock_owned()).await.map_err(|_| unacknowledged())?;
        let shared = self.shared.clone();
        let ticking = ToItsEnd::new(async move {
            let _turn = turn;
            shared.tick().await
        });
        timeout(longest, ticking).await.unwrap_or_else(|_| Err(unacknowledged()))
    }

    /// The lease that answers must show.
    pub(super) fn lease(&self) -> Uuid {
        self.shared.proved.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(Uuid::nil())
    }

    /// Asks answers for `lease` no more: a server does not have it, though it is the one that answers.
    pub(super) fn forget(&self, lease: Uuid) {
        let mut proved = self.shared.proved.lock().unwrap_or_else(PoisonError::into_inner);
        if *proved == Some(lease) {
            *proved = None;
        }
    }

    /// Tells all gateways that something was revoked: soon, and once for many.
    pub(super) fn notify(&self) {
        self.notifier.ensure(|| {
            let shared = self.shared.clone();
            async move {
                loop {
                    shared.to_notify.notified().await;
                    if let Err(fault) = shared.send_hint().await {
                        tracing::debug!(
                            error = &fault as &dyn std::error::Error,
                            "no hint of a revocation was sent"
                        );
                    }
                }
            }
        });
        self.shared.to_notify.notify_one();
    }

    /// A channel that changes when a hint has come, while the line stands; nothing where none can be heard.
    pub(super) fn hints(&self) -> Option<watch::Receiver<()>> {
        if matches!(self.shared.dial, Dial::Pool(_)) {
            return None;
        }
        if !self.shared.is_listening.swap(true, Ordering::SeqCst) {
            // It listens once it is made anew.
            self.shared.call.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        // Before it is begun: the first hint says that it listens.
        let hints = self.shared.hint.subscribe();
        self.listener.ensure(|| listen(self.shared.clone()));
        Some(hints)
    }
}

/// Makes the line whenever there is none.
async fn listen(shared: Arc<Shared>) {
    let (first, longest) = Line::PAUSES;
    let mut pause = first;
    loop {
        let call = {
            let _turn = shared.turn.lock().await;
            shared.call().await
        };
        pause = match call {
            Ok(_) => first,
            Err(fault) => {
                tracing::debug!(error = &fault as &dyn std::error::Error, "revocations are not listened for");
                (pause * 2).min(longest)
            }
        };
        tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
    }
}

impl Shared {
    async fn tick(&self) -> Result<Proof, StoreError> {
        loop {
            let call = self.call().await?;
            match self.tick_on(&call).await {
                Ok(Some(proof)) => return Ok(proof),
                // Another server has taken over.
                Ok(None) => {}
                Err(fault) => {
                    call.hang_up();
                    return Err(fault);
                }
            }
        }
    }

    /// The line as it stands; a new one where there is none.
    async fn call(&self) -> Result<Arc<Call>, StoreError> {
        if let Some(call) = self.standing() {
            return Ok(call);
        }
        let call = Arc::new(self.dial().await?);
        self.take_up(&call);
        Ok(call)
    }

    fn standing(&self) -> Option<Arc<Call>> {
        let call = self.call.lock().unwrap_or_else(PoisonError::into_inner);
        call.clone().filter(|call| !call.is_over())
    }

    fn take_up(&self, call: &Arc<Call>) {
        if let Dial::Own(connector) = &self.dial {
            connector.prefer(call.place);
        }
        let before = self.call.lock().unwrap_or_else(PoisonError::into_inner).replace(call.clone());
        if before.is_some_and(|before| before.server != call.server) {
            self.connections.leave("another server has taken over, or this one was restarted");
        }
        // What came before it was not heard.
        self.hint.send_replace(());
    }

    /// A line to the first host that takes writes, the one where the primary was found last before all others.
    async fn dial(&self) -> Result<Call, StoreError> {
        let mut fault = StoreError::timed_out();
        for place in self.dial.places() {
            match self.dial_at(place).await {
                Ok(call) => return Ok(call),
                Err(error) => fault = error,
            }
        }
        Err(fault)
    }

    async fn dial_at(&self, place: usize) -> Result<Call, StoreError> {
        let dialled = timeout(self.connect, async {
            let client = match &self.dial {
                Dial::Own(connector) => {
                    let hint = self.hint.clone();
                    let heard: OnNotification = Arc::new(move || hint.send_modify(|()| {}));
                    let (client, _) = connector.open_at(place, Some(heard)).await?;
                    Talk::Own(client)
                }
                Dial::Pool(pool) => {
                    let client = Object::take(pool.get().await?);
                    client.batch_execute("SET statement_timeout = 0; SET lock_timeout = 0").await?;
                    Talk::Pooled(client)
                }
            };
            if self.is_listening.load(Ordering::SeqCst) {
                client.batch_execute("LISTEN bridge_auth_revoked").await?;
            }
            let read_only =
                client.query_one("SELECT current_setting('transaction_read_only') = 'on'", &[]).await?;
            if read_only.try_get(0)? {
                return Err(takes_no_writes());
            }
            let row = client.query_one(Line::BEGIN, &[]).await?;
            let tick = client.prepare(Line::TICK).await?;
            Ok(Call {
                client,
                place,
                lease: Uuid::from_u128(rand::random()),
                tick,
                era: row.column("era")?,
                server: row.column("server")?,
                backend: row.column("backend")?,
                number: AtomicU64::new(0),
                hung_up: AtomicBool::new(false),
            })
        });
        dialled.await.unwrap_or_else(|_| Err(StoreError::timed_out()))
    }

    /// Makes a tick, or finds out that another server has taken over.
    async fn tick_on(&self, call: &Arc<Call>) -> Result<Option<Proof>, StoreError> {
        let number = call.number.fetch_add(1, Ordering::SeqCst) + 1;
        let mut ticking = std::pin::pin!(call.tick(number));
        loop {
            if let Ok(row) = timeout(self.patience, &mut ticking).await {
                return self.proof(call, number, &row?).map(Some);
            }
            if let Some(other) = self.look_elsewhere(call).await {
                self.take_up(&Arc::new(other));
                return Ok(None);
            }
        }
    }

    fn proof(&self, call: &Call, number: u64, row: &Row) -> Result<Proof, StoreError> {
        let replication = match row.column("replication")? {
            "one_node" => Replication::OneNode,
            "asynchronous" => Replication::Asynchronous,
            "synchronous" => Replication::Synchronous,
            other => return Err(failed(format!("unknown kind of replication {other:?}"))),
        };
        *self.proved.lock().unwrap_or_else(PoisonError::into_inner) = Some(call.lease);
        let proof = Proof::new(Tick::new(call.lease.as_u128(), number), call.era, replication);
        report(self.told.lock().unwrap_or_else(PoisonError::into_inner).replace(proof), proof);
        Ok(proof)
    }

    /// A line to another server than `call`'s, or to the same one when the tick has not reached it, or its answer got lost.
    async fn look_elsewhere(&self, call: &Call) -> Option<Call> {
        for place in self.dial.places() {
            let Ok(other) = self.dial_at(place).await else { continue };
            // One tick waits there already: a second one would wait with it.
            if other.server != call.server || !self.is_waiting(call, &other).await {
                return Some(other);
            }
        }
        None
    }

    /// Whether the server is at work on the tick of `call`, as it says to `other`.
    async fn is_waiting(&self, call: &Call, other: &Call) -> bool {
        let sql = "SELECT state = 'active' AS waits FROM pg_stat_activity WHERE pid = $1";
        let asked = timeout(self.connect, other.client.query_opt(sql, &[&call.backend])).await;
        match asked {
            Ok(Ok(row)) => row.is_some_and(|row| row.column("waits").ok().flatten().unwrap_or(true)),
            _ => true,
        }
    }

    async fn send_hint(&self) -> Result<(), StoreError> {
        let call = match self.standing() {
            Some(call) => call,
            None => {
                let _turn = self.turn.lock().await;
                self.call().await?
            }
        };
        Ok(call.client.batch_execute("NOTIFY bridge_auth_revoked").await?)
    }
}

impl Dial {
    /// Which hosts to try, in this order.
    fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, hosts) = match self {
            Self::Own(connector) => connector.places(),
            Self::Pool(_) => (0, 1),
        };
        (0..hosts).map(move |step| (first + step) % hosts)
    }
}

impl Call {
    fn is_over(&self) -> bool {
        self.client.is_closed() || self.hung_up.load(Ordering::SeqCst)
    }

    /// Kept all the same until the next one stands: to know the server by.
    fn hang_up(&self) {
        self.hung_up.store(true, Ordering::SeqCst);
    }

    async fn tick(&self, number: u64) -> Result<Row, StoreError> {
        let number = i64::try_from(number).map_err(failed)?;
        let ticked = self.client.query_one(&self.tick, &[&self.lease, &number, &self.era]).await;
        ticked.map_err(|error| match error.is_closed() {
            // The connection ended, and the server did not say why: the wait for the standby may have been cancelled.
            true => StoreError::new(StoreErrorKind::Unproven, error),
            false => error.into(),
        })
    }
}

impl Deref for Talk {
    type Target = Client;

    fn deref(&self) -> &Client {
        match self {
            Self::Own(client) => client,
            Self::Pooled(client) => client,
        }
    }
}

/// The server is a standby, or was made read-only.
pub(super) fn takes_no_writes() -> StoreError {
    StoreError::new(
        StoreErrorKind::ReadOnly,
        "the server takes no writes: it is a standby, or its transactions are read-only",
    )
}

/// Says what is promised, at first and whenever that changes, and that another era has begun.
fn report(last: Option<Proof>, proof: Proof) {
    let replication = proof.replication.as_str();
    let Some(last) = last else {
        tracing::info!(replication, "{}", proof.replication.promise());
        return;
    };
    let was = last.replication.as_str();
    if last.era != proof.era {
        crate::observe::count("bridge_auth_era_changes_total", was);
        let end_all = "To end every session of all bridges: curl -X DELETE -H \"authorization: Bearer $ADMIN_TOKEN\" \
            $GATEWAY/admin/clients/sp_bridge/sessions (wherever the operators' endpoints are, with your bridge client id), or \
            Admin::revoke_client";
        if last.replication == Replication::Synchronous {
            tracing::warn!(
                was,
                replication,
                "the database has restarted after a crash, or another server has taken over. Nothing acknowledged is lost, if \
                 it was the synchronous standby. Else revocations may be undone. {end_all}"
            );
        } else {
            tracing::warn!(
                was,
                replication,
                "the database has restarted after a crash, or another server has taken over. If another one has, what was \
                 acknowledged shortly before may be undone, revocations too. {end_all}"
            );
        }
    } else if last.replication != proof.replication {
        tracing::warn!(was, replication, "{}", proof.replication.promise());
    }
}

fn unacknowledged() -> StoreError {
    StoreError::new(
        StoreErrorKind::TimedOut,
        "a write was not acknowledged in time: the synchronous standby does not answer, or another server has taken over",
    )
}
