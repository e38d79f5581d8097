//! Stock OAuth clients, unchanged, sign a person in through the browser.

use browser_tests::browser::Browser;
use browser_tests::gateway::{ALLOW, Gateway};
use browser_tests::script::Script;
use browser_tests::{repository, stock};

/// Runs a script by the device grant, and by a code with PKCE.
async fn signs_in(script: &str) {
    let gateway = Gateway::start(&[]).await;
    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "alice").await;
    for flow in ["device", "code"] {
        let mut command = stock::script(&repository(), script);
        command.env("GATEWAY", &gateway.running.url).env("CLIENT_ID", "sp_bridge");
        let mut client = Script::start(command.env("FLOW", flow).env("USER", "alice"));
        browser.visit(&client.sends_to().await).await;
        browser.press(ALLOW).await;
        client.succeeds().await;
    }
}

#[tokio::test]
async fn oauth4webapi_signs_a_person_in_by_device_and_by_code() {
    signs_in("oauth4webapi_sign_in.mjs").await;
}

#[tokio::test]
async fn openid_client_signs_a_person_in_by_device_and_by_code() {
    signs_in("openid_client_sign_in.mjs").await;
}
