//! Connections, each lent for one statement.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use deadpool_postgres::{Object, Pool, StatementCache};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::error::{failed, leaves_connection_good};
use super::timeline::Timeline;
use crate::store::pool_usage::{Lent, PoolUsage};
use crate::store::{PoolStatus, RunToCompletion, StoreError, StoreErrorKind};

/// How much longer the client waits than the server: the server's own error mostly says more.
const GRACE: Duration = Duration::from_millis(200);

pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Two lanes of connections: one for look-ups, which no other work may use, and one for everything else.
#[derive(Clone)]
pub(super) struct Connections {
    /// For what every request waits for: whether sessions are live, and what was revoked.
    pub(super) look_ups: Lane,
    pub(super) rest: Lane,
}

/// Connections for one purpose, and their deadlines.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) pool: Pool,
    /// How many of the pool's connections the lane may take at once, if it shares the pool.
    places: Option<Arc<Semaphore>>,
    /// The time for a place in the pool and for its connection.
    pub(super) acquire: Duration,
    /// The time for the statement, as the server knows it.
    pub(super) statement: Duration,
    /// When the server was last left; all lanes share it. Connections that were made before that count no more.
    left: Arc<watch::Sender<Option<Instant>>>,
    lending: Arc<PoolUsage>,
    /// For a pool whose connections the host makes.
    set_up: Option<Arc<SetUp>>,
    plans: Plans,
}

/// How long the plan of a statement is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plans {
    /// As long as the connection: for the server it takes longer to plan a look-up than to run it.
    Kept,
    /// One call. A join is planned for the values of each call: a plan that was made while a table was empty reads an
    /// index from end to end.
    ForOnce,
}

impl Plans {
    pub(super) const fn setting(self) -> &'static str {
        match self {
            Self::Kept => "SET plan_cache_mode = force_generic_plan",
            Self::ForOnce => "SET plan_cache_mode = force_custom_plan",
        }
    }
}

/// The settings that each connection of a host's pool gets at its first use.
struct SetUp {
    settings: String,
    timeline: Timeline,
    /// The connections that have the settings, and the plans that each was last set to. They are identified by their
    /// caches.
    done: Mutex<Vec<(Weak<StatementCache>, Plans)>>,
}

impl SetUp {
    /// Sets up `connection`, which the caller holds alone. A connection that was used in another lane costs one round
    /// trip.
    async fn make(&self, connection: &Object, plans: Plans) -> Result<(), tokio_postgres::Error> {
        let cache = &connection.statement_cache;
        let done = || self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |known: &Weak<StatementCache>| known.as_ptr() == Arc::as_ptr(cache);
        let is_set_up = {
            let mut done = done();
            done.retain(|(known, _)| known.strong_count() > 0);
            match done.iter().position(|(known, _)| is_it(known)) {
                Some(place) if done[place].1 == plans => return Ok(()),
                // Its state is forgotten while it is switched: this future may be dropped, and the server goes on.
                Some(place) => done.swap_remove(place).0.strong_count() > 0,
                None => false,
            }
        };
        if !is_set_up {
            connection.batch_execute(&self.settings).await?;
            self.timeline.check(connection).await?;
        }
        connection.batch_execute(plans.setting()).await?;
        done().push((Arc::downgrade(cache), plans));
        Ok(())
    }
}

impl Connections {
    /// Two queries of shared look-ups, and one reading of the log.
    pub(super) const FOR_LOOK_UPS: usize = 3;

    /// A pool for each lane, with the time that a statement may take in it. `left` changes when the server is left.
    pub(super) fn new(
        look_ups: (Pool, Duration),
        rest: (Pool, Duration),
        acquire: Duration,
        left: &Arc<watch::Sender<Option<Instant>>>,
    ) -> Self {
        let lane = |(pool, statement), plans| Lane {
            pool,
            places: None,
            acquire,
            statement,
            left: left.clone(),
            lending: Arc::default(),
            set_up: None,
            plans,
        };
        Self { look_ups: lane(look_ups, Plans::Kept), rest: lane(rest, Plans::ForOnce) }
    }

    /// Both lanes share one pool. The rest leaves the connections free that look-ups need. Each connection gets
    /// `settings` at its first use.
    pub(super) fn of_one_pool(
        pool: Pool,
        acquire: Duration,
        statement: Duration,
        settings: String,
        timeline: Timeline,
    ) -> Self {
        let size = pool.status().max_size;
        let places = size.saturating_sub(Self::FOR_LOOK_UPS).max(size / 2).max(1);
        let mut connections = Self::new(
            (pool.clone(), statement),
            (pool, statement),
            acquire,
            &Arc::new(watch::Sender::new(None)),
        );
        connections.rest.places = Some(Arc::new(Semaphore::new(places)));
        let set_up = Arc::new(SetUp { settings, timeline, done: Mutex::default() });
        connections.look_ups.set_up = Some(set_up.clone());
        connections.rest.set_up = Some(set_up);
        connections
    }

    /// The settings of each connection, if the pool is the host's; `None` if the connections are made here.
    pub(super) fn settings_of_pool(&self) -> Option<&str> {
        self.rest.set_up.as_ref().map(|set_up| &*set_up.settings)
    }

    /// Closes all connections, also those that are lent: their server is not the primary, or no longer.
    pub(super) fn leave(&self, why: &str) {
        let now = Instant::now();
        let before = self.look_ups.left.send_replace(Some(now));
        // If the same server is found again and again, this is logged once.
        if before.is_none_or(|before| now.duration_since(before) > Duration::from_secs(10)) {
            tracing::info!(why, "all connections to the database are closed and opened again");
        }
        for lane in [&self.look_ups, &self.rest] {
            lane.pool.retain(|_, _| false);
        }
    }

