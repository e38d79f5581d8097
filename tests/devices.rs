//! What a person sees of their own devices, and what the log tells of one that had to go.

use std::time::Duration;

use bridge_auth::store::{Revoke, SessionLimit, WhenFull};
use bridge_auth::{Bridge, BridgeBuilder, UserId};
use http::header::{COOKIE, USER_AGENT};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::oauth::given::{Hook, hook_of, oauth_builder};
use crate::store::delegated::hang;
use crate::store::given::session_id;
use crate::support::bridge::builder;
use crate::support::gateway::{Gateway, PREFIX, send};
use crate::support::record::Record;
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    every_device_is_on_one_page_with_what_hangs_on_it,
    hundreds_of_hook_tokens_leave_a_device_one_entry,
    a_device_says_how_many_delegated_sessions_it_has,
    at_the_limit_the_least_recently_renewed_device_goes,
];

const MINUTE: Duration = Duration::from_secs(60);

/// All devices that the bridge with `token` sees, page by page.
async fn listed(gateway: &Gateway, token: &str, limit: usize) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("{PREFIX}/sessions?limit={limit}{cursor}");
        let answer = gateway.call(Method::GET, &path, token).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        pages.push(answer.json()["sessions"].as_array().unwrap().clone());
        match &answer.json()["next_cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            next => {
                assert!(next.is_null(), "{next}");
                return pages;
            }
        }
    }
}

/// Links a bridge that calls itself `agent`; its token.
async fn link_as(gateway: &Gateway, agent: &str, session: &str) -> String {
    let code = gateway.code("alice").await;
    let request = gateway.post("/session", &json!({ "code": code }));
    let answer = send(request.header(USER_AGENT, agent).header("x-session-id", session)).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.text("token")
}

async fn every_device_is_on_one_page_with_what_hangs_on_it(db: impl Backend) {
    let gateway = Gateway::over(oauth_builder(&db).await.build().unwrap()).await;
    let mut tokens = Vec::new();
    for n in 0..7 {
        tokens.push(link_as(&gateway, &format!("editor/{n}"), &format!("laptop-{n}")).await);
        db.pass_time(MINUTE).await;
    }
    gateway.link("bob").await;
    let hook = hook_of(&gateway, &tokens[3]).await;
    hook.token(&gateway).await;
    for limit in [1, 2, 7, 1000] {
        let pages = listed(&gateway, &tokens[6], limit).await;
        assert!(pages.iter().all(|page| page.len() <= limit));
        let devices: Vec<_> = pages.concat();
        let mut seen: Vec<_> = devices.iter().map(|device| device["origin"]["user_agent"].clone()).collect();
        seen.sort_by_key(ToString::to_string);
        let expected: Vec<_> = (0..7).map(|n| json!(format!("editor/{n}"))).collect();
        assert_eq!(seen, expected, "each once");
        for device in devices {
            let with_hooks = device["id"] == "laptop-3";
            assert_eq!(device["secret_since"].is_u64(), with_hooks, "{device}");
            assert_eq!(device["hook_session"]["id"].is_string(), with_hooks, "{device}");
            assert!(device["key_since"].is_null(), "{device}");
            assert_eq!(device["current"], device["id"] == "laptop-6", "{device}");
            assert!(device["ends_at"].as_u64() >= device["expires_at"].as_u64(), "{device}");
        }
    }
    let operators = gateway.operate(Method::GET, "/users/alice/sessions?limit=3").await.json();
    assert_eq!(operators["sessions"].as_array().unwrap().len(), 3);
    assert!(operators["next_cursor"].is_string());
    for bad in ["limit=0", "limit=1001", "limit=x", "cursor=x", "cursor="] {
        let answer = gateway.call(Method::GET, &format!("{PREFIX}/sessions?{bad}"), &tokens[6]).await;
        assert!(answer.is_problem(400, "invalid_request"), "{bad} {answer:?}");
    }
}

