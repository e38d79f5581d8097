//! The consent page: one decision for each page that was shown, by the person who saw it.

use bridge_auth::issue::RegisteredClient;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use futures_util::future::join_all;
use http::StatusCode;

use super::given::{
    CALLBACK, EDITOR, authorize, consent, form, gateway, html, location, member, open, redeem, submit,
    ticket, with_pages, with_sign_in,
};
use crate::support::bridge::builder_with;
use crate::support::gateway::{Gateway, send};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    row_l11_a_ticket_decides_once_whatever_it_decides,
    row_l11_of_64_answers_on_one_page_one_counts,
    row_l11_two_tabs_do_not_disturb_each_other,
    a_person_who_was_disabled_meanwhile_gives_nothing,
    a_client_or_redirect_that_was_removed_meanwhile_gets_nothing,
];

async fn row_l11_a_ticket_decides_once_whatever_it_decides(db: impl Backend) {
    let gateway = gateway(&db).await;
    for (first, second) in [("allow", "allow"), ("allow", "deny"), ("deny", "allow"), ("deny", "deny")] {
        let request = authorize(&[]);
        let ticket = ticket(&open(&gateway, "alice", &request).await);
        let answer = submit(&gateway, "alice", &request, &[("ticket", &ticket), ("decision", first)]).await;
        let url = location(&answer);
        let error = (first == "deny").then_some("access_denied");
        assert_eq!(member(&url, "error").as_deref(), error, "{url}");
        assert_eq!(member(&url, "code").is_some(), first == "allow");
        assert_eq!(member(&url, "state").as_deref(), Some("xyz"));
        let again = submit(&gateway, "alice", &request, &[("ticket", &ticket), ("decision", second)]).await;
        assert_eq!(again.status, StatusCode::CONFLICT, "{first} {second} {again:?}");
        html(&again);
    }
}

async fn row_l11_of_64_answers_on_one_page_one_counts(db: impl Backend) {
    let gateway = gateway(&db).await;
    let request = authorize(&[]);
    let ticket = ticket(&open(&gateway, "alice", &request).await);
    let answers = (0..64).map(async |number| {
        let decision = if number % 2 == 0 { "allow" } else { "deny" };
        submit(&gateway, "alice", &request, &[("ticket", &ticket), ("decision", decision)]).await.status
    });
    let answers = join_all(answers).await;
    assert_eq!(answers.iter().filter(|status| **status == StatusCode::SEE_OTHER).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|status| [303, 409].contains(&status.as_u16())), "{answers:?}");
    assert!(db.count("codes").await <= 1);
}

async fn row_l11_two_tabs_do_not_disturb_each_other(db: impl Backend) {
    let gateway = gateway(&db).await;
    let (one, two) = (authorize(&[("state", Some("one"))]), authorize(&[("state", Some("two"))]));
    let first = ticket(&open(&gateway, "alice", &one).await);
    let second = ticket(&open(&gateway, "alice", &two).await);
    assert_ne!(first, second);
    // The form of one tab is answered with what that tab showed, whatever its address says.
    for (ticket, request, state) in [(&first, &two, "one"), (&second, &one, "two")] {
        let answer = submit(&gateway, "alice", request, &[("ticket", ticket), ("decision", "allow")]).await;
        let url = location(&answer);
        assert_eq!(member(&url, "state").as_deref(), Some(state));
        let tokens = redeem(&gateway, EDITOR, &member(&url, "code").unwrap(), &[]).await;
        assert_eq!(tokens.status, StatusCode::OK, "{tokens:?}");
    }
}

async fn a_person_who_was_disabled_meanwhile_gives_nothing(db: impl Backend) {
    let gateway = gateway(&db).await;
    let _ = gateway.link("alice").await;
    let request = authorize(&[]);
    let ticket = ticket(&open(&gateway, "alice", &request).await);
    assert_eq!(
        gateway.operate(http::Method::POST, "/users/alice/disable").await.status,
        StatusCode::NO_CONTENT
    );
    let refused = submit(&gateway, "alice", &request, &[("ticket", &ticket), ("decision", "allow")]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
}

async fn a_client_or_redirect_that_was_removed_meanwhile_gets_nothing(db: impl Backend) {
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    let before = with_sign_in(builder_with(&db, keys.clone()).await).build().unwrap();
    let before = Gateway::over(before).await;
    let without = with_pages(builder_with(&db, keys.clone()).await);
    let moved = RegisteredClient::new(EDITOR, "The Editor").redirect_uri("https://editor.example/moved");
    let moved = with_pages(builder_with(&db, keys).await).client(moved);
    let request = authorize(&[]);
    let ticket = ticket(&open(&before, "alice", &request).await);
    for changed in [without, moved] {
        let changed = Gateway::over(changed.build().unwrap()).await;
        for decision in ["allow", "deny"] {
            let fields = [("ticket", &*ticket), ("decision", decision)];
            let refused = submit(&changed, "alice", &request, &fields).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{decision}: {refused:?}");
            html(&refused);
        }
    }
    assert_eq!(db.count("codes").await, 0);
    // Nothing of this has used the ticket up.
    let answer = submit(&before, "alice", &request, &[("ticket", &ticket), ("decision", "allow")]).await;
    assert!(member(&location(&answer), "code").is_some());
}

#[tokio::test]
async fn consent_is_asked_each_time_and_says_who_asks_for_what() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    for _ in 0..2 {
        let shown = open(&gateway, "alice", &authorize(&[("scope", Some("chat"))])).await;
        let html = html(&shown);
        for text in ["The Editor", "editor.example", "alice", "chat", "The Gateway"] {
            assert!(html.contains(text), "{text}: {html}");
        }
        let answer = consent(&gateway, "alice", &authorize(&[]), "allow").await;
        assert!(location(&answer).as_str().starts_with(CALLBACK));
    }
}

#[tokio::test]
async fn row_l11_a_decision_of_another_site_person_or_page_counts_for_nothing() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let request = authorize(&[]);
    let of_alice = ticket(&open(&gateway, "alice", &request).await);
    let fields = [("ticket", &*of_alice), ("decision", "allow")];
    let mut forged = form(&gateway, &request, &fields).header("cookie", "login=alice").build().unwrap();
    forged.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    forged.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
    let answer = reqwest::Client::new().execute(forged).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let of_another = submit(&gateway, "mallory", &request, &fields).await;
    assert_eq!(of_another.status, StatusCode::BAD_REQUEST, "{of_another:?}");
    for decision in [
        &[("ticket", &*of_alice)][..],
        &[("decision", "allow")],
        &[("ticket", &*of_alice), ("decision", "x")],
    ] {
        assert_eq!(submit(&gateway, "alice", &request, decision).await.status, StatusCode::BAD_REQUEST);
    }
    let signed_out = send(form(&gateway, &request, &fields)).await;
    assert_eq!(signed_out.status, StatusCode::SEE_OTHER);
    assert!(signed_out.header("location").starts_with("/login?return_to="));
    // Nothing of this has used the ticket up.
    let answer = submit(&gateway, "alice", &request, &fields).await;
    assert!(member(&location(&answer), "code").is_some());
}
