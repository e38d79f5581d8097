//! Keeps the last audit events of each person in memory, for the operators' page.
//!
//! They are gone when the gateway stops, and each node has its own. With several nodes, implement `AuditTrail` over the
//! place where you collect your logs.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bridge_auth::UserId;
use bridge_auth::issue::{AuditEvent, AuditTrail};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// How many events of a person are kept.
const EVENTS: usize = 100;
/// How many people have events here. The one who was quiet for longest makes room.
const PEOPLE: usize = 10_000;

/// The last audit events of each person: a layer that keeps them, and the trail that tells them.
#[derive(Debug, Clone, Default)]
pub struct RecentEvents(Arc<Mutex<HashMap<String, VecDeque<AuditEvent>>>>);

impl<S: Subscriber> Layer<S> for RecentEvents {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != "bridge_auth::audit" {
            return;
        }
        let mut fields = Fields(Vec::new());
        event.record(&mut fields);
        let Some(user) = fields.take("user_id") else { return };
        let mut kept = AuditEvent::new(SystemTime::now(), fields.take("event").unwrap_or_default());
        kept.fields = fields.0;
        let mut people = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if people.len() >= PEOPLE && !people.contains_key(&user) {
            let quiet = people.iter().min_by_key(|(_, events)| events.back().map(|event| event.at));
            if let Some(user) = quiet.map(|(user, _)| user.clone()) {
                people.remove(&user);
            }
        }
        let events = people.entry(user).or_default();
        if events.len() == EVENTS {
            events.pop_front();
        }
        events.push_back(kept);
    }
}

#[async_trait]
impl AuditTrail for RecentEvents {
    async fn recent(
        &self,
        user: &UserId,
        limit: u32,
    ) -> Result<Vec<AuditEvent>, Box<dyn Error + Send + Sync>> {
        let people = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let events = people.get(user.as_str()).into_iter().flatten().rev();
        Ok(events.take(limit as usize).cloned().collect())
    }
}

/// The fields of an event, as text.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn take(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(field, _)| field == name)?;
        Some(self.0.remove(place).1)
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name().to_owned(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name().to_owned(), format!("{value:?}")));
    }
}
