//! Stream updated events (SSF 1.0 §8.1.5): a transmitter says that it has paused, disabled or enabled a stream.

use serde::Deserialize;

use super::decision::STREAM_UPDATED;
use super::refused::{Refused, malformed};
use crate::external_issuer::{ExternalSubject, TrustedIssuer};
use crate::telemetry::quoted;
use crate::token::Events;

/// Whether one of `events` says that a stream has another status. Then it is told, and the stream's health shows it.
pub(super) fn check(
    trusted: &TrustedIssuer,
    events: &Events,
    who: &[ExternalSubject],
) -> Result<bool, Refused> {
    #[derive(Deserialize)]
    struct Event {
        status: String,
        reason: Option<String>,
    }
    let Some(event) = events.get(STREAM_UPDATED) else { return Ok(false) };
    let Ok(Event { status, reason }) = serde_json::from_str(event.get()) else {
        return Err(malformed("the stream-updated event has no status, or a reason that is no text"));
    };
    let issuer = trusted.name();
    let stream = who.first().and_then(|who| who.opaque.as_deref());
    let stream_id = stream.map(quoted);
    if status == "enabled" {
        tracing::info!(issuer, stream_id, "a transmitter has enabled an event stream");
    } else {
        let shown = quoted(reason.as_deref().unwrap_or_default());
        tracing::warn!(
            issuer, stream_id, status = %quoted(&status), reason = shown,
            "a transmitter has paused or disabled an event stream: who leaves is not heard of until it enables the stream"
        );
    }
    #[cfg(feature = "jwks-http")]
    if let Some(stream) = stream {
        trusted.announced.set_status(stream, crate::event_stream::StreamStatus { status, reason });
    }
    Ok(true)
}
