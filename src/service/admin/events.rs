//! `GET /users/{id}/events`: the audit events of a person that the host keeps.

use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::clock::since_epoch;
use crate::id::UserId;
use crate::issue::{AuditEvent, AuditTrailError};
use crate::service::answer::{Answer, EndpointError, json};
use crate::service::state::ServiceState;

/// How many events of a person operators see.
const SHOWN: u32 = 100;

#[derive(Serialize)]
struct Events<'a> {
    events: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    at: u64,
    name: &'a str,
    fields: Map<String, Value>,
}

impl<'a> Entry<'a> {
    fn new(event: &'a AuditEvent) -> Self {
        let fields = event.fields.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
        Self { at: since_epoch(event.at).as_secs(), name: &event.name, fields: fields.collect() }
    }
}

pub(super) async fn answer(state: &ServiceState, user: &UserId) -> Answer {
    let events = kept(state, user).await.map_err(|error| match error {
        AuditTrailError::NotKept => NOT_KEPT,
        AuditTrailError::TimedOut | AuditTrailError::Failed(_) => EndpointError::later(state, CANNOT_BE_READ),
    })?;
    Ok(json(StatusCode::OK, &Events { events: events.iter().map(Entry::new).collect() }))
}

/// The last events of a person, newest first. Logs why there are none, unless the host keeps none.
pub(in crate::service) async fn kept(
    state: &ServiceState,
    user: &UserId,
) -> Result<Vec<AuditEvent>, AuditTrailError> {
    let events = state.admin.events(user, SHOWN).await;
    if let Err(error @ (AuditTrailError::TimedOut | AuditTrailError::Failed(_))) = &events {
        let error: &dyn std::error::Error = error;
        tracing::warn!(user_id = %user, error, "the audit events of a person could not be read");
    }
    events
}

const CANNOT_BE_READ: &str = "The audit events cannot be read right now. Try again.";
const NOT_KEPT: EndpointError =
    EndpointError::new(StatusCode::NOT_FOUND, "events_not_kept", "This gateway keeps no audit events.");
