//! What a host says about an event stream.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use url::Url;

use super::wire::{POLL, PUSH};
use crate::id::{FirstInvalid, TextOr};
use crate::validate::{BuildError, Setting, check_endpoint};

/// A stream of security events that the gateway asks an external issuer for (Shared Signals Framework 1.0).
///
/// The gateway finds out what the issuer offers (`/.well-known/ssf-configuration`), uses the stream that it has there or
/// creates one, and asks for a verification event. Then it polls the stream ([`poll`](Self::poll), RFC 8936) or waits
/// until events come ([`push`](Self::push), RFC 8935). [`Bridge::maintain`](crate::Bridge::maintain) starts this.
///
/// Each event is done before it is acknowledged. When the gateway cannot do it now, or ends in the meantime, the event
/// comes again. Several gateways of one database may poll one stream: an event is done once, whoever gets it.
///
/// When the issuer cannot be reached, the gateway asks again after 1 s, then after up to 60 s, and logs each fault. So an
/// event is late by as long.
///
/// ```
/// # use bridge_auth::external_issuer::{EventStream, ExternalIssuer, SecurityEvents};
/// # fn with(issuer: ExternalIssuer, token: String) -> ExternalIssuer {
/// let events = SecurityEvents::new("https://gateway.example/events");
/// issuer.security_events(events.stream(EventStream::poll(move || token.clone())))
/// # }
/// ```
#[derive(Clone)]
#[must_use = "give it to SecurityEvents::stream or SecurityEvents::of_stream"]
pub struct EventStream {
    pub(super) token: Arc<dyn TransmitterToken>,
    pub(super) delivery: Delivery,
    pub(super) configuration: Option<Url>,
    pub(super) stream_id: Option<String>,
    pub(super) events: Vec<String>,
    pub(super) description: String,
    pub(super) poll_every: Duration,
    invalid: FirstInvalid,
}

/// How events come.
#[derive(Debug, Clone)]
pub(super) enum Delivery {
    Poll,
    /// To this endpoint of the gateway, with this value of the header `Authorization`.
    Push(Url, Option<SecretString>),
}

/// Gives the access token that the transmitter asks for (SSF 1.0 §7.1.1).
///
/// A closure `Fn() -> String` is one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` gives no access token for a transmitter",
    label = "give a closure `|| -> String`, or a type that implements `TransmitterToken`"
)]
#[async_trait]
pub trait TransmitterToken: Send + Sync + 'static {
    /// A token that is good now. It is asked for before each request.
    ///
    /// # Errors
    ///
    /// Why there is none. The gateway tries again later.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when it takes longer than 10 s, and when the bridge is dropped.
    async fn token(&self) -> Result<String, Box<dyn Error + Send + Sync>>;
}

#[async_trait]
impl<F: Fn() -> String + Send + Sync + 'static> TransmitterToken for F {
    async fn token(&self) -> Result<String, Box<dyn Error + Send + Sync>> {
        Ok(self())
    }
}

/// The events that a gateway acts on (CAEP 1.0 §3, RISC 1.0 §2).
const EVENTS: [&str; 5] = [
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
    "https://schemas.openid.net/secevent/caep/event-type/credential-change",
    "https://schemas.openid.net/secevent/caep/event-type/token-claims-change",
    "https://schemas.openid.net/secevent/risc/event-type/account-disabled",
    "https://schemas.openid.net/secevent/risc/event-type/account-purged",
];

impl EventStream {
    /// A stream that the gateway polls (RFC 8936). The gateway needs no address that the issuer can reach.
    ///
    /// `token` gives the access token for the endpoints that the issuer's configuration names.
    pub fn poll(token: impl TransmitterToken) -> Self {
        Self::new(Arc::new(token), Delivery::Poll)
    }

    /// A stream whose events the issuer sends to `endpoint` (RFC 8935): the URL of `POST {prefix}/events` of
    /// [`Bridge::revocations_service`](crate::Bridge::revocations_service).
    ///
    /// `token` gives the access token for the endpoints that the issuer's configuration names.
    pub fn push(token: impl TransmitterToken, endpoint: impl TextOr<Url>) -> Self {
        let mut invalid = FirstInvalid::default();
        let endpoint = invalid.read("the endpoint of an event stream", endpoint);
        let delivery = endpoint.map(|endpoint| Delivery::Push(endpoint, None));
        Self { invalid, ..Self::new(Arc::new(token), delivery.unwrap_or(Delivery::Poll)) }
    }

    fn new(token: Arc<dyn TransmitterToken>, delivery: Delivery) -> Self {
        Self {
            token,
            delivery,
            configuration: None,
            stream_id: None,
            events: EVENTS.map(str::to_owned).into(),
            description: "bridge-auth".to_owned(),
            poll_every: Duration::from_secs(5),
            invalid: FirstInvalid::default(),
        }
    }

