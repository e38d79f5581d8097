//! A program without a browser is let in by its code (RFC 8628).

use std::time::Duration;

use browser_tests::browser::Browser;
use browser_tests::gateway::{ALLOW, DENY, Gateway};
use tokio::time::sleep;

#[tokio::test]
async fn a_person_types_the_code_of_a_program_and_lets_it_in() {
    let gateway = Gateway::start(&[]).await;
    let waiting = gateway.ask().await;
    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "alice").await;

    browser.visit(waiting.page()).await;
    browser.is_good("device").await;
    browser.fill("input[name=user_code]", &waiting.user_code().replace('-', "").to_lowercase()).await;
    browser.press("main form button").await;

    let page = browser.text().await;
    for shown in [waiting.user_code(), "Example bridge", "127.0.0.1", "bridge/0.1 (Linux)", "alice"] {
        assert!(page.contains(shown), "{shown} is not in {page}");
    }
    assert!(page.contains("Write to your audit track"), "{page}");
    browser.is_good("device-confirm").await;
    browser.press(ALLOW).await;

    assert_eq!(browser.heading().await, "Device connected");
    browser.is_good("device-connected").await;
    let access = gateway.collect(&waiting).await;
    assert_eq!(gateway.caller(&access).await, "alice");
    assert_eq!(access["scope"], "hook:track");
}

#[tokio::test]
async fn row_l5_a_filled_in_code_lets_nobody_in_before_a_click() {
    let gateway = Gateway::start(&[]).await;
    let waiting = gateway.ask().await;
    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "alice").await;
    for _ in 0..3 {
        browser.visit(waiting.page_with_code()).await;
        assert!(browser.has(ALLOW).await);
    }
    assert_eq!(gateway.poll(&waiting).await["error"], "authorization_pending");
}

#[tokio::test]
async fn a_person_refuses_a_program() {
    let gateway = Gateway::start(&[]).await;
    let waiting = gateway.ask().await;
    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "alice").await;
    browser.visit(waiting.page_with_code()).await;
    browser.press(DENY).await;
    assert_eq!(browser.heading().await, "Device refused");
    browser.is_good("device-refused").await;
    assert_eq!(gateway.collect(&waiting).await["error"], "access_denied");
}

#[tokio::test]
async fn an_expired_code_lets_nobody_in() {
    let gateway = Gateway::start(&["--device-code-life", "8"]).await;
    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "alice").await;
    let waiting = gateway.ask().await;
    browser.visit(waiting.page_with_code()).await;
    assert!(browser.has(ALLOW).await, "{}", browser.text().await);
    sleep(Duration::from_secs(9)).await;
    browser.press(ALLOW).await;
    assert_eq!(browser.heading().await, "This code is no longer good");
    browser.is_good("device-expired").await;
    assert_eq!(gateway.collect(&waiting).await["error"], "expired_token");

    browser.visit(waiting.page_with_code()).await;
    assert!(browser.has("input[name=user_code][aria-invalid=true]").await);
    browser.is_good("device-unknown").await;
}

#[tokio::test]
async fn two_tabs_decide_about_a_program_each() {
    let gateway = Gateway::start(&[]).await;
    let (first, second) = (gateway.ask().await, gateway.ask().await);
    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "alice").await;
    browser.visit(first.page_with_code()).await;
    let tab = browser.tab().await;
    let other = browser.open_tab(second.page_with_code()).await;

    browser.show(&tab).await;
    browser.press(ALLOW).await;
    assert_eq!(browser.heading().await, "Device connected");
    browser.show(&other).await;
    browser.press(DENY).await;
    assert_eq!(browser.heading().await, "Device refused");

    assert_eq!(gateway.caller(&gateway.collect(&first).await).await, "alice");
    assert_eq!(gateway.collect(&second).await["error"], "access_denied");
}

#[tokio::test]
async fn of_two_tabs_with_one_code_the_first_click_counts() {
    let gateway = Gateway::start(&[]).await;
    let waiting = gateway.ask().await;
    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "alice").await;
    browser.visit(waiting.page_with_code()).await;
    let tab = browser.tab().await;
    browser.open_tab(waiting.page_with_code()).await;

    browser.press(DENY).await;
    assert_eq!(browser.heading().await, "Device refused");
    browser.show(&tab).await;
    browser.press(ALLOW).await;
    assert_ne!(browser.heading().await, "Device connected");
    assert_eq!(gateway.collect(&waiting).await["error"], "access_denied");
}

#[tokio::test]
async fn who_is_not_signed_in_comes_back_to_the_code() {
    let gateway = Gateway::start(&[]).await;
    let waiting = gateway.ask().await;
    let browser = Browser::start().await;
    browser.visit(waiting.page_with_code()).await;
    assert!(browser.url().await.starts_with(&gateway.url("/login?return_to=")));
    browser.is_good("login").await;
    browser.sign_in("alice").await;
    assert_eq!(browser.url().await, waiting.page_with_code());
    browser.press(ALLOW).await;
    assert_eq!(gateway.caller(&gateway.collect(&waiting).await).await, "alice");
}

#[tokio::test]
async fn who_is_somebody_else_signs_in_again_and_comes_back_to_the_code() {
    let gateway = Gateway::start(&[]).await;
    let waiting = gateway.ask().await;
    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "mallory").await;
    browser.visit(waiting.page_with_code()).await;
    browser.press(".person a").await;
    browser.sign_in("alice").await;
    assert_eq!(browser.url().await, waiting.page_with_code());
    assert!(browser.text().await.contains("Signed in as alice"));
    browser.press(ALLOW).await;
    assert_eq!(gateway.caller(&gateway.collect(&waiting).await).await, "alice");
}

#[tokio::test]
async fn a_person_may_know_the_gateway_as_localhost() {
    let gateway = Gateway::start(&[]).await;
    let waiting = gateway.ask().await;
    let browser = Browser::start().await;
    browser.visit(&waiting.page_with_code().replace("127.0.0.1", "localhost")).await;
    browser.sign_in("alice").await;
    browser.press(ALLOW).await;
    assert_eq!(browser.heading().await, "Device connected");
    assert_eq!(gateway.caller(&gateway.collect(&waiting).await).await, "alice");
}
