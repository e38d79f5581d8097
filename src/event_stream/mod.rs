//! Event streams: how a gateway asks another server for its security events, and reads them (Shared Signals Framework 1.0,
//! RFC 8936).
//!
//! The server is the *transmitter*, the gateway the *receiver*. `transmitter` sends the requests, `wire` has their JSON.
//! `stream` sets one up and has it verified, and `following` is the task that polls it. `streams` has all of a bridge.
//! What an event does is not known here: a [`ReceiveSets`] gets each one.

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

pub use error::EventStreamError;
pub use followed::{FollowedStream, StreamHealth, StreamStatus};
pub(crate) use receive::{ReceiveSets, Received};
pub use settings::{EventStream, TransmitterToken};
pub(crate) use streams::EventStreams;
pub(crate) use verification::VerificationStates;
