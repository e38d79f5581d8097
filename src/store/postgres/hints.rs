//! `LISTEN`: hears of revocations before the next reading of the log, when all goes well.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Hands out the channel of hints; listens, on a connection of its own, from the first receiver on.
pub(super) struct Hints {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    hint: watch::Sender<()>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Hints {
    /// How long to wait before connecting again, at first and at most.
    const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

    pub(super) fn new(config: Config, tls: Option<MakeRustlsConnect>) -> Arc<Self> {
        Arc::new(Self { config, tls, hint: watch::Sender::new(()), task: Mutex::default() })
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            let (config, tls, hint) = (self.config.clone(), self.tls.clone(), self.hint.clone());
            *task = Some(tokio::spawn(async move {
                match tls {
                    Some(tls) => listen_for_ever(config, tls, hint).await,
                    None => listen_for_ever(config, NoTls, hint).await,
                }
            }));
        }
        self.hint.subscribe()
    }
}

impl Drop for Hints {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

async fn listen_for_ever<T>(config: Config, tls: T, hint: watch::Sender<()>)
where
    T: MakeTlsConnect<Socket> + Clone + Send + 'static,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let (first, longest) = Hints::PAUSES;
    let mut pause = first;
    loop {
        let mut heard = false;
        let end = listen(&config, tls.clone(), || {
            heard = true;
            hint.send_replace(());
        });
        if let Err(error) = end.await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "listening for revocations was interrupted"
            );
        }
        pause = if heard { first } else { (pause * 2).min(longest) };
        tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
    }
}

/// Listens until the connection ends. Hints once at the beginning: what came before it was not heard.
async fn listen<T>(config: &Config, tls: T, mut hint: impl FnMut()) -> Result<(), tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, mut connection) = config.connect(tls).await?;
    let mut listening = std::pin::pin!(client.batch_execute("LISTEN bridge_auth_revoked"));
    let mut ready = false;
    loop {
        tokio::select! {
            done = &mut listening, if !ready => {
                done?;
                ready = true;
                hint();
            }
            message = poll_fn(|context| connection.poll_message(context)) => match message {
                Some(Ok(AsyncMessage::Notification(_))) => hint(),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            }
        }
    }
}
