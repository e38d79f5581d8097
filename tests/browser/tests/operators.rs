//! The operators' page.

use browser_tests::browser::Browser;
use browser_tests::gateway::Gateway;
use browser_tests::process::run;
use browser_tests::script::Script;

async fn operator(gateway: &Gateway) -> Browser {
    let browser = Browser::start().await;
    browser.is_operator(gateway).await;
    browser
}

#[tokio::test]
async fn an_operator_signs_a_device_out_and_the_next_call_of_its_bridge_is_401() {
    let gateway = Gateway::start(&[]).await;
    let home = tempfile::tempdir().unwrap();
    let person = Browser::start().await;
    let mut bridge = Script::start(&mut gateway.bridge(&home, &["login", "--browser", "--no-open"]));
    person.visit(&bridge.sends_to().await).await;
    person.sign_in("alice").await;
    person.press(browser_tests::gateway::ALLOW).await;
    bridge.succeeds().await;
    let other = gateway.link("bob", "phone").await;
    let called = run(&mut gateway.bridge(&home, &["call", "/v1/whoami"])).await;
    assert!(called.status.success());

    let browser = operator(&gateway).await;
    browser.is_good("operators").await;
    browser.fill("input[name=q]", "ALICE@ex").await;
    browser.press("form[role=search] button").await;
    let page = browser.text().await;
    assert!(page.contains("alice@example.org") && !page.contains("bob"), "{page}");
    browser.is_good("operators-found").await;
    browser.press("ul.people a").await;
    browser.is_good("operators-person").await;
    browser.press("button[name=action][value=end]").await;
    browser.is_good("operators-ended").await;

    let called = run(&mut gateway.bridge(&home, &["call", "/v1/whoami"])).await;
    assert_eq!(called.status.code(), Some(3), "the person must sign in again: {called:?}");
    assert_eq!(gateway.call(&other).await.status(), 200);
}

#[tokio::test]
async fn an_operator_disables_a_person_and_lets_them_in_again() {
    let gateway = Gateway::start(&[]).await;
    let token = gateway.link("alice", "laptop").await;
    let browser = operator(&gateway).await;
    browser.visit(&gateway.url("/admin?user=alice")).await;
    browser.click("main > details:first-of-type > summary").await;
    browser.press("button[value=disable]").await;
    assert_eq!(gateway.call(&token).await.status(), 401);
    browser.is_good("operators-disabled").await;

    let person = Browser::start().await;
    let waiting = gateway.ask().await;
    person.is_signed_in(&gateway, "alice").await;
    person.visit(waiting.page_with_code()).await;
    person.press(browser_tests::gateway::ALLOW).await;
    assert_eq!(person.heading().await, "Your account is disabled");

    browser.press("button[value=enable]").await;
    let linked = gateway.link("alice", "laptop").await;
    assert_eq!(gateway.call(&linked).await.status(), 200);
}

#[tokio::test]
async fn nobody_else_sees_the_operators_page() {
    let gateway = Gateway::start(&[]).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for path in ["/admin", "/admin?user=alice"] {
        for guess in [None, Some("guessed")] {
            let request = http.get(gateway.url(path));
            let request =
                guess.into_iter().fold(request, |request, token| request.basic_auth("operator", Some(token)));
            let refused = request.send().await.unwrap();
            assert_eq!(refused.status(), 401, "{path} with {guess:?}");
            let told: serde_json::Value = refused.json().await.unwrap();
            assert_eq!(told["code"], "operator_required", "{path} with {guess:?}");
            assert!(!told.to_string().contains("alice"), "{told}");
        }
    }

    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "alice").await;
    browser.visit(&gateway.url("/admin").replace("http://", "http://operator:guessed@")).await;
    assert!(!browser.has("main h1").await, "{}", browser.text().await);
    browser.is_operator(&gateway).await;
    assert_eq!(browser.heading().await, "People", "the same browser shows the page with the right token");
}
