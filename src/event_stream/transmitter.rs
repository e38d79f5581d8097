//! The requests of a receiver: discovery, streams, status, verification and polls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LANGUAGE, CONTENT_TYPE};
use http::{HeaderValue, Method};
use reqwest::RequestBuilder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;
use zeroize::Zeroizing;

use super::error::EventStreamError;
use super::http_client::HttpClient;
use super::settings::TransmitterToken;
use super::wire::{
    NewStream, Poll, PollAnswer, Status, StreamConfiguration, Streams, TransmitterConfiguration, Verification,
};
use crate::telemetry::quoted;
use crate::validate::is_safe;

/// A server that has event streams.
pub(super) struct Transmitter {
    pub(super) issuer: Arc<str>,
    pub(super) configuration: Url,
    pub(super) token: Arc<dyn TransmitterToken>,
    pub(super) http: HttpClient,
}

/// Where a transmitter takes requests.
#[derive(Debug, Clone)]
pub(super) struct Endpoints {
    pub(super) streams: Url,
    pub(super) status: Option<Url>,
    pub(super) verification: Option<Url>,
    pub(super) delivery_methods: Option<Vec<String>>,
    /// New streams are about nobody until subjects are added.
    pub(super) has_no_default_subjects: bool,
}

impl Transmitter {
    const TIMEOUT: Duration = Duration::from_secs(10);
    /// How long a poll may be held. Many proxies end a connection on which nothing is sent for a minute.
    pub(super) const LONG_POLL: Duration = Duration::from_secs(45);

    /// Finds out what the transmitter offers (SSF 1.0 §7.2).
    pub(super) async fn discover(&self) -> Result<Endpoints, EventStreamError> {
        let what = "the configuration of the transmitter";
        let request = self.http.0.get(self.configuration.clone()).header(ACCEPT, "application/json");
        let (_, body) = self.http.send(what, request.timeout(Self::TIMEOUT)).await?;
        let found: TransmitterConfiguration = json(what, "SSF 1.0 §7.1", &body)?;
        // SSF 1.0 §7.2.3
        if *found.issuer != *self.issuer {
            let (theirs, ours) = (quoted(&found.issuer), quoted(&self.issuer));
            let unfit = format!("it is {theirs} by its own configuration, and not {ours}");
            return Err(EventStreamError::Unfit(unfit));
        }
        let streams = found.configuration_endpoint.ok_or_else(|| {
            EventStreamError::Unfit("it has no configuration_endpoint, so it has no streams".to_owned())
        })?;
        let endpoint = |url: Option<String>| url.map(|url| self.endpoint(&url)).transpose();
        Ok(Endpoints {
            streams: self.endpoint(&streams)?,
            status: endpoint(found.status_endpoint)?,
            verification: endpoint(found.verification_endpoint)?,
            delivery_methods: found.delivery_methods_supported,
            has_no_default_subjects: found.default_subjects.is_some_and(|which| which == "NONE"),
        })
    }

    /// The streams of this receiver.
    pub(super) async fn streams(&self, at: &Endpoints) -> Result<Vec<StreamConfiguration>, EventStreamError> {
        let what = "the streams of the transmitter";
        let (_, body) = self.manage(what, Method::GET, at.streams.clone(), None).await?;
        Ok(match json(what, "SSF 1.0 §8.1.1.2", &body)? {
            Streams::All(all) => all,
            Streams::One(one) => vec![*one],
        })
    }

    pub(super) async fn stream(
        &self,
        at: &Endpoints,
        id: &str,
    ) -> Result<StreamConfiguration, EventStreamError> {
        let what = "the event stream";
        let (_, body) = self.manage(what, Method::GET, of_stream(&at.streams, id), None).await?;
        json(what, "SSF 1.0 §8.1.1.2", &body)
    }

    pub(super) async fn create(
        &self,
        at: &Endpoints,
        stream: &NewStream<'_>,
    ) -> Result<StreamConfiguration, EventStreamError> {
        let what = "the new event stream";
        let (_, body) = self.manage(what, Method::POST, at.streams.clone(), Some(written(stream)?)).await?;
        json(what, "SSF 1.0 §8.1.1.1", &body)
    }

