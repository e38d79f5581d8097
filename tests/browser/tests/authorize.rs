//! A program on the person's own machine is let in by a redirect to loopback (RFC 8252).

use browser_tests::browser::Browser;
use browser_tests::gateway::{ALLOW, DENY, Gateway};
use browser_tests::process::run;
use browser_tests::script::Script;
use tempfile::TempDir;

/// The example bridge, which waits for the browser, and the page that it opens there.
struct Login {
    home: TempDir,
    bridge: Script,
    page: String,
}

impl Login {
    async fn start(gateway: &Gateway) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut bridge = Script::start(&mut gateway.bridge(&home, &["login", "--browser", "--no-open"]));
        let page = bridge.sends_to().await;
        Self { home, bridge, page }
    }

    /// Whom the bridge is linked to.
    async fn person(self, gateway: &Gateway) -> String {
        self.bridge.succeeds().await;
        let called = run(&mut gateway.bridge(&self.home, &["call", "/v1/whoami"])).await;
        let answer: serde_json::Value = serde_json::from_slice(&called.stdout).unwrap();
        answer["user_id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_person_lets_the_bridge_of_their_machine_in() {
    let gateway = Gateway::start(&[]).await;
    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "alice").await;
    let login = Login::start(&gateway).await;
    browser.visit(&login.page).await;
    let page = browser.text().await;
    for shown in ["Example bridge", "127.0.0.1", "alice", "Write to your audit track"] {
        assert!(page.contains(shown), "{shown} is not in {page}");
    }
    browser.is_good("consent").await;
    browser.press(ALLOW).await;
    let landed = browser.arrives_at("http://127.0.0.1:").await;
    assert!(landed.contains("/callback"), "{landed}");
    assert!(browser.text().await.contains("You can close this window."));
    assert_eq!(login.person(&gateway).await, "alice");
}

#[tokio::test]
async fn a_person_refuses_the_bridge_of_their_machine() {
    let gateway = Gateway::start(&[]).await;
    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "alice").await;
    let login = Login::start(&gateway).await;
    browser.visit(&login.page).await;
    browser.press(DENY).await;
    let landed = browser.arrives_at("http://127.0.0.1:").await;
    assert!(landed.contains("error=access_denied") && landed.contains("state="), "{landed}");
    let told = login.bridge.fails().await;
    assert!(told.contains("refused in the browser"), "{told}");
}

#[tokio::test]
async fn who_is_not_signed_in_comes_back_to_the_consent() {
    let gateway = Gateway::start(&[]).await;
    let browser = Browser::start().await;
    let login = Login::start(&gateway).await;
    browser.visit(&login.page).await;
    assert!(browser.url().await.starts_with(&gateway.url("/login?return_to=")));
    browser.sign_in("alice").await;
    assert_eq!(browser.url().await, login.page);
    browser.press(ALLOW).await;
    assert_eq!(login.person(&gateway).await, "alice");
}

#[tokio::test]
async fn two_tabs_let_a_bridge_in_each() {
    let gateway = Gateway::start(&[]).await;
    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "alice").await;
    let (first, second) = (Login::start(&gateway).await, Login::start(&gateway).await);
    browser.visit(&first.page).await;
    let tab = browser.tab().await;
    let other = browser.open_tab(&second.page).await;

    browser.show(&tab).await;
    browser.press(ALLOW).await;
    assert_eq!(first.person(&gateway).await, "alice");
    browser.show(&other).await;
    browser.press(ALLOW).await;
    assert_eq!(second.person(&gateway).await, "alice");
}

#[tokio::test]
async fn row_l11_a_consent_is_given_once() {
    let gateway = Gateway::start(&[]).await;
    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "alice").await;
    let login = Login::start(&gateway).await;
    browser.visit(&login.page).await;
    let ticket = browser.value("input[name=ticket]").await;
    browser.press(ALLOW).await;
    assert_eq!(login.person(&gateway).await, "alice");

    // The page as it was, from another tab or out of the browser's memory.
    let again = Login::start(&gateway).await;
    browser.visit(&again.page).await;
    browser.set("input[name=ticket]", &ticket).await;
    browser.press(ALLOW).await;
    assert_eq!(browser.heading().await, "You have answered already");
    browser.is_good("consent-answered").await;
}

#[tokio::test]
async fn row_l8_an_unknown_redirect_is_not_followed() {
    let gateway = Gateway::start(&[]).await;
    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "alice").await;
    let login = Login::start(&gateway).await;
    let elsewhere = login.page.replace("%2Fcallback", "%2Felsewhere");
    assert_ne!(elsewhere, login.page);
    browser.visit(&elsewhere).await;
    assert_eq!(browser.url().await, elsewhere);
    assert_eq!(browser.heading().await, "This request cannot be used");
    let page = browser.text().await;
    assert!(page.contains("an address that is not registered for it"), "{page}");
    assert!(!browser.has(ALLOW).await);
    browser.is_good("consent-refused").await;
}
