//! Every page works in a browser that runs no script.

use browser_tests::browser::{Browser, Scripts};
use browser_tests::gateway::{ALLOW, DENY, Gateway};
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

    let refused = gateway.ask().await;
    browser.visit(refused.page_with_code()).await;
    browser.press(DENY).await;
    assert_eq!(browser.heading().await, "Device refused");
    assert_eq!(gateway.collect(&refused).await["error"], "access_denied");

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

#[tokio::test]
async fn no_page_of_the_operators_needs_a_script() {
    let gateway = Gateway::start(&[]).await;
    let (first, second) = (gateway.link("alice", "laptop").await, gateway.link("alice", "desk").await);
    let browser = Browser::start_with(Scripts::Blocked).await;
    browser.is_operator(&gateway).await;
    browser.fill("input[name=q]", "alice").await;
    browser.press("form[role=search] button").await;
    browser.press("ul.people a").await;
    browser.press_beside("laptop", "li", "button[value=end]").await;
    assert_eq!(gateway.call(&first).await.status(), 401);
    assert_eq!(gateway.call(&second).await.status(), 200);

    browser.click("main > details:first-of-type > summary").await;
    browser.press("button[value=disable]").await;
    assert_eq!(gateway.call(&second).await.status(), 401);
    browser.press("button[value=enable]").await;
    let linked = gateway.link("alice", "laptop").await;
    assert_eq!(gateway.call(&linked).await.status(), 200);

    browser.visit(&gateway.url("/admin?user=alice")).await;
    browser.click("main > details:last-of-type > summary").await;
    browser.press("button[value=end_all]").await;
    assert_eq!(gateway.call(&linked).await.status(), 401);
}