    pub(super) fn status(&self) -> PoolStatus {
        let mut pools = vec![&self.look_ups.pool];
        pools.extend(self.rest.places.is_none().then_some(&self.rest.pool));
        let lending = [&self.look_ups.lending, &self.rest.lending];
        PoolStatus {
            size: pools.iter().map(|pool| pool.status().max_size).sum(),
            connections_out: lending.iter().map(|lending| lending.out()).sum(),
            last_wait: lending.iter().map(|lending| lending.last_wait()).max().unwrap_or_default(),
        }
    }

    /// Runs one statement, which is a transaction of its own.
    pub(super) async fn query(&self, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>, StoreError> {
        self.rest.query(sql, params).await
    }

    /// Runs one statement that answers with exactly one row.
    pub(super) async fn query_one(&self, sql: &'static str, params: Params<'_>) -> Result<Row, StoreError> {
        let rows = self.query(sql, params).await?;
        rows.into_iter().next().ok_or_else(|| failed("the answer has no row"))
    }

    /// Runs one statement that may change very many rows, and takes up to `deadline`.
    pub(super) async fn query_one_within(
        &self,
        deadline: Duration,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<Row, StoreError> {
        let mut lease = self.rest.lease().await?;
        let made = lease.made;
        let answer = async {
            let transaction = lease.connection_mut().transaction().await?;
            let allow = format!(
                "SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}",
                deadline.as_millis(),
                deadline.as_millis() / 4
            );
            transaction.batch_execute(&allow).await?;
            let row = transaction.query_one(sql, params).await?;
            transaction.commit().await?;
            Ok(row)
        };
        let answer = self.rest.unless_left(made, answer).await?;
        lease.end(answer)
    }
}

impl Lane {
    /// Runs `work` for as long as its connection and its statement may take. Work that takes longer goes on alone, and
    /// keeps its connection until the server has ended the statement: so there are never more connections than the pool
    /// has.
    pub(super) async fn run<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let done = timeout(self.longest(), RunToCompletion::new(work)).await;
        done.unwrap_or_else(|_| Err(StoreError::timed_out().into()))
    }

    /// How long a connection and its statement may take.
    pub(super) fn longest(&self) -> Duration {
        self.acquire.saturating_add(self.statement).saturating_add(GRACE)
    }

    /// Runs one statement. It is not given up before its answer, unless the server is left: see [`run`](Self::run).
    pub(super) async fn query(&self, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>, StoreError> {
        let lease = self.lease().await?;
        let answer = async {
            let statement = lease.connection().prepare_cached(sql).await?;
            lease.connection().query(&statement, params).await
        };
        let answer = self.unless_left(lease.made, answer).await?;
        lease.end(answer)
    }

    /// The answer of `work` on a connection that was `made` at that time, unless its server is left before the answer
    /// comes.
    async fn unless_left<T>(&self, made: Instant, work: impl Future<Output = T>) -> Result<T, StoreError> {
        let mut left = self.left.subscribe();
        tokio::select! {
            biased;
            answer = work => Ok(answer),
            _ = left.wait_for(|left| left.is_some_and(|left| made < left)) => {
                Err(StoreError::new(StoreErrorKind::Unavailable, "the connection was closed, because its server is no \
                    longer used"))
            }
        }
    }

    /// Takes a connection out of the pool.
    pub(super) async fn lease(&self) -> Result<PooledConnection, StoreError> {
        let asked = Instant::now();
        let acquired = timeout(self.acquire, async {
            let place = match &self.places {
                Some(places) => Some(places.clone().acquire_owned().await.map_err(failed)?),
                None => None,
            };
            loop {
                let object = self.pool.get().await?;
                let made = Object::metrics(&object).created;
                if self.left.borrow().is_none_or(|left| made >= left) {
                    if let Some(set_up) = &self.set_up
                        && let Err(error) = set_up.make(&object, self.plans).await
                    {
                        drop(Object::take(object));
                        return Err(error.into());
                    }
                    return Ok(PooledConnection {
                        object: Some(object),
                        made,
                        _place: place,
                        _lent: self.lending.lend(),
                    });
                }
                drop(Object::take(object));
            }
        });
        let acquired = acquired.await.unwrap_or_else(|_| Err(StoreError::timed_out()));
        self.lending.waited(asked.elapsed());
        acquired
    }
}

/// A connection that goes back to the pool only when it is known to be good.
///
/// Otherwise it is closed when it is dropped, after an error or with the future that held it: an answer may be
/// outstanding, a prepared statement may have become invalid, or a lock may be held.
pub(super) struct PooledConnection {
    object: Option<Object>,
    made: Instant,
    _place: Option<OwnedSemaphorePermit>,
    _lent: Lent,
}

impl PooledConnection {
    pub(super) fn connection(&self) -> &Object {
        self.object.as_ref().expect("taken only by what consumes the lease")
    }

    pub(super) fn connection_mut(&mut self) -> &mut Object {
        self.object.as_mut().expect("taken only by what consumes the lease")
    }

    /// Gives the connection back if nothing is wrong with it.
    fn end<T>(mut self, answer: Result<T, tokio_postgres::Error>) -> Result<T, StoreError> {
        if answer.as_ref().map_or_else(leaves_connection_good, |_| true) {
            drop(self.object.take());
        }
        Ok(answer?)
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}
