//! The audit events that a host keeps, for its operators to read.

use std::error::Error;
use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;

use crate::id::UserId;

/// The audit events that a host keeps.
///
/// This crate writes each audit event to `tracing`, with the target `bridge_auth::audit`, and keeps none. A host that
/// keeps them can let its operators read them: `GET /users/{id}/events` and the page of
/// [`AdminService`](crate::service::AdminService) show the last 100 of a person. Set it with
/// [`BridgeBuilder::audit_trail`](crate::BridgeBuilder::audit_trail).
///
/// The name of an event is its field `event`. The person is its field `user_id`. [The guide](crate::guide::metrics_and_logs)
/// lists all events and their fields. No field is a secret.
///
/// # Example
///
/// A layer for `tracing_subscriber` that keeps the last 100 events of each person in memory. A gateway with several
/// nodes reads them from the place where it collects its logs instead.
///
/// ```
#[doc = include_str!("../../docs/recent_events.rs")]
/// // Where the gateway starts:
/// # fn start(builder: bridge_auth::BridgeBuilder) -> Result<bridge_auth::Bridge, Box<dyn Error>> {
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let events = RecentEvents::default();
/// let subscriber = tracing_subscriber::registry().with(tracing_subscriber::fmt::layer()).with(events.clone());
/// tracing::subscriber::set_global_default(subscriber)?;
/// let bridge = builder.audit_trail(events).build()?;
/// # Ok(bridge)
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not keep audit events",
    label = "give the audit trail itself: the bridge puts it behind an `Arc`"
)]
#[async_trait]
pub trait AuditTrail: fmt::Debug + Send + Sync + 'static {
    /// The last events of `user`, at most `limit`.
    ///
    /// The order does not matter: operators see the newest first. A person without events has an empty list, also one
    /// who is not known.
    ///
    /// # Errors
    ///
    /// Any error, when the events cannot be read now. It is logged, and the operator is told that they are not
    /// available.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped after the [read deadline](crate::BridgeBuilder::store_deadline) of the bridge.
    async fn recent(
        &self,
        user: &UserId,
        limit: u32,
    ) -> Result<Vec<AuditEvent>, Box<dyn Error + Send + Sync>>;
}

/// An audit event that a host kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEvent {
    /// When it happened.
    pub at: SystemTime,
    /// Its name, such as `code_redeemed`.
    pub name: String,
    /// Its other fields, each with its name.
    pub fields: Vec<(String, String)>,
}

impl AuditEvent {
    /// An event without fields.
    #[must_use]
    pub fn new(at: SystemTime, name: impl Into<String>) -> Self {
        Self { at, name: name.into(), fields: Vec::new() }
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }
}

/// Why an operator gets no audit events.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditTrailError {
    /// The host keeps none.
    #[error("this gateway keeps no audit events: set BridgeBuilder::audit_trail")]
    NotKept,
    /// The host's audit trail did not answer in time.
    #[error("the audit trail did not answer in time")]
    TimedOut,
    /// The host's audit trail could not answer.
    #[error("the audit trail could not answer")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}
