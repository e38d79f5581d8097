//! The page on which a person types the code of a program.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use bridge_auth::rate_limit::RateLimits;
use http::{Method, StatusCode};

use super::given::{
    EDITOR, browse, decide, form, gateway, html, member, open, poll, sign_in_builder, start, submit, ticket,
};
use crate::support::gateway::{Gateway, PREFIX, send};
use crate::support::{Backend, SqliteBackend};

#[tokio::test]
async fn somebody_who_is_not_signed_in_comes_back_with_the_code() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let answer = send(browse(&gateway, Method::GET, "/device?user_code=BCDF-GHJK")).await;
    let base = "https://gateway.example".parse::<url::Url>().unwrap();
    let login = base.join(answer.header("location")).unwrap();
    assert_eq!((answer.status, login.path()), (StatusCode::SEE_OTHER, "/login"));
    let back = format!("{PREFIX}/device?user_code=BCDF-GHJK");
    assert_eq!(member(&login, "return_to"), Some(back));
}

#[tokio::test]
async fn row_l5_the_page_shows_the_program_and_its_place_and_changes_nothing() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let codes = start(&gateway, EDITOR, &[("scope", "chat")]).await;
    let page = format!("/device?user_code={}", codes.user.to_lowercase().replace('-', ""));
    for _ in 0..3 {
        let shown = open(&gateway, "alice", &page).await;
        let html = html(&shown);
        for text in ["The Editor", &codes.user, "alice", "chat"] {
            assert!(html.contains(text), "{text}: {html}");
        }
    }
    let pending = poll(&gateway, EDITOR, &codes).await;
    assert!(pending.is_oauth_error(400, "authorization_pending"), "{pending:?}");
    let without_ticket = [("user_code", codes.user.as_str()), ("decision", "allow")];
    let answer = submit(&gateway, "alice", &page, &without_ticket).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let head = gateway.request(Method::HEAD, &format!("{PREFIX}{page}")).header("cookie", "login=alice");
    assert_eq!(send(head).await.status, StatusCode::OK);
    assert_eq!(decide(&gateway, "alice", &codes, "allow").await.status, StatusCode::OK);
    assert_eq!(poll(&gateway, EDITOR, &codes).await.status, StatusCode::OK);
}

#[tokio::test]
async fn row_l17_every_page_has_its_headers() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let codes = start(&gateway, EDITOR, &[]).await;
    let confirm = format!("/device?user_code={}", codes.user);
    let request = super::given::authorize(&[]);
    let broken = super::given::authorize(&[("client_id", Some("nobody"))]);
    for page in ["/device", "/device?user_code=x", &confirm, "/devices", &request, &broken] {
        let answer = open(&gateway, "alice", page).await;
        html(&answer);
        let policy = answer.header("content-security-policy");
        for directive in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(directive), "{page} {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
}

#[tokio::test]
async fn a_ticket_is_for_one_person_one_code_and_one_kind_of_page() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let codes = start(&gateway, EDITOR, &[]).await;
    let shown = open(&gateway, "mallory", &format!("/device?user_code={}", codes.user)).await;
    let of_mallory = ticket(&shown);
    let consent = ticket(&open(&gateway, "alice", &super::given::authorize(&[])).await);
    let token = gateway.link("alice").await;
    for ticket in [of_mallory.as_str(), consent.as_str(), token.as_str(), "", "x", "a.b.c"] {
        let answer = submit(&gateway, "alice", "/device", &[("ticket", ticket), ("decision", "allow")]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    }
    let whatever = [("ticket", &*of_mallory), ("decision", "maybe")];
    assert_eq!(submit(&gateway, "mallory", "/device", &whatever).await.status, StatusCode::BAD_REQUEST);
    assert!(poll(&gateway, EDITOR, &codes).await.is_oauth_error(400, "authorization_pending"));
    // A ticket is no token either.
    assert!(!gateway.admits(&of_mallory).await);
}

