//! `bridge login --browser`: the code grant with PKCE, and a redirect to loopback (RFC 8252).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use url::Url;

use super::bridge::credential;
use super::bridge_login::{browser, opened};
use super::scripted::{Answer, Scripted, SignedIn, SigningIn};
use crate::support::process::example;

/// A sign-in that waits for the browser, and the browser.
struct Waiting {
    gateway: Scripted,
    home: TempDir,
    login: SigningIn,
    client: Client,
    /// The address that it printed.
    page: Url,
    query: BTreeMap<String, String>,
}

impl Waiting {
    async fn start(gateway: Scripted, arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut login = gateway.login(home.path(), &[&["--browser", "--no-open"], arguments].concat());
        let page: Url = login.says("Open ").await.parse().unwrap();
        let query = page.query_pairs().into_owned().collect();
        Self { gateway, home, login, client: Client::builder().no_proxy().build().unwrap(), page, query }
    }

    /// The browser is sent back with these parameters.
    async fn comes_back(&self, parameters: &[(&str, &str)]) -> Response {
        let redirect = Url::parse_with_params(&self.query["redirect_uri"], parameters).unwrap();
        self.client.get(redirect).send().await.unwrap()
    }

    /// The answer of the gateway, with these parameters in it.
    async fn answers(self, parameters: &[(&str, &str)]) -> (SignedIn, TempDir) {
        let state = [("state", self.query["state"].as_str())];
        self.comes_back(&[&state, parameters].concat()).await;
        (self.login.ended().await, self.home)
    }
}

#[tokio::test]
async fn a_person_signs_in_in_the_browser_of_this_machine() {
    let waiting = Waiting::start(
        Scripted::start([Answer::Token]).await,
        &["--client-id", "editor", "--scope", "chat", "--resource", "https://gateway.example/mcp"],
    )
    .await;
    let (url, query) = (waiting.gateway.url.clone(), &waiting.query);
    assert_eq!(waiting.page.as_str().split('?').next().unwrap(), format!("{url}/authorize"));
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "editor"),
        ("scope", "chat"),
        ("resource", "https://gateway.example/mcp"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(query[name], value);
    }
    let redirect: Url = query["redirect_uri"].parse().unwrap();
    assert_eq!(
        (redirect.scheme(), redirect.host_str(), redirect.path()),
        ("http", Some("127.0.0.1"), "/callback")
    );

    let page = waiting.comes_back(&[("code", "the-code"), ("state", &query["state"]), ("iss", &url)]).await;
    assert_eq!(page.status(), 200);
    for (header, value) in [
        ("content-security-policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(page.headers()[header], value);
    }
    assert!(page.text().await.unwrap().contains("You can close this window."));
    assert!(waiting.login.ended().await.ok().ends_with(&format!("signed in to {url}/")));

    let form = &waiting.gateway.asked()[0].form;
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("client_id", "editor"),
        ("code", "the-code"),
        ("redirect_uri", &query["redirect_uri"]),
        ("resource", "https://gateway.example/mcp"),
    ] {
        assert_eq!(form[name], value);
    }
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
    assert_eq!(challenge, query["code_challenge"]);
    let kept: Value = serde_json::from_slice(&std::fs::read(credential(&waiting.home)).unwrap()).unwrap();
    assert_eq!(kept["token"], "the-access-token");
}

#[tokio::test]
async fn what_does_not_know_the_state_changes_nothing() {
    let waiting = Waiting::start(Scripted::start([Answer::Token]).await, &[]).await;
    let state = waiting.query["state"].clone();
    for foreign in [
        &[("code", "stolen"), ("iss", &waiting.gateway.url)][..],
        &[("code", "stolen"), ("state", "guessed"), ("iss", &waiting.gateway.url)],
        &[("code", "stolen"), ("state", ""), ("iss", &waiting.gateway.url)],
        &[("error", "access_denied"), ("state", &state[1..])],
        &[("code", "one"), ("code", "two"), ("state", &state), ("iss", &waiting.gateway.url)],
    ] {
        assert_eq!(waiting.comes_back(foreign).await.status(), 400, "{foreign:?}");
    }
    let elsewhere = waiting.query["redirect_uri"].replace("/callback", "/favicon.ico");
    assert_eq!(waiting.client.get(elsewhere).send().await.unwrap().status(), 404);
    let url = waiting.gateway.url.clone();
    let (ended, _) = waiting.answers(&[("code", "the-code"), ("iss", &url)]).await;
    ended.ok();
}

