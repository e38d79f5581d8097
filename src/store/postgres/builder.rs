//! How a [`PostgresStore`] is made.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, QueueMode, RecyclingMethod, Runtime};
use tokio::time::timeout;
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};

use super::connect::Connector;
use super::connection_settings::{OWN_SETTINGS, limits};
use super::connections::{Connections, Plans};
use super::error::{at_start, failed};
use super::store::PostgresStore;
use super::tick_connection::{ConnectionSource, TickConnection};
use super::url::Target;
use super::{preflight, tls, url};
use crate::store::StoreError;

/// Makes a [`PostgresStore`]: pool size, deadlines, certificates.
#[derive(Clone)]
#[must_use = "a builder does nothing until `connect`"]
pub struct PostgresStoreBuilder {
    url: String,
    pool_size: usize,
    wait: Duration,
    connect: Duration,
    statement: Duration,
    write: Duration,
    root_certificates: Option<PathBuf>,
    migrate: bool,
}

impl PostgresStore {
    /// Connects to `url` with the defaults of [`PostgresStore::builder`], and applies the migrations.
    ///
    /// To another machine it speaks verified TLS, unless the URL says `sslmode=disable`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the URL is malformed, the server cannot be reached, or a migration fails.
    ///
    /// # Cancel safety
    ///
    /// Each migration is applied whole or not at all.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::builder(url).connect().await
    }

    /// Sets up a store at `url` (`postgres://…`, or libpq's `key=value` form).
    ///
    /// Wherever TLS is used, the certificate and the host name are verified. The trusted certificates are those in the
    /// PEM file that `sslrootcert` names; without it they are those that the system trusts. When the verification
    /// fails, the [`source`](std::error::Error::source) of the error says what to write instead.
    ///
    /// | `sslmode` | this machine | any other |
    /// |---|---|---|
    /// | not given | no TLS, unless `sslrootcert` is given | verified TLS |
    /// | `allow`, `prefer` | verified TLS if the server has TLS | verified TLS |
    /// | `require`, `verify-ca`, `verify-full` | verified TLS | verified TLS |
    /// | `disable` | no TLS | no TLS: anyone between can read everything, the password too |
    ///
    /// This machine means `localhost`, `127.0.0.0/8`, `::1` or a Unix socket. Every `host` and every `hostaddr` must be
    /// one of these.
    ///
    /// With several hosts, the first one that takes writes is used. A standby is never used, whatever the URL says.
    pub fn builder(url: &str) -> PostgresStoreBuilder {
        PostgresStoreBuilder::new(url)
    }
}

