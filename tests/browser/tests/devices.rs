//! A person sees what they have let in, and ends it.

use browser_tests::browser::Browser;
use browser_tests::gateway::Gateway;

#[tokio::test]
async fn a_person_signs_one_device_out() {
    let gateway = Gateway::start(&[]).await;
    let (laptop, desk) = (gateway.link("alice", "laptop").await, gateway.link("alice", "desk").await);
    let bob = gateway.link("bob", "phone of bob").await;
    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "alice").await;
    browser.visit(&gateway.url("/devices")).await;
    let page = browser.text().await;
    assert!(page.contains("laptop") && page.contains("desk") && !page.contains("bob"), "{page}");
    browser.is_good("devices").await;

    browser.press_beside("laptop", "li", "button[name=end]").await;
    let page = browser.text().await;
    assert!(!page.contains("laptop") && page.contains("desk"), "{page}");
    assert_eq!(gateway.call(&laptop).await.status(), 401);
    assert_eq!(gateway.call(&desk).await.status(), 200);
    assert_eq!(gateway.call(&bob).await.status(), 200);
}

#[tokio::test]
async fn a_person_signs_all_devices_out() {
    let gateway = Gateway::start(&[]).await;
    let tokens = [gateway.link("alice", "laptop").await, gateway.link("alice", "desk").await];
    let bob = gateway.link("bob", "phone of bob").await;
    let browser = Browser::start().await;
    browser.visit(&gateway.url("/devices")).await;
    browser.sign_in("alice").await;
    assert_eq!(browser.url().await, gateway.url("/devices"));
    browser.click("main > details > summary").await;
    browser.press("button[name=end_others]").await;
    browser.is_good("devices-none").await;
    for token in tokens {
        assert_eq!(gateway.call(&token).await.status(), 401);
    }
    assert_eq!(gateway.call(&bob).await.status(), 200);
}