#[tokio::test]
async fn row_l10_an_answer_of_another_issuer_is_refused() {
    for (parameters, expected) in [
        (&[("code", "x"), ("iss", "https://other.example")][..], "https://other.example answered for"),
        (&[("code", "x")], "the answer does not name"),
        (&[("error", "access_denied")], "the answer does not name"),
    ] {
        let gateway = Scripted::start([Answer::Token]).await;
        let (ended, home) = Waiting::start(gateway, &[]).await.answers(parameters).await;
        let told = ended.failed();
        assert!(told.contains(expected), "{told}");
        assert!(!credential(&home).exists());
    }
    let old = json!({ "authorization_response_iss_parameter_supported": null });
    let gateway = Scripted::start([Answer::Token]).await.with_metadata(&old);
    Waiting::start(gateway, &[]).await.answers(&[("code", "x")]).await.0.ok();
}

#[tokio::test]
async fn a_refusal_in_the_browser_says_why() {
    for (parameters, expected) in [
        (&[("error", "access_denied")][..], "this device was refused in the browser"),
        (
            &[("error", "invalid_scope"), ("error_description", "No\u{1b}[2J such scope.")],
            "the gateway gave no token: invalid_scope: No [2J such scope.",
        ),
        (&[], "the gateway gave no token: the answer has neither a code nor an error"),
    ] {
        let waiting = Waiting::start(Scripted::start([Answer::Token]).await, &[]).await;
        let url = waiting.gateway.url.clone();
        let (ended, home) = waiting.answers(&[&[("iss", url.as_str())], parameters].concat()).await;
        assert_eq!(ended.failed(), format!("error: cannot sign in: {expected}"));
        assert!(!credential(&home).exists());
    }
}

#[tokio::test]
async fn a_browser_that_does_not_come_back_is_waited_for_so_long() {
    let waiting = Waiting::start(Scripted::start([Answer::Token]).await, &["--timeout", "1"]).await;
    let told = waiting.login.ended().await.failed();
    assert!(told.contains("nobody came back from the browser in 1 s"), "{told}");
}

#[tokio::test]
async fn ctrl_c_ends_the_wait_for_the_browser() {
    let waiting = Waiting::start(Scripted::start([Answer::Token]).await, &[]).await;
    waiting.login.interrupt().await;
    assert_eq!(waiting.login.ended().await.status.code(), Some(130));
}

#[tokio::test]
async fn row_l7_a_gateway_that_does_not_check_pkce_is_refused() {
    for (metadata, expected) in [
        (json!({ "code_challenge_methods_supported": null }), "does not say that it checks PKCE"),
        (json!({ "code_challenge_methods_supported": ["plain"] }), "does not say that it checks PKCE"),
        (json!({ "authorization_endpoint": null }), "names no authorization_endpoint"),
        (json!({ "authorization_endpoint": "file:///bin/sh" }), "file is no scheme of a gateway"),
    ] {
        let gateway = Scripted::start([Answer::Token]).await.with_metadata(&metadata);
        let home = tempfile::tempdir().unwrap();
        let told = gateway.login(home.path(), &["--browser", "--no-open"]).ended().await.failed();
        assert!(told.contains(expected), "{told}");
    }
}

#[tokio::test]
async fn the_browser_that_the_person_chose_is_opened() {
    let gateway = Scripted::start([Answer::Token]).await;
    let home = tempfile::tempdir().unwrap();
    let (program, file) = browser(home.path());
    let mut command = example("bridge", home.path());
    command.env("BROWSER", program).args(["login", &gateway.url, "--browser"]);
    let mut login = SigningIn::start(&mut command);
    let page = login.says("Open ").await;
    assert_eq!(opened(&file).await, page);
    login.interrupt().await;
    login.ended().await;
}
