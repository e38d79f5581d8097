//! Where users, codes, sessions, clients and revocations live: one trait of a few operations, each atomic.
//!
//! The crate has two implementations. `PostgresStore` (feature `postgres`) is for real use: many gateways share one
//! database. `SqliteStore` (feature `sqlite`) is for a single gateway without a database server. One conformance suite,
//! `tests/store`, runs against both.
//!
//! # Stores outside this crate
//!
//! The structs will grow. Make them with `new` and their builder methods. These enums are closed, so that no store overlooks
//! a variant: [`OpenSession`], [`RequestedId`], [`WhenFull`], [`ClientCredential`], [`ClientProof`], [`SessionState`],
//! [`Decision`], [`EventAction`].

#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;

mod answers;
mod client;
mod code;
mod contract;
mod deadline;
mod device;
mod device_grant;
mod error;
mod fault_log;
mod inputs;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod migrations;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod poll;
mod pool_status;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod pool_usage;
mod refresh_rotation;
mod revocation;
mod run_to_completion;
mod session;
mod tick;
mod user;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod user_search;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod write_queue;

pub use client::{
    Client, ClientCredential, ClientKey, ClientProof, KeyQuery, ProvisionClient, ProvisionClientError,
    ProvisionedClient,
};
pub use code::{GrantRefusal, IssueCodeError, NewCode, RedeemCode, RedeemError};
pub use contract::Store;
pub(crate) use deadline::{Deadlines, within_deadline};
pub use device::{Device, DeviceCursor, DevicePage, DeviceQuery, HookSession, InvalidCursor};
pub use device_grant::{
    DecideDeviceGrant, DecideDeviceGrantError, Decision, DeviceGrant, NewDeviceGrant, PollDeviceGrant,
    PollDeviceGrantError, StartDeviceGrantError,
};
pub use error::{StoreError, StoreErrorKind};
pub(crate) use fault_log::log_fault;
pub use pool_status::PoolStatus;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresStore, PostgresStoreBuilder};
pub use refresh_rotation::{RefreshRefusal, RefreshSession, RefreshSessionError, RefreshStatus};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) use revocation::revocation_mark;
pub use revocation::{
    EventAction, EventOutcome, Revocation, RevocationCursor, RevocationPage, Revoke, SecurityEvent, Swept,
};
pub(crate) use run_to_completion::RunToCompletion;
pub use session::{
    NewSession, OpenSession, OpenSessionError, OpenedSession, Origin, RequestedId, RowMark, RowState,
    Session, SessionKey, SessionLimit, SessionState, SessionStatus, SpentAssertion, WhenFull,
};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteStore, SqliteStoreBuilder};
pub use tick::{Proof, Replication, RowStates, SessionStatuses, Tick};
pub use user::{KnownUser, UserPage, UserQuery, UserRecord};
