//! Which stream of a transmitter is used: one that fits the settings, or a new one.

use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::time::sleep;
use url::Url;

use super::error::EventStreamError;
use super::pace::jittered;
use super::settings::Delivery;
use super::stream::{Current, Stream};
use super::transmitter::Endpoints;
use super::wire::{NewDelivery, NewStream, StreamConfiguration};
use crate::id::Audience;
use crate::telemetry::{quoted, quoted_list};

/// After so long, the streams are seen that other gateways create at the same moment.
const SETTLES_AFTER: Duration = Duration::from_secs(1);

impl Stream {
    /// Gateways that create a stream at the same moment all use the one with the least id, and each deletes its own if
    /// that is another one, or does not fit.
    pub(super) async fn find_or_create(&self, at: &Endpoints) -> Result<Current, EventStreamError> {
        let found = match self.find(at).await? {
            Some(found) => found,
            None => self.create(at).await?,
        };
        let fit = self.fit(&found, at);
        self.delete_created(at, fit.as_ref().ok().map(|current| &*current.id)).await?;
        fit
    }

    /// Deletes the stream that this gateway created, unless it is `kept`.
    async fn delete_created(&self, at: &Endpoints, kept: Option<&str>) -> Result<(), EventStreamError> {
        let created = self.standing().created.clone();
        let Some(id) = created.filter(|id| kept != Some(id)) else { return Ok(()) };
        self.transmitter.delete(at, &id).await?;
        self.standing().created = None;
        tracing::info!(issuer = %self.issuer(), stream_id = %quoted(&id), "an event stream that is not used was deleted");
        Ok(())
    }

    async fn create(&self, at: &Endpoints) -> Result<StreamConfiguration, EventStreamError> {
        // One that was created before may be there and not be listed. It may have events that nobody has taken yet.
        let created = self.standing().created.clone();
        if let Some(id) = created {
            match self.transmitter.stream(at, &id).await {
                Ok(stream) if self.fit(&stream, at).is_ok() => return Ok(stream),
                Err(error) if !error.is_gone() => return Err(error),
                _ => self.delete_created(at, None).await?,
            }
        }
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
                return self.find(at).await?.ok_or_else(|| self.another_stream());
            }
            Err(error) => return Err(error),
        };
        let id = &created.stream_id;
        tracing::info!(issuer = %self.issuer(), stream_id = %quoted(id), "an event stream was created");
        self.standing().created = Some(id.clone());
        // It is deleted at once if it does not fit.
        if self.fit(&created, at).is_err() {
            return Ok(created);
        }
        sleep(jittered(SETTLES_AFTER)).await;
        Ok(self.find(at).await?.unwrap_or(created))
    }

    fn another_stream(&self) -> EventStreamError {
        let method = self.settings.delivery.method();
        let or_audience = self.audience.as_ref().map(|audience| format!(" or not for {audience:?}"));
        let or_audience = or_audience.unwrap_or_default();
        EventStreamError::Unfit(format!(
            "it has another stream for this receiver, not by {method}{or_audience}: name that one with \
             EventStream::stream_id, or delete it"
        ))
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
            stream.delivery.method == self.settings.delivery.method() && goes_here && self.is_for_us(stream)
        };
        Ok(streams.into_iter().filter(fits).min_by(|one, other| one.stream_id.cmp(&other.stream_id)))
    }

    /// Whether the events of `stream` are for this gateway. The transmitter has shown only streams of this receiver.
    fn is_for_us(&self, stream: &StreamConfiguration) -> bool {
        let theirs = stream.aud.as_slice();
        match &self.audience {
            Some(ours) => theirs.contains(ours),
            // As many as an event may have, and none that an event cannot have.
            None => (1..=16).contains(&theirs.len()) && theirs.iter().all(|one| Audience::parse(one).is_ok()),
        }
    }

    /// What is needed to use `stream`. A stream whose events would all be refused is an error.
    pub(super) fn fit(
        &self,
        stream: &StreamConfiguration,
        endpoints: &Endpoints,
    ) -> Result<Current, EventStreamError> {
        let unfit = |why: String| Err(EventStreamError::Unfit(why));
        if stream.iss != self.issuer() {
            let (theirs, ours) = (quoted(&stream.iss), quoted(self.issuer()));
            return unfit(format!("the stream's issuer is {theirs}, and not {ours}"));
        }
        if !self.is_for_us(stream) {
            let theirs = quoted_list(stream.aud.as_slice().iter().map(String::as_str));
            let Some(ours) = &self.audience else {
                return unfit(format!("its events are for the audience {theirs}, which names nobody"));
            };
            return unfit(format!(
                "its events are for the audience {theirs}, and the gateway takes {ours:?}: give that audience to \
                 SecurityEvents::new, or use SecurityEvents::of_stream if the transmitter gives each receiver an audience \
                 of its own"
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
        Ok(Current {
            id: stream.stream_id.clone(),
            endpoints: endpoints.clone(),
            poll_at,
            audiences: stream.aud.as_slice().to_vec(),
            missing_events: self.missing_events(stream),
            min_verification_interval: Duration::from_secs(stream.min_verification_interval.unwrap_or(0)),
            // Whoever names a stream has set it up.
            is_about_nobody: endpoints.has_no_default_subjects && self.settings.stream_id.is_none(),
        })
    }

    /// The events that were asked for and are not delivered.
    fn missing_events(&self, stream: &StreamConfiguration) -> Vec<String> {
        let wanted = self.settings.events.iter();
        wanted.filter(|event| !stream.events_delivered.contains(event)).cloned().collect()
    }
}
