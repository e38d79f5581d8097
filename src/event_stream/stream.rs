//! One stream: how it is set up, and how it stands.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use tokio::sync::Notify;
use tokio::time::sleep;
use url::Url;

use super::error::EventStreamError;
use super::http_client::HttpClient;
use super::pace::jittered;
use super::receive::ReceiveSets;
use super::settings::{Delivery, EventStream};
use super::transmitter::{Endpoints, Transmitter};
use super::verification::VerificationStates;
use super::wire::{NewDelivery, NewStream, Status, StreamConfiguration, Verification};
use crate::telemetry::{quoted, quoted_list};
use crate::validate::BuildError;

/// A stream, its transmitter, and who gets its events. The task and the host's handles share it.
pub(super) struct Stream {
    pub(super) transmitter: Transmitter,
    pub(super) settings: EventStream,
    /// The name of this gateway in `aud`.
    audience: String,
    pub(super) states: Arc<VerificationStates>,
    pub(super) receiver: Arc<dyn ReceiveSets>,
    standing: Mutex<Standing>,
    is_deleted: AtomicBool,
    pub(super) deleted: Notify,
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
    created: Option<String>,
}

/// A stream that is set up.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) id: String,
    pub(super) endpoints: Endpoints,
    /// Where to poll. `None`: the events are pushed.
    pub(super) poll_at: Option<Url>,
    min_verification_interval: Duration,
}

impl Stream {
    /// A verification is asked for anew after so long, when a stream is set up again.
    const VERIFY_EVERY: Duration = Duration::from_secs(600);
    /// After so long, the streams are seen that other gateways create at the same moment.
    const SETTLES_AFTER: Duration = Duration::from_secs(1);

