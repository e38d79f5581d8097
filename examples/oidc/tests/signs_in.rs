//! People sign in at their provider.

use serde_json::json;

use crate::provider::Provider;
use crate::support::{Browser, Gateway, location, program};

#[tokio::test]
async fn a_person_signs_in_at_the_provider_and_comes_back_to_where_they_were() {
    let provider = Provider::start().await;
    provider.says(&json!({ "email": "alice@example.org", "email_verified": true }));
    let gateway = Gateway::start(&provider).await;
    let mut browser = Browser::at(&gateway);
    let back = browser.come_back("/login?return_to=%2Fdevice%3Fuser_code%3DBCDF-GHJK").await;
    assert_eq!(location(&browser.open(&back).await), "/device?user_code=BCDF-GHJK");
    let (id, said) = browser.who().await.unwrap();
    assert_eq!(said, "Alice Adams (alice@example.org).");
    assert!(id.starts_with("oidc-") && id.len() == 69, "{id}");

    let (asked, _) = provider.last();
    assert_eq!(asked["response_type"], "code");
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_eq!(asked["redirect_uri"], format!("{}/login/callback", gateway.url));
    assert!(asked["scope"].split(' ').any(|scope| scope == "openid"), "{asked:?}");
    assert!(asked["nonce"].len() >= 22 && asked["state"].len() >= 22, "{asked:?}");
    assert!(!asked.contains_key("prompt"));

    assert_eq!(location(&browser.open("/login?return_to=/devices").await), "/devices", "signed in already");
    browser.come_back("/login?switch=yes").await;
    assert_eq!(provider.last().0["prompt"], "login");
}

#[tokio::test]
async fn a_person_is_who_the_provider_and_its_subject_say() {
    let provider = Provider::start().await;
    let gateway = Gateway::start(&provider).await;
    let mut ids = Vec::new();
    for (sub, email) in [("1", "alice@example.org"), ("1", "new@example.org"), ("2", "alice@example.org")] {
        provider.says(&json!({ "sub": sub, "email": email, "email_verified": true }));
        let mut browser = Browser::at(&gateway);
        browser.sign_in().await;
        ids.push(browser.who().await.unwrap().0);
    }
    assert_eq!(ids[0], ids[1], "a new address is the same person");
    assert_ne!(ids[0], ids[2], "an address that passed to somebody else is another person");

    let other = Provider::start().await;
    other.says(&json!({ "sub": "1" }));
    let gateway = Gateway::start(&other).await;
    let mut browser = Browser::at(&gateway);
    browser.sign_in().await;
    assert_ne!(ids[0], browser.who().await.unwrap().0, "a subject of another provider");
}

#[tokio::test]
async fn row_m3_an_address_is_shown_only_when_the_provider_has_verified_it() {
    let provider = Provider::start().await;
    let gateway = Gateway::start(&provider).await;
    provider.says(&json!({ "email": "alice@example.org" }));
    for verified in [json!(null), json!(false)] {
        provider.says(&json!({ "email_verified": verified }));
        let mut browser = Browser::at(&gateway);
        browser.sign_in().await;
        assert_eq!(browser.who().await.unwrap().1, "Alice Adams.", "{verified}");
    }
    provider.says(&json!({ "email_verified": "true" }));
    let mut browser = Browser::at(&gateway);
    assert_eq!(browser.sign_in().await.status(), 400, "a text is no answer to this question");
}

#[tokio::test]
async fn a_person_without_a_name_has_the_next_best() {
    let provider = Provider::start().await;
    let gateway = Gateway::start(&provider).await;
    for (claims, name) in [
        (json!({ "name": null, "preferred_username": "ally" }), "ally."),
        (json!({ "preferred_username": null }), "248289761001."),
    ] {
        provider.says(&claims);
        let mut browser = Browser::at(&gateway);
        browser.sign_in().await;
        assert_eq!(browser.who().await.unwrap().1, name);
    }
}

#[tokio::test]
async fn a_secret_of_the_gateway_goes_to_the_provider_alone() {
    let provider = Provider::start().await;
    let gateway = Gateway::start_with(&provider, Some("open sesame")).await;
    let mut browser = Browser::at(&gateway);
    assert_eq!(location(&browser.sign_in().await), "/devices");
    let (asked, authorization) = provider.last();
    assert!(!asked.values().any(|value| value.contains("sesame")), "{asked:?}");
    assert!(authorization.unwrap().starts_with("Basic "));
}

#[tokio::test]
async fn a_provider_that_cannot_be_had_is_told_at_the_start() {
    let home = tempfile::tempdir().unwrap();
    for (issuer, expected) in [
        (
            "http://provider.example",
            "error: --oidc-issuer is http://provider.example/: it must be an https URL",
        ),
        (
            "http://127.0.0.1:1",
            "error: cannot read the metadata of the provider http://127.0.0.1:1 (--oidc-issuer)",
        ),
    ] {
        let output = program(&home, issuer).stderr(std::process::Stdio::piped()).output().await.unwrap();
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.starts_with(expected), "{told}");
    }
}
