//! What external issuers say about their people: events, requests and logout tokens, from their bytes to what is done.
//!
//! Each message is verified, its subject is mapped by the host, and one transaction of the store does what it says and
//! remembers it. Then this gateway forgets its verdicts, as after a revocation by an operator. Nothing here knows how a
//! message has come.

mod asked;
mod decision;
mod event_subject;
#[cfg(feature = "jwks-http")]
mod polled;
mod receiver;
mod refused;
mod stream_updated;
mod subject;
mod verification;

#[cfg(feature = "jwks-http")]
pub(crate) use polled::event_streams;
pub(crate) use receiver::{Delivery, Outcome, Receiver};
pub(crate) use refused::{Refused, RefusedMessage};
