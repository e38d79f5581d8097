//! How a [`PostgresStore`] is made.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{Config, NoTls};

use super::connections::Connections;
use super::error::failed;
use super::hints::Hints;
use super::url::Target;
use super::{PostgresStore, tls, url};
use crate::store::{Store as _, StoreError};

/// Makes a [`PostgresStore`]: pool, deadlines, trust.
#[derive(Clone)]
#[must_use = "a builder does nothing until `connect`"]
pub struct PostgresStoreBuilder {
    url: String,
    pool_size: usize,
    wait: Duration,
    connect: Duration,
    statement: Duration,
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
            root_certificates: None,
            migrate: true,
        }
    }

    /// How many connections there may be; default 8, at least 1.
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections.max(1);
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

    /// How long a statement may take, at least 1 ms; default 2 s. The server is told, and given 200 ms
    /// more to say so.
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement = timeout.max(Duration::from_millis(1));
        self
    }

    /// A PEM file with the only certificates to trust; default those of the URL's `sslrootcert`, else
    /// the system's. It asks for TLS, unless the URL says `sslmode=disable`.
    pub fn root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.root_certificates = Some(file.into());
        self
    }

    /// Whether to apply the migrations; default `true`. Turn it off where the gateway's role may not
    /// change the schema, and let one that may call [`PostgresStore::migrate`].
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Connects, and applies the migrations unless told not to.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the URL or the certificates are malformed, the server cannot be reached,
    /// or a migration fails. When there was no TLS that could be verified, its
    /// [`source`](std::error::Error::source) names the hosts and what to write instead.
    ///
    /// # Cancel safety
    ///
    /// Migrations are applied whole or not at all.
    pub async fn connect(self) -> Result<PostgresStore, StoreError> {
        let store = self.store()?;
        let connected = if self.migrate { store.migrate().await } else { store.ping().await };
        connected.map_err(|fault| url::explain(fault, &self.url))?;
        Ok(store)
    }

    fn store(&self) -> Result<PostgresStore, StoreError> {
        let Target { mut config, root } = url::parse(&self.url, self.root_certificates.as_deref())?;
        self.set_up(&mut config);
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => Some(tls::connector(root.as_deref())?),
        };
        // What listens speaks TLS as the pool does.
        let hints = Hints::new(config.clone(), tls.clone());
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match tls {
            None => Manager::from_config(config, NoTls, recycling),
            Some(tls) => Manager::from_config(config, tls, recycling),
        };
        let pool = Pool::builder(manager)
            .max_size(self.pool_size)
            .wait_timeout(Some(self.wait))
            .create_timeout(Some(self.connect))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(failed)?;
        let acquire = self.wait.saturating_add(self.connect);
        let connections = Connections { pool, acquire, statement: self.statement };
        Ok(PostgresStore { connections, hints: Some(hints) })
    }

    /// Every connection is to a server that takes writes, and stops by itself when its statement is slow or
    /// its server is gone.
    fn set_up(&self, config: &mut Config) {
        let options = format!(
            "{} -c statement_timeout={} -c default_transaction_isolation=read\\ committed",
            config.get_options().unwrap_or_default(),
            self.statement.as_millis(),
        );
        config.options(options.trim_start());
        if config.get_application_name().is_none() {
            config.application_name("bridge-auth");
        }
        // A standby, also one that was the primary a moment ago, may not have heard of a revocation.
        config
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(self.connect)
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
            .field("root_certificates", &self.root_certificates)
            .field("migrate", &self.migrate)
            .finish_non_exhaustive()
    }
}
