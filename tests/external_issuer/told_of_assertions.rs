//! What the log tells of assertions: who got access by which issuer, why another did not, and no assertion.

use serde_json::{Value, json};

use bridge_auth::external_issuer::IdentityAssertions;

use super::provider::{AGENT, MCP, World, claims_of, is_refused, present, with};
use crate::support::gateway::Answer;
use crate::support::record::Record;

/// The lines of refused requests.
fn refusals(record: &Record) -> Vec<Value> {
    let text = record.text();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|mut line| line["fields"].take()).filter(|line| line["message"] == "request refused").collect()
}

#[tokio::test]
async fn each_assertion_that_is_refused_has_a_line_with_its_exact_reason() {
    let world = World::start().await;
    world.present(&world.sign(&world.claims())).await;
    let record = Record::default();
    let _listening = record.listen();
    let used = world.sign(&world.claims());
    assert_eq!(world.present(&used).await.status, 200);
    let disabled = world.assertion_with("sub", json!("idp|dora"));
    super::provider::know(&world.gateway.bridge, "dora").await;
    let admin = world.gateway.bridge.admin();
    admin.disable_user(&crate::support::bridge::user("dora")).await.unwrap();
    let iat = world.claims()["iat"].as_u64().unwrap();
    let other = |name: &str, value: Value| world.assertion_with(name, value);
    let cases: Vec<(String, &str, &str)> = vec![
        (other("iss", json!("https://nobody.example")), "assertion_untrusted", "no issuer"),
        (other("exp", json!(iat - 9)), "invalid_assertion", "expired: exp was"),
        (other("exp", json!(iat + 400)), "invalid_assertion", "it lives 400 s, at most 300 s are allowed"),
        (other("aud", json!("https://other.example")), "invalid_assertion", "aud is 'https://other.example'"),
        (other("jti", Value::Null), "invalid_assertion", "jti is missing or malformed"),
        (other("act", json!({ "sub": "a" })), "invalid_assertion", "it has the claim act"),
        (world.server.token(), "invalid_assertion", "type"),
        (format!("{used}A"), "invalid_assertion", ""),
        (other("client_id", json!("other")), "assertion_of_another_client", "not the client that sent it"),
        (other("sub", json!("somebody")), "unmapped", "the host knows nobody of this name"),
        (other("sub", json!("idp|nobody")), "unknown_user", "the person is unknown here"),
        (disabled, "user_disabled", "the person is disabled"),
        (other("sub", json!("idp|client:x")), "reserved_user", "user id is that of a client"),
        (used.clone(), "assertion_used", "it was used before"),
    ];
    for (assertion, reason, detail) in &cases {
        assert!(is_refused(&world.present(assertion).await), "{reason}");
        let lines = refusals(&record);
        let line = lines.last().unwrap();
        assert_eq!(line["reason"], *reason, "{line}");
        assert!(line["detail"].as_str().unwrap().contains(detail), "{detail}: {line}");
        let is_signed = !["assertion_untrusted", "invalid_assertion"].contains(reason);
        assert_eq!(
            line.get("subject").is_some(),
            is_signed,
            "whom it is about is proved by the signature: {line}"
        );
        assert!(line.get("charged").is_none(), "the limits are off: {line}");
    }
    assert_eq!(refusals(&record).len(), cases.len(), "one line for each");
    let refused: Vec<_> =
        record.audit().into_iter().filter(|event| event["event"] == "assertion_refused").collect();
    assert_eq!(refused.len(), cases.len());
    assert!(refused.iter().all(|event| event["client_id"] == AGENT), "{refused:?}");
    let text = record.text();
    for assertion in cases.iter().map(|(assertion, ..)| assertion) {
        let (body, signature) = assertion.rsplit_once('.').unwrap();
        assert!(!text.contains(body) && !text.contains(signature), "an assertion was logged");
    }
}

#[tokio::test]
async fn who_got_access_by_which_issuer_is_an_audit_event() {
    let settings = IdentityAssertions::new().register_unknown_people("chat");
    let world = World::with(|issuer| issuer.identity_assertions(settings)).await;
    let record = Record::default();
    let _listening = record.listen();
    let answer: Answer = world.present(&world.assertion_with("sub", json!("idp|bob"))).await;
    let session = claims_of(&answer.text("access_token"))["sid"].clone();
    let audit = record.audit();
    let of =
        |name: &str| audit.iter().find(|event| event["event"] == name).unwrap_or_else(|| panic!("no {name}"));
    let issuer = json!(world.server.issuer());
    for event in [of("user_registered"), of("assertion_accepted")] {
        let told = [&event["user_id"], &event["client_id"], &event["issuer"], &event["subject"]];
        assert_eq!(told, [&json!("bob"), &json!(AGENT), &issuer, &json!("idp|bob")]);
    }
    assert_eq!(of("assertion_accepted")["session_id"], session);
}

#[tokio::test]
async fn what_a_request_asks_for_beyond_the_assertion_is_told_too() {
    let world = World::start().await;
    let record = Record::default();
    let _listening = record.listen();
    for (more, reason) in
        [(("scope", "tools"), "scopes"), (("resource", "https://gateway.example/files"), "wrong_resource")]
    {
        let answer =
            present(&world.gateway, &world.sign(&with(world.claims(), "resource", json!(MCP))), &[more])
                .await;
        assert_eq!(answer.status, 400, "{answer:?}");
        let lines = refusals(&record);
        assert_eq!(lines.last().unwrap()["reason"], reason, "{lines:?}");
    }
}
