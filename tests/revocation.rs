//! What ends a session, over HTTP: the next request is refused, on every gateway.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http::{Method, StatusCode};

use crate::support::{Backend, ListedByAdmin as _};
use crate::support::bridge::{access, builder_with, user};
use crate::support::gateway::{Answer, Gateway, PREFIX};

crate::store::promises![
    logging_out_ends_this_session_alone,
    ending_another_of_ones_sessions_ends_it_everywhere,
    an_operator_ends_one_or_all,
    disabling_a_person_ends_all_and_enabling_brings_nothing_back,
    a_session_that_expires_ends,
    every_end_looks_the_same_to_the_bridge,
    people_whose_ids_look_alike_are_not_each_other,
    what_is_sent_after_a_revocation_was_acknowledged_is_refused_on_every_gateway,
];

/// Two gateways on one database, with the same keys.
async fn gateways(db: &impl Backend) -> [Gateway; 2] {
    let first = Gateway::start(db).await;
    let keys = first.bridge.keys().clone();
    let second = Gateway::over(builder_with(db, keys).await.build().unwrap()).await;
    [first, second]
}

async fn is_refused_by_both(gateways: &[Gateway; 2], token: &str) -> bool {
    !gateways[0].admits(token).await && !gateways[1].admits(token).await
}

async fn logging_out_ends_this_session_alone(db: impl Backend) {
    let gateways = gateways(&db).await;
    let (leaving, staying) = (gateways[0].link("alice").await, gateways[0].link("alice").await);
    assert!(gateways[1].admits(&leaving).await);
    let answer = gateways[1].call(Method::POST, &format!("{PREFIX}/logout"), &leaving).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::NO_CONTENT, 0), "{answer:?}");
    assert!(is_refused_by_both(&gateways, &leaving).await);
    assert!(gateways[1].admits(&staying).await);
    let again = gateways[0].call(Method::POST, &format!("{PREFIX}/logout"), &leaving).await;
    assert_eq!(again.status, StatusCode::UNAUTHORIZED);
}

async fn ending_another_of_ones_sessions_ends_it_everywhere(db: impl Backend) {
    let gateways = gateways(&db).await;
    let lost = gateways[0].exchange(&gateways[0].code("alice").await).await;
    let session = lost.json()["headers"]["x-session-id"].as_str().unwrap().to_owned();
    let mine = gateways[1].link("alice").await;
    let ended = gateways[1].call(Method::DELETE, &format!("{PREFIX}/sessions/{session}"), &mine).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT, "{ended:?}");
    assert!(is_refused_by_both(&gateways, &lost.text("token")).await);
    let listed = gateways[0].call(Method::GET, &format!("{PREFIX}/sessions"), &mine).await;
    assert_eq!(listed.json()["sessions"].as_array().unwrap().len(), 1);
}

async fn an_operator_ends_one_or_all(db: impl Backend) {
    let gateways = gateways(&db).await;
    let one = gateways[0].exchange(&gateways[0].code("alice").await).await;
    let session = one.json()["headers"]["x-session-id"].as_str().unwrap().to_owned();
    let (another, bobs) = (gateways[0].link("alice").await, gateways[0].link("bob").await);
    gateways[1].operate(Method::DELETE, &format!("/sessions/{session}")).await;
    assert!(is_refused_by_both(&gateways, &one.text("token")).await);
    assert!(gateways[0].admits(&another).await);
    let waiting = gateways[0].code("alice").await;
    gateways[1].operate(Method::DELETE, "/users/alice/sessions").await;
    assert!(is_refused_by_both(&gateways, &another).await);
    assert_eq!(gateways[0].exchange(&waiting).await.status, StatusCode::BAD_REQUEST, "open codes go too");
    assert!(gateways[0].admits(&bobs).await);
}

async fn disabling_a_person_ends_all_and_enabling_brings_nothing_back(db: impl Backend) {
    let gateways = gateways(&db).await;
    let token = gateways[0].link("alice").await;
    for action in ["disable", "enable"] {
        let done = gateways[1].operate(Method::POST, &format!("/users/alice/{action}")).await;
        assert_eq!(done.status, StatusCode::NO_CONTENT, "{action}");
        assert!(is_refused_by_both(&gateways, &token).await, "{action}");
    }
    let new = gateways[0].link("alice").await;
    assert!(gateways[1].admits(&new).await);
}

