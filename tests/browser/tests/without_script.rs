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
    browser.click("main form button").await;
    browser.click(ALLOW).await;
    let access = gateway.collect(&waiting).await;
    assert_eq!(gateway.caller(&access).await, "alice");

    let home = tempfile::tempdir().unwrap();
    let mut bridge = Script::start(&mut gateway.bridge(&home, &["login", "--browser", "--no-open"]));
    let line = bridge.line("Open ").await;
    browser.visit(line.split_whitespace().find(|word| word.starts_with("http")).unwrap()).await;
    browser.click(ALLOW).await;
    bridge.succeeds().await;

    browser.visit(&gateway.url("/devices")).await;
    browser.click("details summary").await;
    browser.click("button[name=end_others]").await;
    assert_eq!(gateway.call(access["access_token"].as_str().unwrap()).await.status(), 401);
}
