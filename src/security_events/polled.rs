//! Security events that this gateway asks for: the receiver gets them from the event streams of external issuers.

use std::sync::Arc;

use async_trait::async_trait;

use super::receiver::{Delivery, Receiver};
use super::refused::Refused;
use crate::event_stream::{EventStreams, ReceiveSets, Received, StreamNames};
use crate::external_issuer::TrustedIssuers;
use crate::store::log_fault;
use crate::telemetry::quoted;
use crate::validate::BuildError;

/// What takes the events of the stream of one issuer.
#[derive(Debug)]
struct Polled {
    issuer: Arc<str>,
    receiver: Receiver,
}

/// The event streams that the host named, whose events `receiver` takes.
pub(crate) fn event_streams(
    trusted: Option<&TrustedIssuers>,
    receiver: &Receiver,
) -> Result<EventStreams, BuildError> {
    let mut streams = EventStreams::default();
    for issuer in trusted.into_iter().flat_map(TrustedIssuers::iter) {
        let Some(events) = &issuer.revocations.events else { continue };
        let Some(settings) = &events.stream else { continue };
        let name: Arc<str> = issuer.name().into();
        let polled = Polled { issuer: name.clone(), receiver: receiver.clone() };
        let names = StreamNames {
            audience: events.audience.as_ref().map(|audience| audience.as_str().to_owned()),
            announced: issuer.announced.clone(),
            states: issuer.verification.clone(),
        };
        streams.add(name, names, settings.clone(), Arc::new(polled))?;
    }
    Ok(streams)
}

#[async_trait]
impl ReceiveSets for Polled {
    async fn receive(&self, set: &str) -> Received {
        let refused = match self.receiver.security_event(set, Delivery::Poll(&self.issuer)).await {
            Ok(_) => return Received::Done,
            Err(refused) => refused,
        };
        let issuer = &*self.issuer;
        match refused {
            Refused::Message(why, detail) => {
                let error = why.code();
                tracing::warn!(issuer, error, detail, "a security event of an event stream was refused");
                Received::Refused { code: error, description: why.told() }
            }
            Refused::Unavailable(fault) => {
                log_fault(
                    &fault,
                    "a polled security event could not be done: it is not acknowledged, and comes again",
                );
                Received::NotNow { retry_after: None }
            }
            Refused::KeysUnavailable(issuer) => {
                tracing::warn!(
                    issuer = %quoted(&issuer),
                    "a polled security event could not be verified, because the keys of its issuer are not known: it comes again"
                );
                Received::NotNow { retry_after: None }
            }
            Refused::TooMany(_, wait) => Received::NotNow { retry_after: Some(wait) },
        }
    }
}