    pub(super) fn new(
        issuer: Arc<str>,
        audience: &str,
        settings: EventStream,
        states: Arc<VerificationStates>,
        receiver: Arc<dyn ReceiveSets>,
    ) -> Result<Self, BuildError> {
        let configuration = settings.check(&issuer)?;
        let http = HttpClient::new(configuration.scheme() == "https")?;
        let token = settings.token.clone();
        Ok(Self {
            transmitter: Transmitter { issuer, configuration, token, http },
            settings,
            audience: audience.to_owned(),
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
        let stream = match &self.settings.stream_id {
            Some(id) => self.transmitter.stream(&endpoints, id).await?,
            None => self.find_or_create(&endpoints).await?,
        };
        let current = Arc::new(self.fit(stream, endpoints)?);
        let before = self.standing().current.replace(current.clone());
        if before.is_none_or(|before| before.id != current.id) {
            tracing::info!(issuer = %self.issuer(), stream_id = %quoted(&current.id), "an event stream is followed");
        }
        self.warn_unless_enabled(&current).await;
        self.verify_now_and_then(&current).await;
        Ok(current)
    }

    /// Gateways that create a stream at the same moment all use the one with the least id, and each deletes its own if
    /// that is another one.
    async fn find_or_create(&self, at: &Endpoints) -> Result<StreamConfiguration, EventStreamError> {
        let stream = match self.find(at).await? {
            Some(found) => found,
            None => self.create(at).await?,
        };
        let own = self.standing().created.take_if(|own| *own != stream.stream_id);
        if let Some(own) = own {
            self.transmitter.delete(at, &own).await?;
        }
        Ok(stream)
    }

    async fn create(&self, at: &Endpoints) -> Result<StreamConfiguration, EventStreamError> {
        let method = self.settings.delivery.method();
        let (endpoint_url, authorization_header) = match &self.settings.delivery {
            Delivery::Poll => (None, None),
            Delivery::Push(endpoint, authorization) => {
                (Some(endpoint.as_str()), authorization.as_ref().map(ExposeSecret::expose_secret))
            }
        };
        let wish = NewStream {
            delivery: NewDelivery { method, endpoint_url, authorization_header },
            events_requested: &self.settings.events,
            description: &self.settings.description,
        };
        let created = match self.transmitter.create(at, &wish).await {
            Ok(created) => created,
            // SSF 1.0 §8.1.1.1: the receiver has a stream already. Another gateway may have just created it.
            Err(EventStreamError::Status { status: 409, .. }) => {
                return self.find(at).await?.ok_or_else(|| {
                    EventStreamError::Unfit(format!(
                        "it has another stream for this receiver, not by {method} or not for {:?}: name that one with \
                         EventStream::stream_id, or delete it",
                        self.audience
                    ))
                });
            }
            Err(error) => return Err(error),
        };
        let id = &created.stream_id;
        tracing::info!(issuer = %self.issuer(), stream_id = %quoted(id), "an event stream was created");
        self.standing().created = Some(id.clone());
        sleep(jittered(Self::SETTLES_AFTER)).await;
        Ok(self.find(at).await?.unwrap_or(created))
    }

    /// The stream that fits the settings; of several, the one with the least id.
    async fn find(&self, at: &Endpoints) -> Result<Option<StreamConfiguration>, EventStreamError> {
        let streams = match self.transmitter.streams(at).await {
            // Some transmitters answer so when there is none.
            Err(error) if error.is_gone() => Vec::new(),
            streams => streams?,
        };
        let fits = |stream: &StreamConfiguration| {
            let goes_here = match &self.settings.delivery {
                Delivery::Poll => true,
                Delivery::Push(endpoint, _) => {
                    stream.delivery.endpoint_url.as_deref().and_then(|url| Url::parse(url).ok()).as_ref()
                        == Some(endpoint)
                }
            };
            stream.delivery.method == self.settings.delivery.method()
                && goes_here
                && stream.aud.as_slice().contains(&self.audience)
        };
        Ok(streams.into_iter().filter(fits).min_by(|one, other| one.stream_id.cmp(&other.stream_id)))
    }

    /// Refuses a stream whose events would all be refused.
    fn fit(&self, stream: StreamConfiguration, endpoints: Endpoints) -> Result<Current, EventStreamError> {
        let unfit = |why: String| Err(EventStreamError::Unfit(why));
        if stream.iss != self.issuer() {
            let (theirs, ours) = (quoted(&stream.iss), quoted(self.issuer()));
            return unfit(format!("the stream's issuer is {theirs}, and not {ours}"));
        }
        if !stream.aud.as_slice().contains(&self.audience) {
            let theirs = quoted_list(stream.aud.as_slice().iter().map(String::as_str));
            return unfit(format!(
                "its events are for the audience {theirs}, and the gateway takes {:?}: give that audience to \
                 SecurityEvents::new",
                self.audience
            ));
        }
        if stream.delivery.method != self.settings.delivery.method() {
            return unfit(format!("the stream is delivered by {}", quoted(&stream.delivery.method)));
        }
        let poll_at = match (&self.settings.delivery, &stream.delivery.endpoint_url) {
            (Delivery::Push(..), _) => None,
            (Delivery::Poll, Some(url)) => Some(self.transmitter.endpoint(url)?),
            (Delivery::Poll, None) => return unfit("the stream has no endpoint_url to poll".to_owned()),
        };
        let missing = self.settings.events.iter().filter(|event| !stream.events_delivered.contains(event));
        let missing: Vec<_> = missing.map(String::as_str).collect();
        if !missing.is_empty() {
            let events = quoted_list(missing);
            tracing::warn!(issuer = %self.issuer(), events, "the event stream does not deliver all events that were asked for");
        }
        let min_verification_interval = Duration::from_secs(stream.min_verification_interval.unwrap_or(0));
        Ok(Current { id: stream.stream_id, endpoints, poll_at, min_verification_interval })
    }

    async fn warn_unless_enabled(&self, current: &Current) {
        match self.transmitter.status(&current.endpoints, &current.id).await {
            Ok(Some(Status { status, reason })) if status != "enabled" => {
                let reason = quoted(reason.as_deref().unwrap_or_default());
                tracing::warn!(
                    issuer = %self.issuer(), stream_id = %quoted(&current.id), status = %quoted(&status), reason,
                    "the event stream is not enabled: who leaves is not heard of until the transmitter enables it"
                );
            }
            Ok(_) => {}
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
