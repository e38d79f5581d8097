//! One stream: how it is set up, and how it stands.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use url::Url;

use super::announced::{Announced, StreamStatus};
use super::error::EventStreamError;
use super::http_client::HttpClient;
use super::receive::ReceiveSets;
use super::settings::EventStream;
use super::transmitter::{Endpoints, Transmitter};
use super::verification::VerificationStates;
use super::wire::{Status, Verification};
use crate::telemetry::{quoted, quoted_list};
use crate::validate::BuildError;

/// A stream, its transmitter, and who gets its events. The task and the host's handles share it.
pub(super) struct Stream {
    pub(super) transmitter: Transmitter,
    pub(super) settings: EventStream,
    /// The name of this gateway in `aud`. `None`: the transmitter assigns it.
    pub(super) audience: Option<String>,
    pub(super) announced: Arc<Announced>,
    pub(super) states: Arc<VerificationStates>,
    pub(super) receiver: Arc<dyn ReceiveSets>,
    standing: Mutex<Standing>,
    is_deleted: AtomicBool,
    pub(super) deleted: Notify,
}

/// How a transmitter and this gateway name each other and their stream.
#[derive(Debug, Clone)]
pub(crate) struct StreamNames {
    /// The name of this gateway in `aud`. `None`: the transmitter assigns it.
    pub(crate) audience: Option<String>,
    pub(crate) announced: Arc<Announced>,
    pub(crate) states: Arc<VerificationStates>,
}

/// How a stream stands.
#[derive(Debug, Default, Clone)]
pub(super) struct Standing {
    /// `None`: it is not set up.
    pub(super) current: Option<Arc<Current>>,
    /// When the transmitter answered last without a fault.
    pub(super) answered_at: Option<Instant>,
    pub(super) fault: Option<String>,
    /// When a verification event was asked for, and when the last one had come by then.
    verification_asked: Option<(Instant, Option<Duration>)>,
    /// The id of the stream that this gateway created.
    pub(super) created: Option<String>,
}

/// A stream that is set up.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) id: String,
    pub(super) endpoints: Endpoints,
    /// Where to poll. `None`: the events are pushed.
    pub(super) poll_at: Option<Url>,
    /// The `aud` of its events.
    pub(super) audiences: Vec<String>,
    /// The events that were asked for and are not delivered.
    pub(super) missing_events: Vec<String>,
    pub(super) min_verification_interval: Duration,
    /// Nobody is a subject of it until somebody adds them.
    pub(super) is_about_nobody: bool,
}

impl Stream {
    /// A verification is asked for anew after so long, when a stream is set up again.
    const VERIFY_EVERY: Duration = Duration::from_secs(600);

    pub(super) fn new(
        issuer: Arc<str>,
        names: StreamNames,
        settings: EventStream,
        receiver: Arc<dyn ReceiveSets>,
    ) -> Result<Self, BuildError> {
        let configuration = settings.check(&issuer)?;
        let http = HttpClient::new(configuration.scheme() == "https")?;
        let token = settings.token.clone();
        let StreamNames { audience, announced, states } = names;
        Ok(Self {
            transmitter: Transmitter { issuer, configuration, token, http },
            settings,
            audience,
            announced,
            states,
            receiver,
            standing: Mutex::default(),
            is_deleted: AtomicBool::new(false),
            deleted: Notify::new(),
        })
    }

    pub(super) fn issuer(&self) -> &str {
        &self.transmitter.issuer
    }

    /// Finds the stream, or creates it, and asks for a verification event.
    pub(super) async fn set_up(&self) -> Result<Arc<Current>, EventStreamError> {
        let endpoints = self.transmitter.discover().await?;
        let method = self.settings.delivery.method();
        if endpoints.delivery_methods.as_ref().is_some_and(|methods| !methods.iter().any(|m| m == method)) {
            return Err(EventStreamError::Unfit(format!("it does not deliver by {method}")));
        }
        let current = Arc::new(match &self.settings.stream_id {
            Some(id) => self.fit(&self.transmitter.stream(&endpoints, id).await?, &endpoints)?,
            None => self.find_or_create(&endpoints).await?,
        });
        self.announced.set_audiences(&current.audiences);
        if !current.missing_events.is_empty() {
            let events = quoted_list(current.missing_events.iter().map(String::as_str));
            tracing::warn!(issuer = %self.issuer(), events, "the event stream does not deliver all events that were asked for");
        }
        let before = self.standing().current.replace(current.clone());
        if before.is_none_or(|before| before.id != current.id) {
            tracing::info!(issuer = %self.issuer(), stream_id = %quoted(&current.id), "an event stream is followed");
            if endpoints.has_no_default_subjects {
                tracing::warn!(
                    issuer = %self.issuer(), stream_id = %quoted(&current.id),
                    "new event streams of the transmitter are about nobody: unless it was told to send the events of all \
                     subjects on this stream, who leaves is not heard of"
                );
            }
        }
        self.warn_unless_enabled(&current).await;
        self.verify_now_and_then(&current).await;
        Ok(current)
    }