    /// The value of the header `Authorization` that the issuer is to send with each pushed event (SSF 1.0 §6.1.1). Default:
    /// none. Give the same value to `SecurityEvents::authorization_header`.
    ///
    /// It does nothing for a stream that is polled.
    pub fn authorization_header(mut self, value: impl Into<String>) -> Self {
        if let Delivery::Push(_, authorization) = &mut self.delivery {
            *authorization = Some(SecretString::from(value.into()));
        }
        self
    }

    /// Where the issuer describes its event streams. Default: `/.well-known/ssf-configuration` between the host and the
    /// path of the issuer (SSF 1.0 §7.2).
    pub fn configuration_url(mut self, url: impl TextOr<Url>) -> Self {
        self.configuration = self.invalid.read("the configuration URL of an event stream", url);
        self
    }

    /// The one stream to use, which exists already. Default: none, so the gateway uses a stream of its own, and creates it when there is none.
    ///
    /// Whoever named it has seen to its subjects: the health of the stream does not say that it may be about nobody.
    pub fn stream_id(mut self, id: impl Into<String>) -> Self {
        self.stream_id = Some(id.into());
        self
    }

    /// The types of the events to ask for in a new stream. Default: the CAEP events `session-revoked`,
    /// `credential-change` and `token-claims-change`, and the RISC events `account-disabled` and `account-purged`.
    pub fn events<E: Into<String>>(mut self, types: impl IntoIterator<Item = E>) -> Self {
        self.events = types.into_iter().map(Into::into).collect();
        self
    }

    /// What the people who run the issuer read about a new stream. Default: `bridge-auth`.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// How long to wait between two polls of an issuer that answers at once although it has no event: 100 ms to 60 s.
    /// Default: 5 s.
    ///
    /// Most issuers hold a poll until there is an event (long poll). Then the next poll follows at once.
    pub fn poll_every(mut self, interval: Duration) -> Self {
        self.poll_every = interval;
        self
    }

    /// Checks the settings of a stream of `issuer`.
    pub(super) fn check(&self, issuer: &str) -> Result<Url, BuildError> {
        self.invalid.check()?;
        if let Delivery::Push(endpoint, _) = &self.delivery {
            check_endpoint("the endpoint of an event stream", Some(endpoint))?;
        }
        let least_and_most = Duration::from_millis(100)..=Duration::from_secs(60);
        if !least_and_most.contains(&self.poll_every) {
            let setting = Setting::new("poll_every", "EventStream::poll_every");
            return Err(setting.duration_out_of_range(self.poll_every, "100 milliseconds to 60 seconds"));
        }
        if self.events.is_empty() {
            let setting = Setting::new("the number of events of an event stream", "EventStream::events");
            return Err(setting.out_of_range(0, "at least 1"));
        }
        let url = match &self.configuration {
            Some(url) => url.clone(),
            None => configuration_url(issuer)?,
        };
        check_endpoint("the configuration URL of an event stream", Some(&url))?;
        Ok(url)
    }
}

impl Delivery {
    pub(super) const fn method(&self) -> &'static str {
        match self {
            Self::Poll => POLL,
            Self::Push(..) => PUSH,
        }
    }
}

/// SSF 1.0 §7.2: the text stands between the host and the path.
fn configuration_url(issuer: &str) -> Result<Url, BuildError> {
    let mut url = Url::parse(issuer).map_err(|_| BuildError::Issuer(issuer.to_owned()))?;
    let path = format!("/.well-known/ssf-configuration{}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("delivery", &self.delivery)
            .field("stream_id", &self.stream_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> EventStream {
        EventStream::poll(|| "token".to_owned())
    }

    #[test]
    fn the_configuration_stands_between_the_host_and_the_path_of_the_issuer() {
        for (issuer, url) in [
            ("https://idp.example", "https://idp.example/.well-known/ssf-configuration"),
            ("https://idp.example/", "https://idp.example/.well-known/ssf-configuration"),
            ("https://idp.example/a/b", "https://idp.example/.well-known/ssf-configuration/a/b"),
            ("http://127.0.0.1:8/x", "http://127.0.0.1:8/.well-known/ssf-configuration/x"),
        ] {
            assert_eq!(stream().check(issuer).unwrap().as_str(), url);
        }
        let named = stream().configuration_url("https://idp.example/ssf");
        assert_eq!(named.check("https://idp.example").unwrap().as_str(), "https://idp.example/ssf");
    }

    #[test]
    fn an_unsafe_setting_is_refused_with_its_name() {
        let refused = |stream: EventStream| stream.check("https://idp.example").unwrap_err().to_string();
        assert!(refused(stream().configuration_url("http://idp.example/ssf")).contains("configuration URL"));
        assert!(refused(stream().configuration_url("ssf")).contains("configuration URL"));
        assert!(refused(stream().poll_every(Duration::ZERO)).contains("EventStream::poll_every"));
        assert!(refused(stream().events::<String>([])).contains("EventStream::events"));
        let push = EventStream::push(String::new, "http://gateway.example/events");
        assert!(refused(push).contains("the endpoint of an event stream"));
    }
}
