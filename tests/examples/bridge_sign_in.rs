//! A person signs the example bridge in at the example gateway, in a browser that the test plays.

use std::time::{Duration, Instant};

use reqwest::header::{COOKIE, LOCATION, ORIGIN};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;
use url::Url;

use super::bridge::{complaint, credential, printed, revoke_all, signed_out};
use super::renewal::{OVER_AN_HOUR, age, kept};
use super::scripted::SigningIn;
use super::{Gateway, alice, text};
use crate::support::process::{PATIENCE, run};

/// The browser of a person. It follows no redirect by itself.
struct Browser {
    client: Client,
    cookie: Option<String>,
}

impl Browser {
    fn of_nobody() -> Self {
        Self { client: Client::builder().no_proxy().redirect(Policy::none()).build().unwrap(), cookie: None }
    }

    /// Alice's, signed in at the gateway.
    async fn of_alice(gateway: &Gateway) -> Self {
        Self { cookie: Some(gateway.login(alice()).await), ..Self::of_nobody() }
    }

    async fn send(&self, request: RequestBuilder) -> Response {
        let request = match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        };
        request.send().await.unwrap()
    }

    async fn get(&self, page: &str) -> Response {
        self.send(self.client.get(page)).await
    }

    /// Opens the page, and presses a button there.
    async fn decide(&self, page: &str, decision: &str) -> Response {
        let opened = self.get(page).await;
        assert_eq!(opened.status(), 200);
        let html = opened.text().await.unwrap();
        let (_, ticket) = html.split_once("name=\"ticket\" value=\"").expect("the page has a form");
        let ticket = ticket.split('"').next().unwrap();
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("ticket", ticket), ("decision", decision)])
            .finish();
        let origin = Url::parse(page).unwrap().origin().ascii_serialization();
        let post = self.client.post(page).header(ORIGIN, origin).body(form);
        self.send(post.header("content-type", "application/x-www-form-urlencoded")).await
    }
}

fn sign_in(gateway: &Gateway, home: &TempDir, arguments: &[&str]) -> SigningIn {
    SigningIn::start(&mut gateway.bridge(home, &[&["login"], arguments].concat()))
}

/// A home in which alice signed a bridge in by its code.
async fn signed_in(gateway: &Gateway) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    sign_in_again(gateway, &home).await;
    home
}

async fn sign_in_again(gateway: &Gateway, home: &TempDir) {
    let mut login = sign_in(gateway, home, &[]);
    let page = login.says("Or open ").await;
    let allowed = Browser::of_alice(gateway).await.decide(&page, "allow").await;
    assert_eq!(allowed.status(), 200);
    let said = login.ended().await.ok();
    assert!(said.ends_with(&format!("signed in to {}/ as alice", gateway.running.url)), "{said}");
}

async fn token(gateway: &Gateway, home: &TempDir) -> String {
    printed(&run(&mut gateway.bridge(home, &["token"])).await).trim_end().to_owned()
}

