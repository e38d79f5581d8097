//! Event streams: how a gateway asks another server for its security events, and reads them (Shared Signals Framework 1.0,
//! RFC 8936).
//!
//! The server is the *transmitter*, the gateway the *receiver*. `transmitter` sends the requests, `wire` has their JSON.
//! `stream` sets one up and has it verified, `choice` finds or creates it, and `following` is the task that polls it.
//! `announced` is what the transmitter says about it. `streams` has all of a bridge.
//! What an event does is not known here: a [`ReceiveSets`] gets each one.

mod announced;
mod choice;
mod error;
mod followed;
mod following;
mod http_client;
mod pace;
mod receive;
mod settings;
mod stream;
mod streams;
mod transmitter;
mod verification;
mod wire;

pub(crate) use announced::Announced;
pub use announced::StreamStatus;
pub use error::EventStreamError;
pub use followed::{FollowedStream, StreamHealth};
pub(crate) use receive::{ReceiveSets, Received};
pub use settings::{EventStream, TransmitterToken};
pub(crate) use stream::StreamNames;
pub(crate) use streams::EventStreams;
pub(crate) use verification::VerificationStates;

/// Reads `json` as each answer of a transmitter.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn fuzz_answers(json: &[u8]) {
    wire::fuzz(json);
}
