//! One connection to one server: a lease.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use deadpool_postgres::{ClientWrapper, Object, Pool};
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

use crate::store::postgres::connect::{Connector, OnNotification};
use crate::store::postgres::error::{failed, takes_no_writes};
use crate::store::postgres::row::Columns as _;
use crate::store::postgres::timeline::Timeline;
use crate::store::{StoreError, StoreErrorKind};

/// Where the connection comes from.
pub(in super::super) enum ConnectionSource {
    Own(Connector),
    /// One connection is taken out of the host's pool. Notices and notifications of the server are not received on it.
    Pool(Pool, Timeline),
}

/// A connection to one server: a lease.
pub(super) struct Lease {
    pub(super) client: LeaseClient,
    /// The host that it is to.
    pub(super) place: usize,
    pub(super) id: Uuid,
    tick: Statement,
    /// The era of the database. Another era begins only after this connection has ended.
    pub(super) era: i64,
    /// When the server was started. This identifies the server.
    pub(super) server: String,
    backend: i32,
    /// The timeline of the server, if the server says it.
    pub(super) timeline: Option<i64>,
    /// Whether it receives hints.
    pub(super) listens: bool,
    number: AtomicU64,
    /// Whether nothing more is to be sent on it.
    is_retired: AtomicBool,
}

pub(super) enum LeaseClient {
    Own(Client),
    Pooled(ClientWrapper),
}

impl ConnectionSource {
    /// The hosts to try, in this order.
    pub(super) fn places(&self) -> Vec<usize> {
        match self {
            Self::Own(connector) => connector.places(),
            Self::Pool(..) => vec![0],
        }
    }

    /// The timeline that every connection must be on. A newer one is allowed too.
    pub(super) fn timeline(&self) -> &Timeline {
        match self {
            Self::Own(connector) => connector.timeline(),
            Self::Pool(_, timeline) => timeline,
        }
    }
}

/// What the server promises now. On this connection `synchronous_commit` is never `off`, and writes elsewhere turn it
/// on.
macro_rules! replication {
    () => {
        "CASE
            WHEN trim(current_setting('synchronous_standby_names')) <> ''
                AND current_setting('synchronous_commit') <> 'local' THEN 'synchronous'
            WHEN EXISTS (SELECT FROM pg_stat_get_wal_senders())
                OR EXISTS (SELECT FROM pg_get_replication_slots() WHERE slot_type = 'physical') THEN 'asynchronous'
            ELSE 'one_node'
        END AS replication"
    };
}

impl Lease {
    /// One statement, which is planned once. It runs some times a second for as long as a gateway runs.
    const TICK: &'static str = concat!(
        "INSERT INTO bridge_auth.ticks (lease, number, era, xid, begun_at, at)
        VALUES ($1, $2, $3, pg_current_xact_id(), clock_timestamp(), clock_timestamp())
        ON CONFLICT (lease) DO UPDATE SET number = excluded.number, xid = excluded.xid, at = excluded.at
        RETURNING ",
        replication!()
    );

    /// The same promise without a write, as far as it can be known without one.
    pub(super) const PROMISE: &'static str = concat!("SELECT ", replication!());

    /// The first statement of a connection. An era is begun here and not by a tick: a tick that begins an era would
    /// make all others wait for the standby with it.
    const BEGIN: &'static str = "SELECT pg_backend_pid() AS backend,
        extract(epoch FROM pg_postmaster_start_time())::text AS server, bridge_auth.era() AS era,
        -- A tick is on the disk before it is acknowledged, whatever the role is set to.
        set_config('synchronous_commit', coalesce(nullif(current_setting('synchronous_commit'), 'off'), 'on'), false)";

    /// Connects to the host at `place`, if it takes writes.
    pub(super) async fn connect(
        source: &ConnectionSource,
        place: usize,
        listens: bool,
        heard: OnNotification,
    ) -> Result<Self, StoreError> {
        let client = match source {
            ConnectionSource::Own(connector) => {
                LeaseClient::Own(connector.open_at(place, Some(heard)).await?.0)
            }
            ConnectionSource::Pool(pool, timeline) => {
                let client = Object::take(pool.get().await?);
                client.batch_execute("SET statement_timeout = 0; SET lock_timeout = 0").await?;
                timeline.check(&client).await?;
                LeaseClient::Pooled(client)
            }
        };
        if listens {
            client.batch_execute("LISTEN bridge_auth_revoked").await?;
        }
        let read_only =
            client.query_one("SELECT current_setting('transaction_read_only') = 'on'", &[]).await?;
        if read_only.try_get(0)? {
            return Err(takes_no_writes());
        }
        let row = client.query_one(Self::BEGIN, &[]).await?;
        let timeline = Timeline::of(&client).await;
        Ok(Self {
            tick: client.prepare(Self::TICK).await?,
            client,
            place,
            id: Uuid::from_u128(rand::random()),
            era: row.column("era")?,
            server: row.column("server")?,
            backend: row.column("backend")?,
            timeline,
            listens,
            number: AtomicU64::new(0),
            is_retired: AtomicBool::new(false),
        })
    }

    /// The number of its next tick.
    pub(super) fn next(&self) -> u64 {
        self.number.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Whether the server still works on this tick. It asks on `other`, a connection to the same server.
    pub(super) async fn is_waiting(&self, other: &Self) -> Result<bool, StoreError> {
        // If the server does not show the state, the tick may still be at work.
        let sql = "SELECT state IS DISTINCT FROM 'idle' AS waits FROM pg_stat_activity WHERE pid = $1";
        match other.client.query_opt(sql, &[&self.backend]).await? {
            Some(row) => row.column("waits"),
            None => Ok(false),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.client.is_closed() || self.is_retired.load(Ordering::SeqCst)
    }

    /// Ends its use. It is kept until the next one is made, because it identifies the server.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::SeqCst);
    }

    pub(super) async fn tick(&self, number: u64) -> Result<Row, StoreError> {
        let number = i64::try_from(number).map_err(failed)?;
        let ticked = self.client.query_one(&self.tick, &[&self.id, &number, &self.era]).await;
        ticked.map_err(|error| match error.is_closed() {
            // The connection ended and the server did not say why: the wait for the standby may have been cancelled.
            true => StoreError::new(StoreErrorKind::Unproven, error),
            false => error.into(),
        })
    }
}

impl Deref for LeaseClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        match self {
            Self::Own(client) => client,
            Self::Pooled(client) => client,
        }
    }
}
