//! Every page works in a browser that runs no script.

use browser_tests::browser::{Browser, Scripts};
use browser_tests::gateway::{ALLOW, Gateway};
use browser_tests::script::Script;

#[tokio::test]
async fn no_page_needs_a_script() {
    let gateway = Gateway::start(&[]).await;
    let browser = Browser::start_with(Scripts::Blocked).await;
    let waiting = gateway.ask().await;
    browser.visit(waiting.page()).await;
    browser.sign_in("alice").await;
    browser.fill("input[name=user_code]", waiting.user_code()).await;
    browser.press("main form button").await;
    browser.press(ALLOW).await;
    let access = gateway.collect(&waiting).await;
    assert_eq!(gateway.caller(&access).await, "alice");

    let home = tempfile::tempdir().unwrap();
    let mut bridge = Script::start(&mut gateway.bridge(&home, &["login", "--browser", "--no-open"]));
    browser.visit(&bridge.sends_to().await).await;
    browser.press(ALLOW).await;
    bridge.succeeds().await;

    browser.visit(&gateway.url("/devices")).await;
    browser.click("main > details > summary").await;
    browser.press("button[name=end_others]").await;
    assert_eq!(gateway.call(access["access_token"].as_str().unwrap()).await.status(), 401);
}