impl PostgresStoreBuilder {
    fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            pool_size: 8,
            wait: Duration::from_secs(1),
            connect: Duration::from_secs(2),
            statement: Duration::from_secs(2),
            write: Duration::from_secs(10),
            root_certificates: None,
            migrate: true,
        }
    }

    /// How many connections the store may have on the server; default 8, at least 4.
    ///
    /// - One is for [ticks](crate::store::Store::tick) and hints.
    /// - One is kept free. It finds out whether another server has taken over while a tick waits.
    /// - Up to three of the others, and never more than half of them, are for look-ups alone. So no number of writes
    ///   delays a request that only needs a session look-up.
    ///
    /// A connection counts until its statement has ended on the server, also when nobody waits for the answer.
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections.max(4);
        self
    }

    /// How long an operation waits for a free connection; default 1 s.
    pub fn wait_timeout(mut self, timeout: Duration) -> Self {
        self.wait = timeout;
        self
    }

    /// How long connecting to one host may take, TLS and login included; default 2 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect = timeout;
        self
    }

    /// How long a look-up may take, at least 1 ms; default 2 s. The server enforces this time. The gateway waits 200 ms
    /// longer for the server's answer.
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement = timeout.max(Duration::from_millis(1));
        self
    }

    /// How long any other statement may take, at least 4 ms; default 10 s. It is long because a statement may end
    /// something, and must not be given up early. A statement waits for a lock for at most a quarter of this time, and
    /// never longer than a second.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write = timeout.max(Duration::from_millis(4));
        self
    }

    /// A PEM file with the only certificates to trust. The default is the URL's `sslrootcert`, or else what the system
    /// trusts. This setting asks for TLS, unless the URL says `sslmode=disable`.
    pub fn root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.root_certificates = Some(file.into());
        self
    }

    /// Whether to apply the migrations; default `true`. Turn it off if the gateway's role may not change the schema.
    /// Then call [`PostgresStore::migrate`] first, with a role that may.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Connects, and applies the migrations unless told not to.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the URL or the certificates are malformed, the server cannot be reached, or a migration
    /// fails. If somebody must correct something first, the [`source`](std::error::Error::source) of the error says
    /// what to write: this includes a failed TLS verification and all that [`PostgresStore::check`] finds. No error
    /// shows a password.
    ///
    /// # Cancel safety
    ///
    /// Each migration is applied whole or not at all.
    pub async fn connect(self) -> Result<PostgresStore, StoreError> {
        let (store, connectors) = self.store()?;
        let connected = async {
            let longest = self.connect.saturating_mul(2 * connectors[0].hosts()).saturating_add(self.write);
            let checked = timeout(longest, preflight::check_connectors(connectors.each_ref())).await;
            checked.unwrap_or_else(|_| Err(StoreError::timed_out()))?;
            if self.migrate { store.migrate().await } else { store.check().await }?;
            store.ticks.log_promise().await
        };
        connected.await.map_err(|fault| at_start(url::explain(fault, &self.url)))?;
        Ok(store)
    }

    /// The store, and the connectors of its two pools.
    fn store(&self) -> Result<(PostgresStore, [Connector; 2]), StoreError> {
        let Target { mut config, root } = url::parse(&self.url, self.root_certificates.as_deref())?;
        Self::set_up(&mut config, self.connect);
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => Some(tls::connector(root.as_deref())?),
        };
        let lanes = self.pool_size - TickConnection::CONNECTIONS;
        let for_look_ups = (lanes / 2).clamp(1, Connections::FOR_LOOK_UPS);
        let own = Connector::new(&config, tls, OWN_SETTINGS);
        // The hosts are tried one after the other, and each one gets this time.
        let connect = self.connect.saturating_mul(own.hosts());
        let look_ups = own.with(&limits(self.statement)).with(Plans::Kept.setting());
        let rest = own.with(&limits(self.write)).with(Plans::ForOnce.setting());
        let connectors = [look_ups.clone(), rest.clone()];
        let look_ups = (self.pool(look_ups, for_look_ups, connect)?, self.statement);
        let rest = (self.pool(rest, lanes - for_look_ups, connect)?, self.write);
        let connections = Connections::new(look_ups, rest, self.wait.saturating_add(connect), own.left());
        // A wait that a time-out cancels looks like a wait that has ended.
        let ticks = own.with("SET statement_timeout = 0; SET lock_timeout = 0");
        Ok((PostgresStore::new(connections, ConnectionSource::Own(ticks)), connectors))
    }

    fn pool(&self, connector: Connector, size: usize, connect: Duration) -> Result<Pool, StoreError> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        Pool::builder(Manager::from_connect(Config::new(), connector, recycling))
            .max_size(size)
            // The connection that was used last is the fastest: its server process is still in the processor's caches.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(self.wait))
            .create_timeout(Some(connect))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(failed)
    }

    /// Sets every connection to use a server that takes writes, and to stop by itself when its server is gone.
    fn set_up(config: &mut Config, connect: Duration) {
        if config.get_application_name().is_none() {
            config.application_name("bridge-auth");
        }
        // A standby, even one that was the primary a moment ago, may not know about a revocation.
        config
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(connect)
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(10));
    }
}

impl fmt::Debug for PostgresStoreBuilder {
    /// Leaves the URL out: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStoreBuilder")
            .field("pool_size", &self.pool_size)
            .field("wait", &self.wait)
            .field("connect", &self.connect)
            .field("statement", &self.statement)
            .field("write", &self.write)
            .field("root_certificates", &self.root_certificates)
            .field("migrate", &self.migrate)
            .finish_non_exhaustive()
    }
}
