//! The login with passkeys: a virtual authenticator stands in for the person's own.

use browser_tests::browser::Browser;
use browser_tests::gateway::{ALLOW, Gateway};

#[tokio::test]
async fn a_person_makes_a_passkey_signs_in_with_it_and_lets_a_program_in() {
    let gateway = Gateway::start_with_passkeys().await;
    let waiting = gateway.ask().await;
    let browser = Browser::start().await;
    browser.add_authenticator().await;

    browser.visit(waiting.page_with_code()).await;
    browser.is_good("passkey").await;
    browser.fill("input[name=name]", "alice").await;
    browser.press("#create button").await;
    assert_eq!(browser.url().await, waiting.page_with_code());

    browser.visit(&gateway.page("/")).await;
    browser.is_good("home").await;
    browser.press("form[action='/logout'] button").await;
    browser.visit(waiting.page_with_code()).await;
    assert!(browser.url().await.starts_with(&gateway.page("/login?return_to=")));
    browser.press("#sign-in button").await;
    assert_eq!(browser.url().await, waiting.page_with_code());
    assert!(browser.text().await.contains("Signed in as alice"));

    browser.press(ALLOW).await;
    assert_eq!(browser.heading().await, "Device connected");
    let access = gateway.collect(&waiting).await;
    assert_eq!(gateway.call(access["access_token"].as_str().unwrap()).await.status(), 200);
}

#[tokio::test]
async fn another_authenticator_signs_nobody_in() {
    let gateway = Gateway::start_with_passkeys().await;
    let (alice, mallory) = (Browser::start().await, Browser::start().await);
    alice.add_authenticator().await;
    alice.visit(&gateway.page("/login")).await;
    alice.fill("input[name=name]", "alice").await;
    alice.press("#create button").await;

    mallory.add_authenticator().await;
    mallory.visit(&gateway.page("/login")).await;
    mallory.click("#sign-in button").await;
    mallory.waits_for("#problem:not([hidden])").await;
    assert!(mallory.url().await.starts_with(&gateway.page("/login")));
}