    /// Deletes a stream. It is no error when there is none.
    pub(super) async fn delete(&self, at: &Endpoints, id: &str) -> Result<(), EventStreamError> {
        let what = "the end of the event stream";
        match self.manage(what, Method::DELETE, of_stream(&at.streams, id), None).await {
            Err(error) if !error.is_gone() => Err(error),
            _ => Ok(()),
        }
    }

    /// The status of a stream. `None`: the transmitter does not tell.
    pub(super) async fn status(&self, at: &Endpoints, id: &str) -> Result<Option<Status>, EventStreamError> {
        let Some(endpoint) = &at.status else { return Ok(None) };
        let what = "the status of the event stream";
        let (_, body) = self.manage(what, Method::GET, of_stream(endpoint, id), None).await?;
        json(what, "SSF 1.0 §8.1.2.1", &body).map(Some)
    }

    /// Asks for a verification event. `false`: the transmitter has none.
    pub(super) async fn verify(
        &self,
        at: &Endpoints,
        request: &Verification<'_>,
    ) -> Result<bool, EventStreamError> {
        let Some(endpoint) = &at.verification else { return Ok(false) };
        let what = "a verification event";
        self.manage(what, Method::POST, endpoint.clone(), Some(written(request)?)).await?;
        Ok(true)
    }

    /// Polls a stream (RFC 8936 §2.2).
    pub(super) async fn poll(&self, at: &Url, poll: &Poll<'_>) -> Result<PollAnswer, EventStreamError> {
        let what = "a poll";
        let time = if poll.return_immediately { Self::TIMEOUT } else { Self::LONG_POLL };
        let mut request = self.request(Method::POST, at.clone(), Some(written(poll)?)).await?;
        if !poll.set_errs.is_empty() {
            request = request.header(CONTENT_LANGUAGE, "en");
        }
        let (_, body) = self.http.send(what, request.timeout(time)).await?;
        if body.is_empty() {
            return Ok(PollAnswer::default());
        }
        json(what, "RFC 8936 §2.3", &body)
    }

    /// The URL of an endpoint that the transmitter names. The access token is sent there.
    pub(super) fn endpoint(&self, url: &str) -> Result<Url, EventStreamError> {
        let parsed = Url::parse(url).ok().filter(is_safe);
        let is_as_private = |url: &Url| url.scheme() == "https" || self.configuration.scheme() == "http";
        parsed.filter(is_as_private).ok_or_else(|| {
            EventStreamError::Unfit(format!("it names an endpoint that is no https URL: {}", quoted(url)))
        })
    }

    async fn manage(
        &self,
        what: &'static str,
        method: Method,
        url: Url,
        body: Option<Vec<u8>>,
    ) -> Result<(http::StatusCode, Bytes), EventStreamError> {
        let request = self.request(method, url, body).await?;
        self.http.send(what, request.timeout(Self::TIMEOUT)).await
    }

    async fn request(
        &self,
        method: Method,
        url: Url,
        body: Option<Vec<u8>>,
    ) -> Result<RequestBuilder, EventStreamError> {
        let asking = tokio::time::timeout(Self::TIMEOUT, self.token.token());
        let token = asking.await.map_err(|slow| EventStreamError::NoToken(slow.into()))?;
        let token = Zeroizing::new(token.map_err(EventStreamError::NoToken)?);
        let bearer = Zeroizing::new(format!("Bearer {}", *token));
        let mut bearer =
            HeaderValue::from_str(&bearer).map_err(|bad| EventStreamError::NoToken(bad.into()))?;
        bearer.set_sensitive(true);
        let request = self.http.0.request(method, url);
        let request = request.header(AUTHORIZATION, bearer).header(ACCEPT, "application/json");
        Ok(match body {
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(body),
            None => request,
        })
    }
}

fn of_stream(endpoint: &Url, id: &str) -> Url {
    let mut url = endpoint.clone();
    url.query_pairs_mut().append_pair("stream_id", id);
    url
}

fn json<T: DeserializeOwned>(
    what: &'static str,
    standard: &'static str,
    body: &[u8],
) -> Result<T, EventStreamError> {
    serde_json::from_slice(body).map_err(|_| EventStreamError::Malformed { what, standard })
}

fn written(request: &impl Serialize) -> Result<Vec<u8>, EventStreamError> {
    serde_json::to_vec(request).map_err(|error| EventStreamError::Unfit(error.to_string()))
}

impl fmt::Debug for Transmitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transmitter").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
