//! New connections. They are set up by SQL, and watched for a commit that was not replicated.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use deadpool_postgres::Connect;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::config::Host;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Error, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::timeline::Timeline;

/// Makes connections of one kind.
#[derive(Clone)]
pub(super) struct Connector {
    /// The configuration of each host of the URL.
    hosts: Arc<[Config]>,
    /// The host to try first: where the primary was last found.
    preferred: Arc<AtomicUsize>,
    tls: Option<MakeRustlsConnect>,
    /// `SET` statements. They run before everything else.
    settings: Arc<str>,
    /// Servers on an older timeline are refused.
    timeline: Timeline,
    /// When the server was last left. Connections that were made before that count no more.
    left: Arc<watch::Sender<Option<Instant>>>,
}

/// Runs when a notification comes.
pub(super) type OnNotification = Arc<dyn Fn() + Send + Sync>;

impl Connector {
    /// Settings are made by SQL and not by the `options` of the connection: poolers refuse or ignore `options`.
    pub(super) fn new(config: &Config, tls: Option<MakeRustlsConnect>, settings: &str) -> Self {
        let hosts = config.get_hosts().len().max(config.get_hostaddrs().len()).max(1);
        Self {
            hosts: (0..hosts).map(|place| of_one_host(config, place)).collect(),
            preferred: Arc::default(),
            tls,
            settings: settings.into(),
            timeline: Timeline::default(),
            left: Arc::new(watch::Sender::new(None)),
        }
    }

    /// The timeline that all its connections must be on. A newer one is allowed too.
    pub(super) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Changes when the server is left.
    pub(super) fn left(&self) -> &Arc<watch::Sender<Option<Instant>>> {
        &self.left
    }

    /// The same connector with more settings. Both try the same host first.
    pub(super) fn with(&self, settings: &str) -> Self {
        Self { settings: format!("{}; {settings}", self.settings).into(), ..self.clone() }
    }

    /// The same connector without settings.
    pub(super) fn bare(&self) -> Self {
        Self { settings: "".into(), ..self.clone() }
    }

    /// The settings, as SQL.
    pub(super) fn settings(&self) -> &str {
        &self.settings
    }

    /// How many hosts there are.
    pub(super) fn hosts(&self) -> u32 {
        u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)
    }

    /// The hosts to try, in this order: the preferred one, then those after it.
    pub(super) fn places(&self) -> Vec<usize> {
        let mut places: Vec<_> = (0..self.hosts.len()).collect();
        places.rotate_left(self.preferred.load(Ordering::Relaxed));
        places
    }

    /// Makes the host at `place` the first to try.
    pub(super) fn prefer(&self, place: usize) {
        self.preferred.store(place, Ordering::Relaxed);
    }

    /// Connects to the first host that takes writes. The task that drives the connection ends with the client.
    pub(super) async fn open(&self) -> Result<(Client, JoinHandle<()>), Error> {
        let mut places = self.places().into_iter().peekable();
        loop {
            let place = places.next().expect("there is a host, and the last one's answer is final");
            let opened = self.open_at(place, None).await;
            // A primary that refuses one more connection is still the primary. Then another host would be an old one.
            let is_final = opened
                .as_ref()
                .map_or_else(|error| error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS), |_| true);
            if is_final || places.peek().is_none() {
                return opened;
            }
        }
    }

    /// Connects to one host, if it takes writes.
    pub(super) async fn open_at(
        &self,
        place: usize,
        on_notification: Option<OnNotification>,
    ) -> Result<(Client, JoinHandle<()>), Error> {
        let config = &self.hosts[place];
        loop {
            let begun = *self.left.borrow();
            let opened = match self.tls.clone() {
                None => self.open_with(config, NoTls, on_notification.clone()).await,
                Some(tls) => self.open_with(config, tls, on_notification.clone()).await,
            }?;
            // If the server was left while this connection was made, another connection is made.
            if *self.left.borrow() == begun {
                return Ok(opened);
            }
        }
    }

    async fn open_with<T>(
        &self,
        config: &Config,
        tls: T,
        on_notification: Option<OnNotification>,
    ) -> Result<(Client, JoinHandle<()>), Error>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send + 'static,
    {
        let (client, connection) = config.connect(tls).await?;
        let driving = tokio::spawn(drive(connection, on_notification));
        client.batch_execute(&self.settings).await?;
        self.timeline.check(&client).await?;
        Ok((client, driving))
    }
}

impl Connect for Connector {
    fn connect(
        &self,
        _: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        Box::pin(self.open())
    }
}

/// The part of `config` for its host at `place`.
fn of_one_host(config: &Config, place: usize) -> Config {
    let mut one = Config::new();
    match config.get_hosts().get(place) {
        Some(Host::Tcp(name)) => {
            one.host(name);
        }
        #[cfg(unix)]
        Some(Host::Unix(folder)) => {
            one.host_path(folder);
        }
        None => {}
    }
    // One port may be given for all hosts.
    let ports = config.get_ports();
    let port = ports.get(place).or(ports.first());
    let address = config.get_hostaddrs().get(place);
    let _ = address.map(|address| one.hostaddr(*address));
    let _ = port.map(|port| one.port(*port));
    let _ = config.get_user().map(|user| one.user(user));
    let _ = config.get_password().map(|password| one.password(password));
    let _ = config.get_dbname().map(|name| one.dbname(name));
    let _ = config.get_options().map(|options| one.options(options));
    let _ = config.get_application_name().map(|name| one.application_name(name));
    let _ = config.get_connect_timeout().map(|timeout| one.connect_timeout(*timeout));
    let _ = config.get_tcp_user_timeout().map(|timeout| one.tcp_user_timeout(*timeout));
    let _ = config.get_keepalives_interval().map(|interval| one.keepalives_interval(interval));
    let _ = config.get_keepalives_retries().map(|retries| one.keepalives_retries(retries));
    one.ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .target_session_attrs(config.get_target_session_attrs())
        .channel_binding(config.get_channel_binding());
    one
}

/// Drives a connection to its end.
///
/// It ends the connection at once when the server says that it stopped waiting for the synchronous standby. Then the
/// transaction is committed on this server, perhaps only there. The answer of the transaction comes next, and must not
/// be taken as an acknowledgement.
async fn drive<T>(mut connection: Connection<Socket, T>, on_notification: Option<OnNotification>)
where
    T: tokio_postgres::tls::TlsStream + Unpin,
{
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notice(notice))) if gave_up_waiting(&notice) => {
                tracing::warn!(
                    notice = notice.message(),
                    "a commit may not be replicated: its connection is closed, so that it counts as not acknowledged. Do not \
                     cancel backends that wait for a standby"
                );
                return;
            }
            Some(Ok(AsyncMessage::Notification(_))) => {
                if let Some(heard) = &on_notification {
                    heard();
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a connection to the database was lost"
                );
                return;
            }
            None => return,
        }
    }
}

/// Whether the server stopped waiting for the synchronous standby. The text depends on the server's language; the name
/// of the routine does not.
fn gave_up_waiting(notice: &DbError) -> bool {
    notice.routine() == Some("SyncRepWaitForLSN")
}
