//! What does not sign in.

use serde_json::{Value, json};

use crate::provider::Provider;
use crate::support::{Browser, Gateway, location};

/// A sign-in at a provider that says this is refused.
async fn assert_refused(provider: &Provider, what: &str) {
    let gateway = Gateway::start(provider).await;
    let mut browser = Browser::at(&gateway);
    let answer = browser.sign_in().await;
    assert_eq!(answer.status(), 400, "{what}");
    assert!(!answer.headers().contains_key("set-cookie"), "{what}");
    let policy = answer.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let page = answer.text().await.unwrap();
    assert!(page.contains("href=\"/login?return_to=%2Fdevices\""), "{what}: {page}");
    assert_eq!(browser.who().await, None, "{what}");
}

#[tokio::test]
async fn an_id_token_that_is_not_good_is_refused() {
    let lies: [(&str, Value); 9] = [
        ("a wrong nonce", json!({ "nonce": "wrong" })),
        ("no nonce", json!({ "nonce": null })),
        ("another issuer", json!({ "iss": "https://evil.example" })),
        ("no issuer", json!({ "iss": null })),
        ("another audience", json!({ "aud": "another" })),
        ("one more audience", json!({ "aud": ["gateway", "another"] })),
        ("expired", json!({ "exp": 1_000_000_000 })),
        ("no subject", json!({ "sub": null })),
        ("another access token", json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" })),
    ];
    for (what, claims) in lies {
        let provider = Provider::start().await;
        provider.says(&claims);
        assert_refused(&provider, what).await;
    }
    let provider = Provider::start().await;
    provider.forges();
    assert_refused(&provider, "a key that is not the provider's").await;
}

#[tokio::test]
async fn an_answer_of_another_issuer_is_refused() {
    let provider = Provider::start().await;
    provider.answers("iss", "https://evil.example");
    assert_refused(&provider, "another iss").await;
    let provider = Provider::start().await;
    provider.answers("iss", provider.issuer());
    let gateway = Gateway::start(&provider).await;
    assert_eq!(location(&Browser::at(&gateway).sign_in().await), "/devices");
}

#[tokio::test]
async fn a_person_who_says_no_at_the_provider_is_not_signed_in() {
    let provider = Provider::start().await;
    provider.answers("error", "access_denied");
    assert_refused(&provider, "an error").await;
}

#[tokio::test]
async fn a_state_is_good_once_and_for_the_browser_that_began() {
    let provider = Provider::start().await;
    let gateway = Gateway::start(&provider).await;
    let mut mallory = Browser::at(&gateway);
    // Mallory stops before the last step, and sends Alice there: she would work as Mallory.
    let back = mallory.come_back("/login").await;
    let mut alice = Browser::at(&gateway);
    assert_eq!(alice.open(&back).await.status(), 400, "no cookie");
    alice.come_back("/login").await;
    assert_eq!(alice.open(&back).await.status(), 400, "another browser's cookie");
    assert_eq!(alice.who().await, None);

    let wrong = back.replace("state=", "state=x");
    assert_eq!(mallory.open(&wrong).await.status(), 400, "a wrong state");
    assert_eq!(mallory.open("/login/callback?code=a").await.status(), 400, "no state");
    assert_eq!(location(&mallory.open(&back).await), "/", "nobody has spent it");
    assert_eq!(mallory.open(&back).await.status(), 400, "a second use");
}

#[tokio::test]
async fn two_tabs_of_a_browser_do_not_disturb_each_other() {
    let provider = Provider::start().await;
    let gateway = Gateway::start(&provider).await;
    let mut browser = Browser::at(&gateway);
    let first = browser.come_back("/login?return_to=/devices").await;
    let second = browser.come_back("/login?return_to=/device").await;
    assert_eq!(location(&browser.open(&second).await), "/device");
    assert_eq!(location(&browser.open(&first).await), "/devices");
}

#[tokio::test]
async fn a_login_leads_to_no_other_site() {
    let provider = Provider::start().await;
    let gateway = Gateway::start(&provider).await;
    for evil in ["//evil.example", "https://evil.example", "/%5Cevil.example"] {
        let answer = Browser::at(&gateway).open(&format!("/login?return_to={evil}")).await;
        assert_eq!(answer.status(), 400, "{evil}");
    }
}
