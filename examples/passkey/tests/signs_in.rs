//! People create passkeys, sign in with them, and link their bridges.

use serde_json::Value;

use crate::support::{Browser, Gateway, program};

#[tokio::test]
async fn a_person_creates_a_passkey_and_signs_in_with_it_in_another_browser() {
    let gateway = Gateway::start().await;
    let mut browser = Browser::at(&gateway);
    let mut passkey = browser.register("alice").await;
    assert_eq!(browser.who().await.as_deref(), Some("alice"));

    let mut other = Browser::at(&gateway);
    assert_eq!(other.who().await, None);
    for counter in [2, 3, 1000] {
        passkey.counter = counter;
        assert_eq!(other.sign_in(&passkey).await, 204);
        assert_eq!(other.who().await.as_deref(), Some("alice"));
    }
}

#[tokio::test]
async fn a_person_is_known_by_a_random_id_and_not_by_the_name() {
    let gateway = Gateway::start().await;
    let mut browser = Browser::at(&gateway);
    browser.register("alice").await;
    let cookie = browser.cookies.iter().map(|(name, value)| format!("{name}={value}"));
    let cookie = cookie.collect::<Vec<_>>().join("; ");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let bridge = gateway.url("/v1/auth/bridge");
    let code = client.post(format!("{bridge}/code")).header("cookie", cookie).send().await.unwrap();
    assert_eq!(code.status(), 201);
    let code: Value = code.json().await.unwrap();
    let session = client.post(format!("{bridge}/session")).json(&serde_json::json!({ "code": code["code"] }));
    let session: Value = session.send().await.unwrap().json().await.unwrap();
    let user = session["headers"]["x-user-id"].as_str().unwrap();
    assert!(user.starts_with("passkey-") && user.len() == 40, "{user}");
}

#[tokio::test]
async fn passkeys_and_logins_outlive_a_restart_and_are_known_to_every_gateway() {
    let gateway = Gateway::start().await;
    let issuer = gateway.origin.clone();
    let mut browser = Browser::at(&gateway);
    let mut passkey = browser.register("alice").await;
    let begun = browser.begin_sign_in().await;

    let home = gateway.stop().await;
    let gateway = Gateway::start_in(home, &["--issuer", &issuer]).await;
    let mut moved = Browser::at(&gateway);
    moved.cookies = browser.cookies.clone();
    assert_eq!(moved.who().await.as_deref(), Some("alice"));
    passkey.counter = 2;
    assert_eq!(
        moved.post("sign-in", &passkey.assertion(&begun)).await.status(),
        204,
        "a challenge of the other gateway"
    );
}

#[tokio::test]
async fn two_tabs_of_a_browser_do_not_disturb_each_other() {
    let gateway = Gateway::start().await;
    let mut browser = Browser::at(&gateway);
    let mut passkey = browser.register("alice").await;
    let (first, second) = (browser.begin_sign_in().await, browser.begin_sign_in().await);
    for (counter, begun) in [(2, second), (3, first)] {
        passkey.counter = counter;
        assert_eq!(browser.post("sign-in", &passkey.assertion(&begun)).await.status(), 204);
    }
}

#[tokio::test]
async fn a_passkey_without_a_counter_signs_in_again_and_again() {
    let gateway = Gateway::start().await;
    let mut browser = Browser::at(&gateway);
    let options = browser.begin_creation("alice").await;
    let (mut passkey, _) = crate::authenticator::Passkey::create(&browser.origin, &options);
    passkey.counter = 0;
    let created = passkey.creation(options["publicKey"]["challenge"].as_str().unwrap());
    assert_eq!(browser.post("create", &created).await.status(), 204);
    for _ in 0..3 {
        assert_eq!(browser.sign_in(&passkey).await, 204);
    }
}

#[tokio::test]
async fn the_page_has_one_script_of_its_own_and_a_way_back_to_the_gateway_alone() {
    let gateway = Gateway::start().await;
    let browser = Browser::at(&gateway);
    let page = browser.get("/login?return_to=%2Fdevice%3Fuser_code%3DBCDF-GHJK").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    let text = page.text().await.unwrap();
    assert!(text.contains("data-return-to=\"/device?user_code=BCDF-GHJK\""), "{text}");
    assert_eq!(text.matches("<script").count(), 1);
    let script = browser.get("/login/passkey.js").await;
    assert_eq!(script.headers()["content-type"], "text/javascript; charset=utf-8");
    assert_eq!(browser.get("/login?return_to=//evil.example").await.status(), 400);
    assert_eq!(browser.get("/demo/login").await.status(), 404, "nobody signs in without a passkey");
}

#[tokio::test]
async fn an_address_is_no_name_for_passkeys() {
    let home = tempfile::tempdir().unwrap();
    let mut command = program(&home);
    command.args(["--issuer", "http://127.0.0.1:8080"]).stderr(std::process::Stdio::piped());
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("error: browsers have no passkeys for an IP address"), "{told}");
    assert!(told.contains("--issuer http://localhost:8080"), "{told}");
}
