//! How a [`PostgresStore`] is made.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connections::{Connections, Lane};
use super::error::failed;
use super::hints::Hints;
use super::url::Target;
use super::{PostgresStore, tls, url};
use crate::store::StoreError;

/// Makes a [`PostgresStore`]: pool, deadlines, trust.
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

impl PostgresStoreBuilder {
    pub(super) fn new(url: &str) -> Self {
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

    /// How many connections there may be; default 8, at least 2.
    ///
    /// Up to three of them, and never more than half, are for look-ups alone: so writes, however many, hold up no request that
    /// only has its session looked up.
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections.max(2);
        self
    }

    /// How long an operation waits for a free connection; default 1 s.
    pub fn wait_timeout(mut self, timeout: Duration) -> Self {
        self.wait = timeout;
        self
    }

    /// How long connecting may take, TLS and login included; default 2 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect = timeout;
        self
    }

    /// How long a look-up may take, at least 1 ms; default 2 s. The server is told, and given 200 ms
    /// more to say so.
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement = timeout.max(Duration::from_millis(1));
        self
    }

    /// How long any other statement may take, at least 4 ms; default 10 s, because it may end something, and what ends must not
    /// be given up early. For a lock it waits a quarter of that, and never longer than a second.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write = timeout.max(Duration::from_millis(4));
        self
    }

    /// A PEM file with the only certificates to trust; default those of the URL's `sslrootcert`, else
    /// the system's. It asks for TLS, unless the URL says `sslmode=disable`.
    pub fn root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.root_certificates = Some(file.into());
        self
    }

    /// Whether to apply the migrations; default `true`. Turn it off where the gateway's role may not
    /// change the schema, and let one that may call [`PostgresStore::migrate`] first.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Connects, and applies the migrations unless told not to.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the URL or the certificates are malformed, the server cannot be reached,
    /// or a migration fails. Its [`source`](std::error::Error::source) says what to write where somebody must mend something
    /// first: no TLS that could be verified, and all that [`PostgresStore::check`] finds. No error shows a password.
    ///
    /// # Cancel safety
    ///
    /// Each migration is applied whole or not at all.
    pub async fn connect(self) -> Result<PostgresStore, StoreError> {
        let store = self.store()?;
        let connected = if self.migrate { store.migrate().await } else { store.check().await };
        connected.map_err(|fault| url::explain(fault, &self.url))?;
        Ok(store)
    }

    fn store(&self) -> Result<PostgresStore, StoreError> {
        let Target { mut config, root } = url::parse(&self.url, self.root_certificates.as_deref())?;
        Self::set_up(&mut config, self.connect);
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => Some(tls::connector(root.as_deref())?),
        };
        // What listens speaks TLS as the pool does.
        let hints = Hints::new(config.clone(), tls.clone());
        let for_look_ups = (self.pool_size / 2).clamp(1, Connections::FOR_LOOK_UPS);
        let look_ups = self.lane(&config, tls.clone(), for_look_ups, self.statement)?;
        // What joins is planned for what it is called with: a plan that was made while a table was empty reads an index from
        // end to end.
        add_options(&mut config, "-c plan_cache_mode=force_custom_plan");
        let rest = self.lane(&config, tls, self.pool_size - for_look_ups, self.write)?;
        Ok(PostgresStore::new(Connections { look_ups, rest }, Some(hints)))
    }

    fn lane(
        &self,
        config: &Config,
        tls: Option<MakeRustlsConnect>,
        size: usize,
        statement: Duration,
    ) -> Result<Lane, StoreError> {
        let mut config = config.clone();
        let lock = (statement / 4).clamp(Duration::from_millis(1), Duration::from_secs(1));
        let (statement_ms, lock_ms) = (statement.as_millis(), lock.as_millis());
        add_options(&mut config, &format!("-c statement_timeout={statement_ms} -c lock_timeout={lock_ms}"));
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match tls {
            None => Manager::from_config(config, NoTls, recycling),
            Some(tls) => Manager::from_config(config, tls, recycling),
        };
        let pool = Pool::builder(manager)
            .max_size(size)
            .wait_timeout(Some(self.wait))
            .create_timeout(Some(self.connect))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(failed)?;
        let acquire = self.wait.saturating_add(self.connect);
        Ok(Lane { pool, places: None, acquire, statement })
    }

    /// Every connection is to a server that takes writes, and stops by itself when its statement is slow or
    /// its server is gone.
    fn set_up(config: &mut Config, connect: Duration) {
        // No statement here runs for long enough to be worth compiling, and each has its index: a plan that was made while a
        // table was empty is kept for long after.
        let own = "-c default_transaction_isolation=read\\ committed -c jit=off -c enable_seqscan=off";
        add_options(config, own);
        if config.get_application_name().is_none() {
            config.application_name("bridge-auth");
        }
        // A standby, also one that was the primary a moment ago, may not have heard of a revocation.
        config
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(connect)
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(10));
    }
}

/// Behind those that the URL has: of two for one setting the server takes the last.
fn add_options(config: &mut Config, more: &str) {
    let options = format!("{} {more}", config.get_options().unwrap_or_default());
    config.options(options.trim_start());
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