#[tokio::test]
async fn row_l5_a_form_of_another_site_decides_nothing() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let codes = start(&gateway, EDITOR, &[]).await;
    let shown = open(&gateway, "alice", &format!("/device?user_code={}", codes.user)).await;
    let fields = [("ticket", &*ticket(&shown)), ("decision", "allow")];
    let client = reqwest::Client::new();
    for (origin, site) in [
        ("https://evil.example", "cross-site"),
        ("null", "cross-site"),
        ("https://evil.gateway.example", "same-site"),
        ("https://evil.example", "same-origin"),
    ] {
        let request = form(&gateway, "/device", &fields).header("cookie", "login=alice").build().unwrap();
        let mut request = request;
        request.headers_mut().insert("origin", origin.parse().unwrap());
        request.headers_mut().insert("sec-fetch-site", site.parse().unwrap());
        let answer = client.execute(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{origin} {site}");
    }
    assert!(poll(&gateway, EDITOR, &codes).await.is_oauth_error(400, "authorization_pending"));
}

#[tokio::test]
async fn row_l4_ten_thousand_guesses_of_many_people_find_nothing_and_are_refused() {
    let db = SqliteBackend::start().await;
    // No address is known here, so only the limit of all together can stop them.
    let limits = RateLimits::default().codes_per_person(10_000_000).user_codes(400);
    let bridge = sign_in_builder(&db).await.rate_limits(limits).build().unwrap();
    let gateway = Gateway::over(bridge).await;
    let _waits = start(&gateway, EDITOR, &[]).await;
    let mut refused = 0;
    for number in 0..10_000_u32 {
        let code = guess(number);
        let answer = open(&gateway, &format!("guesser{number}"), &format!("/device?user_code={code}")).await;
        assert!(!html(&answer).contains("name=\"ticket\""), "{code}");
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            refused += 1;
            assert!(answer.headers.contains_key("retry-after"));
        }
    }
    assert!(refused > 9_900, "{refused} of 10 000 guesses were refused");
}

#[tokio::test]
async fn row_l4_an_address_that_guesses_is_refused_and_others_are_not() {
    let db = SqliteBackend::start().await;
    let limits = RateLimits::default().codes_per_person(10_000_000).user_codes(10_000_000);
    let bridge = sign_in_builder(&db)
        .await
        .rate_limits(limits)
        .peer_address(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()))
        .trusted_proxies(["127.0.0.1/32"]);
    let gateway = Gateway::over(bridge.build().unwrap()).await;
    let from = async |address: &str, number: u32| {
        let request = browse(&gateway, Method::GET, &format!("/device?user_code={}", guess(number)));
        let request = request.header("cookie", "login=alice").header("x-forwarded-for", address);
        send(request).await.status
    };
    let mut refused = 0;
    for number in 0..200 {
        refused += u32::from(from("203.0.113.1", number).await == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(refused > 130, "{refused} of 200 guesses were refused");
    let elsewhere = from("198.51.100.2", 0).await;
    assert_ne!(elsewhere, StatusCode::TOO_MANY_REQUESTS, "the same person, at another address");
}

/// The codes in their order.
fn guess(mut number: u32) -> String {
    let alphabet = b"BCDFGHJKLMNPQRSTVWXZ";
    let letters = (0..8).map(|_| {
        let letter = alphabet[(number % 20) as usize];
        number /= 20;
        char::from(letter)
    });
    letters.collect()
}

#[tokio::test]
async fn a_program_that_is_no_longer_registered_is_not_shown() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let codes = start(&gateway, EDITOR, &[]).await;
    let keys = bridge_auth::token::KeyRing::new(
        bridge_auth::token::SigningKey::generate(bridge_auth::token::Algorithm::EdDsa).unwrap(),
    );
    let builder = crate::support::bridge::builder_with(&db, keys.unwrap()).await;
    let url = |path: &str| format!("https://gateway.example{PREFIX}{path}");
    let without = builder
        .pages(bridge_auth::pages::Pages::new("/login"))
        .device_authorization_endpoint(url("/device_authorization"));
    let without = Gateway::over(without.build().unwrap()).await;
    let shown = open(&without, "alice", &format!("/device?user_code={}", codes.user)).await;
    assert_eq!(shown.status, StatusCode::BAD_REQUEST);
}
