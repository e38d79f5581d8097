//! Whom a message is about: inside of the event, as Okta writes it, and as another issuer's.

use bridge_auth::UserId;
use bridge_auth::external_issuer::{ExternalIssuer, ExternalSubject};
use serde_json::{Value, json};

use super::{CAEP, RISC, World, id, is_event_error, is_taken};
use crate::support::bridge::builder;
use crate::support::{Backend, SqliteBackend};

const LOGIN: &str = "https://login.example";

/// The claims of an event whose only subject is in the event.
fn inside(world: &World<impl Backend>, event: &str, subject: &Value) -> Value {
    let mut claims = world.event(event, &Value::Null);
    claims.as_object_mut().unwrap().remove("sub_id");
    claims["events"][event]["subject"] = subject.clone();
    claims
}

#[tokio::test]
async fn the_subject_may_stand_in_the_event_as_okta_writes_it() {
    let world = World::start(SqliteBackend::start().await).await;
    let (issuer, now) = (world.idp.issuer(), world.now());
    let alice = json!({ "format": "iss_sub", "iss": issuer, "sub": "idp|alice" });
    let revoked = json!({
        "event_timestamp": now, "initiating_entity": "admin", "current_ip_address": "192.0.2.1",
        "reason_admin": { "en": "offboarded" },
        "subject": { "user": alice, "device": { "format": "opaque", "id": "laptop" } },
    });
    let changed = json!({
        "event_timestamp": now, "initiating_entity": "user", "credential_type": "password", "change_type": "update",
        "subject": alice,
    });
    let old = json!({ "subject": { "subject_type": "iss-sub", "iss": issuer, "sub": "idp|alice" }, "reason": "hijacking" });
    for (event, body) in [
        (format!("{CAEP}session-revoked"), revoked),
        (format!("{CAEP}credential-change"), changed),
        (format!("{RISC}account-disabled"), old),
    ] {
        let (token, other) = (world.gateway.link("alice").await, world.gateway.link("bob").await);
        let mut claims = inside(&world, &event, &Value::Null);
        claims["events"] = json!({ &event: body });
        let answer = world.push(&claims).await;
        assert!(is_taken(&answer), "{event}: {answer:?}");
        assert!(!world.gateway.admits(&token).await && world.gateway.admits(&other).await, "{event}");
    }
}

#[tokio::test]
async fn a_subject_in_the_event_is_held_to_the_rules_of_sub_id() {
    let world = World::start(SqliteBackend::start().await).await;
    let (alice, bob) = (world.gateway.link("alice").await, world.gateway.link("bob").await);
    let event = format!("{CAEP}session-revoked");
    let (one, two) = (world.iss_sub("alice"), world.iss_sub("bob"));
    let mut hostile = Vec::new();
    for subject in [
        json!(null),
        json!("idp|alice"),
        json!([one]),
        json!({}),
        json!({ "iss": world.idp.issuer(), "sub": "idp|alice" }),
        json!({ "user": "idp|alice" }),
        json!({ "user": one, "session": "s" }),
        json!({ "user": { "user": one } }),
        json!({ "format": "complex", "user": ["iss_sub", world.idp.issuer(), "idp|alice"] }),
        json!({ "format": "iss_sub", "subject_type": "iss-sub", "iss": world.idp.issuer(), "sub": "idp|alice" }),
    ] {
        hostile.push(inside(&world, &event, &subject));
        // Nor does a good one elsewhere make it good.
        let mut both = inside(&world, &event, &subject);
        both["sub_id"] = one.clone();
        hostile.push(both);
    }
    let mut differing = inside(&world, &event, &two);
    differing["sub_id"] = one.clone();
    hostile.push(differing);
    let mut in_sub = inside(&world, &event, &one);
    in_sub["sub"] = "idp|alice".into();
    hostile.push(in_sub);
    let mut of_two = inside(&world, &event, &one);
    of_two["events"][format!("{CAEP}credential-change")] = json!({ "subject": two });
    hostile.push(of_two);
    let mut of_one_and_nobody = inside(&world, &event, &one);
    of_one_and_nobody["events"][format!("{RISC}account-disabled")] = json!({});
    hostile.push(of_one_and_nobody);
    for claims in &hostile {
        let answer = world.push(claims).await;
        assert!(is_event_error(&answer, "invalid_request"), "{claims}: {answer:?}");
    }
    assert!(world.gateway.admits(&alice).await && world.gateway.admits(&bob).await);
    let mut agreeing = inside(&world, &event, &json!({ "user": one }));
    agreeing["sub_id"] = one;
    assert!(is_taken(&world.push(&agreeing).await) && !world.gateway.admits(&alice).await);
    assert!(world.gateway.admits(&bob).await);
}

/// A person whom another issuer names is alice or bob by that issuer alone.
fn by_issuer(issuer: ExternalIssuer) -> ExternalIssuer {
    issuer.people(|who: &ExternalSubject| match (who.issuer.as_str(), who.subject.as_deref()) {
        (LOGIN, Some("7")) => UserId::parse("alice").ok(),
        (_, Some("7")) => UserId::parse("bob").ok(),
        _ => None,
    })
}

#[tokio::test]
async fn an_issuer_names_the_people_of_another_only_where_the_host_says_so() {
    let who = |iss: &str| json!({ "format": "iss_sub", "iss": iss, "sub": "7" });
    for allowed in [false, true] {
        let db = SqliteBackend::start().await;
        let trust = |issuer| if allowed { by_issuer(issuer).speaks_for([LOGIN]) } else { by_issuer(issuer) };
        let world = World::with(db, trust, |builder| builder).await;
        for is_event in [true, false] {
            let (alice, bob) = (world.gateway.link("alice").await, world.gateway.link("bob").await);
            // Another issuer, and those whose names are nearly right, are nobody's.
            for iss in ["https://other.example", "https://login.example/", "https://LOGIN.example", LOGIN] {
                let mut caller = world.caller();
                caller["jti"] = id().into();
                let expected = if allowed && iss == LOGIN { 204 } else { 404 };
                if is_event {
                    let event = world.event(&format!("{CAEP}session-revoked"), &who(iss));
                    assert!(is_taken(&world.push(&event).await), "{iss}");
                } else {
                    assert_eq!(world.revoke(&caller, &who(iss)).await.status, expected, "{iss}");
                }
                let ends = allowed && iss == LOGIN;
                assert_eq!(world.gateway.admits(&alice).await, !ends, "{iss} {allowed}");
                assert!(world.gateway.admits(&bob).await, "{iss}: another issuer's name is not its own");
            }
            // Its own people it names as ever.
            let own = world.event(&format!("{CAEP}session-revoked"), &who(&world.idp.issuer()));
            assert!(is_taken(&world.push(&own).await) && !world.gateway.admits(&bob).await);
        }
    }
}

#[tokio::test]
async fn another_issuer_that_no_message_could_name_is_refused_when_the_bridge_is_built() {
    let db = SqliteBackend::start().await;
    let (clock, people) = (super::super::Ahead::default(), super::People::default());
    let idp = super::super::server::AuthorizationServer::start(clock).await;
    for issuers in
        [vec![String::new()], vec!["a\nb".to_owned()], vec!["x".repeat(256)], vec![LOGIN.to_owned(); 17]]
    {
        let issuer = super::trusted(&idp, &people).speaks_for(issuers.clone());
        let refused = builder(&db).await.trust(issuer).build().unwrap_err();
        assert!(refused.to_string().contains("ExternalIssuer::speaks_for"), "{issuers:?}: {refused}");
    }
}