async fn whoami(gateway: &Gateway, token: &str) -> Value {
    let answer = gateway.get("/v1/whoami", token).await;
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

#[tokio::test]
async fn a_person_types_the_code_and_the_bridge_is_let_in_from_then_on() {
    let gateway = Gateway::start(&[]).await;
    let home = tempfile::tempdir().unwrap();
    let mut login = sign_in(&gateway, &home, &["--scope", "chat"]);
    let code = login.says("code: ").await;
    let page = login.says("Open ").await;
    let page = page.split(' ').next().unwrap();

    // Not signed in, the person goes to the login and comes back. They type the code in their own way.
    let typed = format!("{page}?user_code={}", code.to_lowercase().replace('-', "%20"));
    let sent_away = Browser::of_nobody().get(&typed).await;
    assert_eq!(sent_away.status(), 303);
    let to = sent_away.headers()[LOCATION].to_str().unwrap();
    let to = Url::parse(&gateway.url("")).unwrap().join(to).unwrap();
    let (_, back) = to.query_pairs().find(|(name, _)| name == "return_to").unwrap();
    let back = Url::parse(page).unwrap().join(&back).unwrap();
    assert_eq!(back.as_str(), typed);

    let login_json = serde_json::json!({ "user_id": "alice", "scopes": "chat tools" });
    let browser = Browser { cookie: Some(gateway.login(login_json).await), ..Browser::of_nobody() };
    let shown = browser.get(back.as_str()).await.text().await.unwrap();
    assert!(shown.contains(&code) && shown.contains("bridge-example/"), "{shown}");
    assert!(!credential(&home).exists());
    assert_eq!(browser.decide(back.as_str(), "allow").await.status(), 200);
    login.ended().await.ok();

    let who = whoami(&gateway, &token(&gateway, &home).await).await;
    assert_eq!(
        (text(&who, "user_id"), text(&who, "client_id")),
        ("alice".to_owned(), "sp_bridge".to_owned())
    );
    assert_eq!(who["scopes"], serde_json::json!(["chat"]));
}

#[tokio::test]
async fn a_bridge_that_signed_in_does_all_that_a_linked_one_does() {
    let gateway = Gateway::start(&[]).await;
    let home = signed_in(&gateway).await;
    let first = token(&gateway, &home).await;
    age(&home, OVER_AN_HOUR);
    let renewed = token(&gateway, &home).await;
    assert_ne!(first, renewed);
    assert_eq!(
        text(&whoami(&gateway, &renewed).await, "session_id"),
        text(&kept(&home)["headers"], "x-session-id")
    );

    let status = printed(&run(&mut gateway.bridge(&home, &["status"])).await);
    assert!(status.starts_with(&format!("signed in to {}/ as alice\n", gateway.running.url)), "{status}");
    let sessions = printed(&run(&mut gateway.bridge(&home, &["sessions"])).await);
    assert!(sessions.starts_with("* "), "{sessions}");
    let hook = printed(&run(&mut gateway.bridge(&home, &["hook-token"])).await);
    let track = gateway.client.post(gateway.url("/v1/track")).bearer_auth(hook.trim());
    assert_eq!(track.send().await.unwrap().status(), 200);

    assert_eq!(printed(&run(&mut gateway.bridge(&home, &["logout"])).await), "logged out\n");
    assert!(!credential(&home).exists());
    assert_eq!(gateway.get("/v1/whoami", &renewed).await.status(), 401);
}

#[tokio::test]
async fn a_bridge_that_signs_in_again_leaves_no_session_behind() {
    let gateway = Gateway::start(&[]).await;
    let home = signed_in(&gateway).await;
    let before = token(&gateway, &home).await;
    sign_in_again(&gateway, &home).await;
    assert_eq!(gateway.get("/v1/whoami", &before).await.status(), 401);
    whoami(&gateway, &token(&gateway, &home).await).await;
}

#[tokio::test]
async fn a_person_who_says_no_lets_nobody_in() {
    let gateway = Gateway::start(&[]).await;
    let browser = Browser::of_alice(&gateway).await;
    let home = tempfile::tempdir().unwrap();
    let mut by_code = sign_in(&gateway, &home, &[]);
    assert_eq!(browser.decide(&by_code.says("Or open ").await, "deny").await.status(), 200);
    let mut by_redirect = sign_in(&gateway, &home, &["--browser", "--no-open"]);
    let answer = browser.decide(&by_redirect.says("Open ").await, "deny").await;
    browser.get(answer.headers()[LOCATION].to_str().unwrap()).await;
    for login in [by_code, by_redirect] {
        let told = login.ended().await.failed();
        assert_eq!(told, "error: cannot sign in: this device was refused in the browser");
    }
    assert!(!credential(&home).exists());
}

#[tokio::test]
async fn a_person_who_comes_too_late_finds_no_program_to_let_in() {
    let gateway = Gateway::start(&["--device-code-life", "2"]).await;
    let browser = Browser::of_alice(&gateway).await;
    let home = tempfile::tempdir().unwrap();
    let mut login = sign_in(&gateway, &home, &[]);
    let page = login.says("Or open ").await;
    let told = login.ended().await.failed();
    assert!(told.contains("nobody allowed this device before the code expired"), "{told}");
    // The bridge counts from its request, and the gateway from the answer, which is a little later.
    let until = Instant::now() + PATIENCE;
    while browser.get(&page).await.text().await.unwrap().contains("name=\"ticket\"") {
        assert!(Instant::now() < until, "the code is still good");
        sleep(Duration::from_millis(100)).await;
    }
    assert!(!credential(&home).exists());
}

#[tokio::test]
async fn a_person_signs_in_in_the_browser_of_their_machine() {
    let gateway = Gateway::start(&[]).await;
    let browser = Browser::of_alice(&gateway).await;
    let home = tempfile::tempdir().unwrap();
    let mut login = sign_in(&gateway, &home, &["--browser", "--no-open"]);
    let page = login.says("Open ").await;
    let allowed = browser.decide(&page, "allow").await;
    assert_eq!(allowed.status(), 303);
    let closing = browser.get(allowed.headers()[LOCATION].to_str().unwrap()).await;
    assert!(closing.text().await.unwrap().contains("You can close this window."));
    login.ended().await.ok();
    let who = whoami(&gateway, &token(&gateway, &home).await).await;
    assert_eq!(text(&who, "user_id"), "alice");
}

#[tokio::test]
async fn row_l12_a_bridge_may_ask_for_one_resource_alone() {
    let gateway = Gateway::start(&[]).await;
    let browser = Browser::of_alice(&gateway).await;
    let resource = gateway.running.url.as_str();
    for (arguments, line) in [(&["--browser", "--no-open"][..], "Open "), (&[], "Or open ")] {
        let home = tempfile::tempdir().unwrap();
        let mut login = sign_in(&gateway, &home, &[&["--resource", resource], arguments].concat());
        let answer = browser.decide(&login.says(line).await, "allow").await;
        if let Some(location) = answer.headers().get(LOCATION) {
            browser.get(location.to_str().unwrap()).await;
        }
        login.ended().await.ok();
        age(&home, OVER_AN_HOUR);
        let token = token(&gateway, &home).await;
        whoami(&gateway, &token).await;
        let sessions = complaint(&run(&mut gateway.bridge(&home, &["sessions"])).await);
        assert!(sessions.contains("(401"), "{sessions}");
        let checked = printed(&run(&mut gateway.bridge(&home, &["token", "--check"])).await);
        assert_eq!(text(&whoami(&gateway, checked.trim()).await, "user_id"), "alice");
        printed(&run(&mut gateway.bridge(&home, &["status"])).await);
        printed(&run(&mut gateway.bridge(&home, &["logout"])).await);
        assert_eq!(gateway.get("/v1/whoami", &token).await.status(), 401);
    }
}

#[tokio::test]
async fn a_session_that_an_operator_ended_is_told_to_the_program_that_wants_a_token() {
    let gateway = Gateway::start(&[]).await;
    let home = signed_in(&gateway).await;
    revoke_all(&gateway).await;
    let ended = signed_out(&run(&mut gateway.bridge(&home, &["token", "--check"])).await);
    let login = format!("sign in again: bridge login {}/", gateway.running.url);
    assert_eq!(ended, format!("error: this device was signed out; {login}\n"));
    // It knows where.
    sign_in_again(&gateway, &home).await;
    whoami(&gateway, &token(&gateway, &home).await).await;
}
