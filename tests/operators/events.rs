//! Operators read the audit events that the host keeps.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bridge_auth::issue::{AuditEvent, AuditTrail, AuditTrailError};
use bridge_auth::pages::Pages;
use bridge_auth::{BridgeBuilder, UserId};
use http::{Method, StatusCode};
use serde_json::json;
use tracing_subscriber::layer::SubscriberExt as _;

use self::recent_events::RecentEvents;
use super::page::{open, submit};
use crate::sign_in::given::html;
use crate::support::Backend;
use crate::support::SqliteBackend;
use crate::support::bridge::{builder, user};
use crate::support::gateway::Gateway;
use crate::support::record::{Record, hear};

/// The layer that the example gateway has, and the documentation shows.
#[path = "../../docs/recent_events.rs"]
mod recent_events;

/// A trail in one of the states that a host's may be in.
#[derive(Debug)]
enum Trail {
    Holds(Vec<AuditEvent>),
    Fails,
    Hangs,
}

#[async_trait]
impl AuditTrail for Trail {
    async fn recent(&self, user: &UserId, _: u32) -> Result<Vec<AuditEvent>, Box<dyn Error + Send + Sync>> {
        match self {
            Self::Holds(events) if user.as_str() == "alice" => Ok(events.clone()),
            Self::Holds(_) => Ok(Vec::new()),
            Self::Fails => Err("the log server is away".into()),
            Self::Hangs => std::future::pending().await,
        }
    }
}

async fn gateway(db: &SqliteBackend, set: impl FnOnce(BridgeBuilder) -> BridgeBuilder) -> Gateway {
    let builder = builder(db).await.pages(Pages::new("/login")).store_deadline(Duration::from_millis(300));
    let gateway = Gateway::over(set(builder).build().unwrap()).await;
    gateway.link("alice").await;
    gateway
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[tokio::test]
async fn events_are_shown_newest_first_and_at_most_a_hundred() {
    let db = SqliteBackend::start().await;
    // The trail holds more than it was asked for, in no order.
    let events = (0..150_u64).map(|number| {
        let number = (number * 67) % 150;
        AuditEvent::new(at(number), format!("event_{number}"))
            .field("address", "203.0.113.9")
            .field("n", "<b>")
    });
    let gateway = gateway(&db, |builder| builder.audit_trail(Trail::Holds(events.collect()))).await;
    let listed = gateway.operate(Method::GET, "/users/alice/events").await;
    assert!(listed.status == StatusCode::OK && listed.is_not_stored(), "{listed:?}");
    let listed = listed.json()["events"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 100);
    let fields = json!({ "address": "203.0.113.9", "n": "<b>" });
    assert_eq!(listed[0], json!({ "at": 149, "name": "event_149", "fields": fields }));
    assert_eq!(listed[99]["at"], 50);
    let page = open(&gateway, "/admin?user=alice").await;
    let html = html(&page);
    let (newest, oldest) = (html.find("event_149").unwrap(), html.find("event_50<").unwrap());
    assert!(newest < oldest && !html.contains("event_49<"), "{html}");
    assert!(html.contains("address=203.0.113.9") && !html.contains("<b>"), "{html}");
    let nobody = gateway.operate(Method::GET, "/users/nobody/events").await;
    assert_eq!((nobody.status, nobody.json()), (StatusCode::OK, json!({ "events": [] })));
    let head = gateway.bridge.admin().events(&user("alice"), 3).await.unwrap();
    assert_eq!(head.iter().map(|event| event.at).collect::<Vec<_>>(), [at(149), at(148), at(147)]);
}

#[tokio::test]
async fn a_host_that_keeps_no_events_says_so() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db, |builder| builder).await;
    let answer = gateway.operate(Method::GET, "/users/alice/events").await;
    assert!(answer.is_problem(404, "events_not_kept"), "{answer:?}");
    assert!(html(&open(&gateway, "/admin?user=alice").await).contains("keeps no audit events"));
    let error = gateway.bridge.admin().events(&user("alice"), 1).await.unwrap_err();
    assert!(matches!(error, AuditTrailError::NotKept), "{error}");
}

#[tokio::test]
async fn a_trail_that_fails_or_hangs_takes_nothing_else_from_the_page() {
    for trail in [Trail::Fails, Trail::Hangs] {
        let db = SqliteBackend::start().await;
        let gateway = gateway(&db, |builder| builder.audit_trail(trail)).await;
        let record = Record::default();
        let guard = record.listen();
        let answer = gateway.operate(Method::GET, "/users/alice/events").await;
        assert!(answer.is_problem(503, "temporarily_unavailable"), "{answer:?}");
        assert_eq!(answer.header("retry-after"), "1");
        let page = open(&gateway, "/admin?user=alice").await;
        assert_eq!(page.status, StatusCode::OK);
        let text = html(&page);
        assert!(text.contains("cannot be read right now") && text.contains("value=\"end\""), "{text}");
        drop(guard);
        assert_eq!(record.text().matches("the audit events of a person could not be read").count(), 2);
    }
}

#[tokio::test]
async fn the_example_keeps_what_an_operator_did_to_a_person() {
    let db = SqliteBackend::start().await;
    let events = RecentEvents::default();
    let _guard = hear(tracing_subscriber::registry().with(events.clone()));
    let gateway = gateway(&db, |builder| builder.audit_trail(events)).await;
    gateway.link("bob").await;
    let sessions = gateway.operate(Method::GET, "/users/alice/sessions").await.json();
    let session = sessions["sessions"][0]["id"].as_str().unwrap().to_owned();
    let end = [("action", "end"), ("user", "alice"), ("session", &session)];
    assert_eq!(submit(&gateway, "/admin", &end).await.status, StatusCode::OK);
    let listed = gateway.operate(Method::GET, "/users/alice/events").await.json();
    let names: Vec<_> =
        listed["events"].as_array().unwrap().iter().map(|event| event["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["operator_revoked_session", "code_redeemed", "code_issued"]);
    let fields = &listed["events"][0]["fields"];
    assert_eq!(fields["session_id"], session);
    assert_eq!((&fields["operator"], &fields["found"]), (&json!("\"olga\""), &json!("true")));
}
