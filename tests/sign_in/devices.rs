//! The page of a person's devices.

use http::StatusCode;

use super::given::{EDITOR, authorize, code, decide, gateway, html, open, poll, redeem, start, submit};
use crate::support::Backend;
use crate::support::gateway::Gateway;

crate::store::promises![
    a_person_sees_their_devices_and_ends_one,
    a_person_ends_all_devices,
    all_others_end_and_the_browsers_own_session_lives,
    nobody_ends_a_device_of_another_person,
];

async fn token(gateway: &Gateway, person: &str) -> String {
    let code = code(gateway, person, &authorize(&[])).await;
    redeem(gateway, EDITOR, &code, &[]).await.text("access_token")
}

fn session(token: &str) -> String {
    crate::oauth::given::claims(token)["sid"].as_str().unwrap().to_owned()
}

async fn a_person_sees_their_devices_and_ends_one(db: impl Backend) {
    let gateway = gateway(&db).await;
    let (first, second) = (token(&gateway, "alice").await, gateway.link("alice").await);
    let page = open(&gateway, "alice", "/devices").await;
    for text in [session(&first).as_str(), session(&second).as_str(), "The Editor"] {
        assert!(html(&page).contains(text), "{text}");
    }
    let ended = submit(&gateway, "alice", "/devices", &[("end", &session(&first))]).await;
    assert_eq!(ended.status, StatusCode::OK, "{ended:?}");
    assert!(!html(&ended).contains(&session(&first)));
    assert!(!gateway.admits(&first).await && gateway.admits(&second).await);
    let again = submit(&gateway, "alice", "/devices", &[("end", &session(&first))]).await;
    assert_eq!(again.status, StatusCode::OK);
}

async fn a_person_ends_all_devices(db: impl Backend) {
    let gateway = gateway(&db).await;
    let (first, second) = (token(&gateway, "alice").await, gateway.link("alice").await);
    let of_bob = gateway.link("bob").await;
    let ended = submit(&gateway, "alice", "/devices", &[("end_others", "yes")]).await;
    assert_eq!(ended.status, StatusCode::OK, "{ended:?}");
    assert!(!gateway.admits(&first).await && !gateway.admits(&second).await);
    assert!(gateway.admits(&of_bob).await);
}

async fn all_others_end_and_the_browsers_own_session_lives(db: impl Backend) {
    let gateway = gateway(&db).await;
    let (own, other) = (gateway.link("alice").await, token(&gateway, "alice").await);
    let of_bob = gateway.link("bob").await;
    let uncollected = code(&gateway, "alice", &authorize(&[])).await;
    let codes = start(&gateway, EDITOR, &[]).await;
    decide(&gateway, "alice", &codes, "allow").await;
    let browser = format!("alice; session={}", session(&own));
    let page = open(&gateway, &browser, "/devices").await;
    assert_eq!(html(&page).matches("class=\"badge\"").count(), 1, "{page:?}");
    let ended = submit(&gateway, &browser, "/devices", &[("end_others", "yes")]).await;
    assert_eq!(ended.status, StatusCode::OK, "{ended:?}");
    assert!(html(&ended).contains(&session(&own)) && !html(&ended).contains(&session(&other)));
    assert!(gateway.admits(&own).await && gateway.admits(&of_bob).await);
    assert!(!gateway.admits(&other).await);
    let redeemed = redeem(&gateway, EDITOR, &uncollected, &[]).await;
    assert_eq!(redeemed.status, StatusCode::BAD_REQUEST, "{redeemed:?}");
    let collected = poll(&gateway, EDITOR, &codes).await;
    assert_eq!((collected.status, &*collected.text("error")), (StatusCode::BAD_REQUEST, "invalid_grant"));
}

async fn nobody_ends_a_device_of_another_person(db: impl Backend) {
    let gateway = gateway(&db).await;
    let of_bob = gateway.link("bob").await;
    for session in [session(&of_bob).as_str(), "", "x y", "../bob"] {
        let answer = submit(&gateway, "alice", "/devices", &[("end", session)]).await;
        assert!([200, 400].contains(&answer.status.as_u16()), "{answer:?}");
    }
    assert!(gateway.admits(&of_bob).await);
    let both = [("end", "x"), ("end_others", "yes")];
    assert_eq!(submit(&gateway, "bob", "/devices", &both).await.status, StatusCode::BAD_REQUEST);
    assert!(gateway.admits(&of_bob).await);
}