async fn a_session_that_expires_ends(db: impl Backend) {
    let gateways = gateways(&db).await;
    let token = gateways[0].link("alice").await;
    db.pass_time(Duration::from_secs(24 * 3600 - 30)).await;
    assert!(gateways[0].admits(&token).await);
    db.pass_time(Duration::from_secs(31)).await;
    assert!(is_refused_by_both(&gateways, &token).await);
}

async fn every_end_looks_the_same_to_the_bridge(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let call = |token: String| {
        let gateway = &gateway;
        async move { gateway.call(Method::GET, "/v1/echo", &token).await }
    };
    let forged: Answer = call("eyJ0eXAiOiJhdCtqd3QifQ.e30.AA".to_owned()).await;
    assert_eq!((forged.status, forged.text("code").as_str()), (StatusCode::UNAUTHORIZED, "invalid_token"));
    let revoked = gateway.link("alice").await;
    gateway.bridge.admin().revoke_user(&user("alice")).await.unwrap();
    assert_eq!(call(revoked).await, forged);
    let expired = gateway.link("bob").await;
    db.pass_time(Duration::from_secs(24 * 3600 + 1)).await;
    assert_eq!(call(expired.clone()).await, forged);
    db.pass_time(Duration::from_secs(24 * 3600)).await;
    gateway.bridge.admin().sweep(|_| ()).await.unwrap();
    assert_eq!(call(expired).await, forged, "the row is gone");
}

async fn people_whose_ids_look_alike_are_not_each_other(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    // Cyrillic, full-width, in capitals, and one letter in two forms that Unicode holds equal.
    let names = ["alice", "\u{430}lice", "\u{ff41}lice", "Alice", "alic\u{e9}", "alice\u{301}", "alic%C3%A9"];
    let mut accesses = Vec::new();
    for name in names {
        accesses.push(access(&gateway.bridge, name, "chat").await);
    }
    let mut seen = HashSet::new();
    for (name, access) in names.iter().zip(&accesses) {
        assert_eq!(gateway.bridge.admin().sessions_of(&user(name)).await.unwrap().len(), 1, "{name}");
        let answer = gateway.call(Method::GET, "/v1/echo", access.token.expose()).await;
        assert_eq!(answer.text("user_id"), *name);
        assert!(seen.insert(answer.json()["headers"]["x-user-id"].to_string()), "{name}");
    }
    gateway.bridge.admin().disable_user(&user("alice")).await.unwrap();
    gateway.bridge.admin().disable_user(&user("alic\u{e9}")).await.unwrap();
    for (name, access) in names.iter().zip(&accesses) {
        let is_disabled = ["alice", "alic\u{e9}"].contains(name);
        assert_eq!(gateway.admits(access.token.expose()).await, !is_disabled, "{name}");
    }
}

async fn what_is_sent_after_a_revocation_was_acknowledged_is_refused_on_every_gateway(db: impl Backend) {
    let gateways = gateways(&db).await;
    for _ in 0..5 {
        let linked = gateways[0].exchange(&gateways[0].code("alice").await).await;
        let token = linked.text("token");
        let session = linked.json()["headers"]["x-session-id"].as_str().unwrap().parse().unwrap();
        let (admitted, acknowledged) = (AtomicUsize::new(0), AtomicBool::new(false));
        // Each goes on calling until one that it sent after the acknowledgement was answered.
        let callers = (0..8).map(|caller| {
            let (gateway, token) = (&gateways[caller % 2], &token);
            let (admitted, acknowledged) = (&admitted, &acknowledged);
            async move {
                while !acknowledged.load(Ordering::SeqCst) {
                    admitted.fetch_add(usize::from(gateway.admits(token).await), Ordering::SeqCst);
                }
                assert!(!gateway.admits(token).await, "refused when sent after it");
            }
        });
        let revoking = async {
            while admitted.load(Ordering::SeqCst) < 16 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            gateways[1].bridge.admin().revoke_session(&session).await.unwrap();
            acknowledged.store(true, Ordering::SeqCst);
        };
        let all = async { tokio::join!(join_all(callers), revoking) };
        tokio::time::timeout(Duration::from_secs(30), all).await.expect("let in while it was live");
    }
}