async fn hundreds_of_hook_tokens_leave_a_device_one_entry(db: impl Backend) {
    let builder = oauth_builder(&db).await.rate_limits(bridge_auth::rate_limit::RateLimits::off());
    let gateway = Gateway::over(builder.build().unwrap()).await;
    let token = gateway.link("alice").await;
    let hook: Hook = hook_of(&gateway, &token).await;
    for _ in 0..300 {
        hook.token(&gateway).await;
    }
    let [device] = &listed(&gateway, &token, 100).await.concat()[..] else { panic!("one device") };
    assert!(device["hook_session"]["id"].is_string(), "{device}");
    let [hooked] = &listed(&gateway, &gateway.link("bob").await, 100).await.concat()[..] else {
        panic!("bob's own alone")
    };
    assert!(hooked["hook_session"].is_null());
}

async fn a_device_says_how_many_delegated_sessions_it_has(db: impl Backend) {
    let gateway = Gateway::over(builder(&db).await.build().unwrap()).await;
    let token = link_as(&gateway, "editor/1", "laptop").await;
    link_as(&gateway, "editor/2", "desktop").await;
    let (store, alice) = (db.open().await, UserId::parse("alice").unwrap());
    let planner = hang(&*store, &alice, &session_id("laptop"), "planner").await;
    hang(&*store, &alice, &planner, "reader").await;
    let shown = async || {
        let operators = gateway.operate(Method::GET, "/users/alice/sessions").await.json();
        let own = listed(&gateway, &token, 100).await.concat();
        assert_eq!(operators["sessions"].as_array().unwrap().len(), own.len());
        for listed in [&own, operators["sessions"].as_array().unwrap()] {
            let desktop = listed.iter().find(|device| device["id"] == "desktop").unwrap();
            assert!(desktop["delegated_sessions"].is_null(), "{desktop}");
        }
        own.iter().find(|device| device["id"] == "laptop").unwrap()["delegated_sessions"].clone()
    };
    assert_eq!(shown().await, json!(2));
    store.revoke(&Revoke::Session(planner)).await.unwrap();
    assert_eq!(shown().await, Value::Null);
}

fn two_sessions(builder: BridgeBuilder) -> Bridge {
    builder.session_limit(SessionLimit::new(2, WhenFull::Evict)).build().unwrap()
}

async fn at_the_limit_the_least_recently_renewed_device_goes(db: impl Backend) {
    let gateway = Gateway::over(two_sessions(builder(&db).await)).await;
    let oldest = link_as(&gateway, "editor/1", "laptop").await;
    db.pass_time(MINUTE).await;
    let idle = link_as(&gateway, "editor/2", "desktop").await;
    db.pass_time(MINUTE).await;
    let oldest_again = link_as(&gateway, "editor/1", "laptop").await;
    let third = link_as(&gateway, "editor/3", "phone").await;
    for (token, is_in) in [(&oldest, true), (&oldest_again, true), (&third, true), (&idle, false)] {
        assert_eq!(gateway.admits(token).await, is_in);
    }
}

#[tokio::test]
async fn the_log_tells_whose_device_went_which_and_for_which() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::over(two_sessions(builder(&db).await)).await;
    let record = Record::default();
    let listening = record.listen();
    for session in ["laptop", "desktop", "phone"] {
        link_as(&gateway, "editor/1", session).await;
        db.pass_time(MINUTE).await;
    }
    drop(listening);
    let audit = record.audit();
    let evicted: Vec<_> = audit.iter().filter(|fields| fields["event"] == "session_evicted").collect();
    let [evicted] = evicted[..] else { panic!("one is: {audit:?}") };
    assert_eq!(
        (&evicted["user_id"], &evicted["session_id"], &evicted["by_session_id"]),
        (&json!("alice"), &json!("laptop"), &json!("phone"))
    );
}

#[tokio::test]
async fn what_would_make_one_device_pass_for_another_is_dropped_from_its_name() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    let code = send(gateway.post("/code", &json!({})).header(COOKIE, "login=alice")).await.text("code");
    let names = json!({ "code": code, "device_name": "lap\u{202e}pot\u{200b} of alice" });
    let linked = send(gateway.post("/session", &names).header(USER_AGENT, "ed\u{202e}itor\u{200b}/1")).await;
    assert_eq!(linked.status, StatusCode::OK, "{linked:?}");
    let [device] = &listed(&gateway, &linked.text("token"), 10).await.concat()[..] else { panic!("one") };
    assert_eq!(device["origin"], json!({ "user_agent": "editor/1", "device_name": "lappot of alice" }));
}
