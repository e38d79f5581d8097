//! Verification events (SSF 1.0 §8.1.4): a transmitter shows that its stream works.

use serde::Deserialize;

use super::decision::VERIFICATION;
use super::refused::{Refused, RefusedMessage, malformed, refuse};
use crate::external_issuer::{ExternalSubject, TrustedIssuer};
use crate::telemetry::audit;
use crate::token::Events;

/// Whether one of `events` is a verification event. Then its `state` is checked, and it is told that it came.
pub(super) fn check(
    trusted: &TrustedIssuer,
    events: &Events,
    who: &[ExternalSubject],
) -> Result<bool, Refused> {
    #[derive(Deserialize)]
    struct Event {
        state: Option<String>,
    }
    let Some(event) = events.get(VERIFICATION) else { return Ok(false) };
    let event: Event = serde_json::from_str(event.get())
        .map_err(|_| malformed("the verification event has a state that is no text"))?;
    let stream = who.first().and_then(|who| who.opaque.as_deref());
    if !trusted.expects(stream, event.state.as_deref()) {
        return Err(refuse(RefusedMessage::State, "no gateway has sent this state for this stream"));
    }
    audit!("event_stream_verified", issuer = trusted.name(), was_asked = event.state.is_some());
    Ok(true)
}
