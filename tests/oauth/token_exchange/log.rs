//! What the logs tell of exchanges: who acts for whom, and why an exchange was refused.

use http::Method;
use serde_json::{Value, json};

use super::{agent, by_bridge, exchange, exchanged, gateway};
use crate::oauth::given::claims;
use crate::support::gateway::PREFIX;
use crate::support::record::Record;
use crate::support::{Backend, SqliteBackend};

fn events<'r>(record: &'r [Value], name: &str) -> Vec<&'r Value> {
    record.iter().filter(|fields| fields["event"] == name).collect()
}

#[tokio::test]
async fn the_audit_log_names_the_person_and_every_actor_and_no_token() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let linked = gateway.link("alice").await;
    let record = Record::default();
    let tokens = {
        let _guard = record.listen();
        let first = exchanged(&gateway, &agent("planner"), &linked, &[]).await;
        let second = exchanged(&gateway, &agent("coder"), &first, &[("scope", "chat")]).await;
        let third = exchanged(&gateway, &agent("mimic"), &linked, &[]).await;
        exchange(&gateway, &agent("plain"), &second, &[]).await;
        exchange(&gateway, &agent("tester"), &second, &[("scope", "tools")]).await;
        exchange(&gateway, &agent("tester"), &second, &[("audience", "other")]).await;
        [linked.clone(), first, second, third]
    };
    let sids = tokens.each_ref().map(|token| claims(token)["sid"].clone());
    let audit = record.audit();
    let exchanges = events(&audit, "token_exchanged");
    for (said, (client, from, new, actor)) in exchanges.iter().zip([
        ("planner", 0, 1, json!("planner")),
        ("coder", 1, 2, json!("coder < planner")),
        ("mimic", 0, 3, Value::Null),
    ]) {
        assert_eq!(
            json!([
                said["user_id"],
                said["client_id"],
                said["from_session_id"],
                said["session_id"],
                said["actor"]
            ]),
            json!(["alice", client, sids[from], sids[new], actor]),
        );
    }
    assert_eq!(exchanges.len(), 3);
    let refused = events(&audit, "token_exchange_refused");
    let reasons: Vec<_> = refused.iter().map(|said| said["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["another_client", "scopes"]);
    for said in refused {
        assert_eq!(json!([said["user_id"], said["session_id"]]), json!(["alice", sids[2]]));
    }
    let text = record.text();
    for secret in tokens.iter().map(String::as_str).chain([super::SECRET]) {
        assert!(!text.contains(secret), "{secret} was logged");
    }
}

#[tokio::test]
async fn a_refused_request_of_a_delegated_token_names_its_actors_in_the_log() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let linked = gateway.link("alice").await;
    let first = exchanged(&gateway, &agent("planner"), &linked, &[]).await;
    let second = exchanged(&gateway, &agent("coder"), &first, &[]).await;
    let record = Record::default();
    let _guard = record.listen();
    gateway.call(Method::POST, &format!("{PREFIX}/logout"), &first).await;
    assert!(!gateway.admits(&second).await);
    let text = record.text();
    let line = text.lines().find(|line| line.contains("request refused")).unwrap();
    assert!(line.contains("coder < planner") && line.contains("session_revoked"), "{line}");
}

#[tokio::test]
async fn an_exchange_that_is_refused_tells_the_log_why_and_the_client_less() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let (alice, bob) = (gateway.link("alice").await, gateway.link("bob").await);
    let record = Record::default();
    let _guard = record.listen();
    let more = [("actor_token", &alice[..20]), ("actor_token_type", super::ACCESS)];
    let refused = [
        exchange(&gateway, &agent("planner"), &bob, &more).await,
        by_bridge(&gateway, "garbage", &[]).await,
        exchange(&gateway, &agent("plain"), &bob, &[]).await,
    ];
    assert!(refused.iter().all(|answer| answer.is_oauth_error(400, "invalid_request")), "{refused:?}");
    let text = record.text();
    for reason in ["actor_token_refused", "subject_token_refused", "another_client"] {
        assert!(text.contains(reason), "{reason} is not in {text}");
    }
}
