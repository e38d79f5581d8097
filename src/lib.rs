//! bridge-auth
#![cfg_attr(docsrs, feature(doc_cfg))]

mod authenticate;
mod bridge;
mod caller;
mod clock;
#[cfg(feature = "axum")]
mod extract;
pub mod header;
mod id;
mod issue;
pub mod layer;
mod observe;
mod passage;
mod reject;
mod service;
mod session;
mod settings;
pub mod store;
pub mod token;

pub use authenticate::Authenticator;
pub use bridge::{Bridge, BridgeBuilder};
pub use caller::{Caller, CallerKind};
pub use clock::{Clock, SystemClock};
#[cfg(feature = "axum")]
pub use extract::*;
pub use id::*;
pub use issue::*;
pub use layer::{BridgeAuth, BridgeAuthLayer};
pub use reject::{InvalidCredential, MalformedCredential, ProblemJson, Rejection, RejectionBody};
pub use service::*;
pub use session::Freshness;
pub use settings::{BuildError, PeerAddr};