    /// Why no event comes on `current` although the transmitter can be asked.
    pub(super) fn unheard(&self, current: &Current) -> Option<String> {
        let status = self.announced.status(&current.id).filter(|status| !status.is_enabled());
        if let Some(StreamStatus { status, reason }) = status {
            let (status, reason) = (quoted(&status), quoted(reason.as_deref().unwrap_or("none")));
            return Some(format!(
                "the transmitter says that the event stream is {status}, with the reason {reason}: who leaves is not heard \
                 of until it enables the stream"
            ));
        }
        current.is_about_nobody.then(|| {
            "new event streams of the transmitter are about nobody (default_subjects is NONE), so who leaves is not heard \
             of: set the transmitter to send the events of all subjects on this stream, then name the stream with \
             EventStream::stream_id"
                .to_owned()
        })
    }

    async fn warn_unless_enabled(&self, current: &Current) {
        match self.transmitter.status(&current.endpoints, &current.id).await {
            Ok(Some(Status { status, reason })) => {
                let status = StreamStatus { status, reason };
                if !status.is_enabled() {
                    let reason = quoted(status.reason.as_deref().unwrap_or_default());
                    tracing::warn!(
                        issuer = %self.issuer(), stream_id = %quoted(&current.id), status = %quoted(&status.status), reason,
                        "the event stream is not enabled: who leaves is not heard of until the transmitter enables it"
                    );
                }
                self.announced.set_status(&current.id, status);
            }
            Ok(None) => {}
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(issuer = %self.issuer(), error, "the status of an event stream could not be read");
            }
        }
    }

    async fn verify_now_and_then(&self, current: &Current) {
        let pause = Self::VERIFY_EVERY.max(current.min_verification_interval);
        let asked = self.standing().verification_asked;
        if let Some((at, verified_before)) = asked {
            if at.elapsed() < pause {
                return;
            }
            if self.states.expected_at() == verified_before {
                tracing::warn!(
                    issuer = %self.issuer(), stream_id = %quoted(&current.id),
                    "no verification event has come to this gateway since it asked for one: unless another gateway of the \
                     database got it, the event stream does not work"
                );
            }
        }
        if let Err(error) = self.verify(current).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(issuer = %self.issuer(), error, "an event stream could not be asked for a verification event");
        }
    }

    /// Asks for a verification event. `false`: the transmitter has none.
    pub(super) async fn verify(&self, current: &Current) -> Result<bool, EventStreamError> {
        let unfit =
            || EventStreamError::Unfit("no state could be signed for the id of the stream".to_owned());
        let state = self.states.make(&current.id).ok_or_else(unfit)?;
        let request = Verification { stream_id: &current.id, state: &state };
        let verified_before = self.states.expected_at();
        let has_asked = self.transmitter.verify(&current.endpoints, &request).await?;
        self.standing().verification_asked = has_asked.then(|| (Instant::now(), verified_before));
        Ok(has_asked)
    }

    /// Deletes the stream at the transmitter. Nothing sets it up again.
    pub(super) async fn delete(&self) -> Result<(), EventStreamError> {
        let current = self.standing().current.clone().ok_or(EventStreamError::NotSetUp)?;
        self.transmitter.delete(&current.endpoints, &current.id).await?;
        self.is_deleted.store(true, Ordering::Relaxed);
        self.deleted.notify_one();
        self.standing().current = None;
        tracing::info!(issuer = %self.issuer(), stream_id = %quoted(&current.id), "an event stream was deleted");
        Ok(())
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.is_deleted.load(Ordering::Relaxed)
    }

    pub(super) fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("transmitter", &self.transmitter).finish_non_exhaustive()
    }
}
