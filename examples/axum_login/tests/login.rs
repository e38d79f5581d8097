//! The gateway over real sockets: a browser with cookies, and programs with tokens.

#![allow(clippy::unwrap_used)]

use bridge_auth::Bridge;
use bridge_auth::store::SqliteStore;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use example_axum_login::{Users, app};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

struct Site {
    url: String,
    _folder: TempDir,
}

impl Site {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("bridges.db")).await.unwrap();
        let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
        let bridge = Bridge::builder(url.as_str(), keys, store).build().unwrap();
        let app = app(&bridge, &url, Users::demo()).unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, _folder: folder }
    }

    fn browser(&self) -> Browser<'_> {
        let client =
            Client::builder().no_proxy().cookie_store(true).redirect(Policy::none()).build().unwrap();
        Browser { site: self, client }
    }
}

/// It keeps its cookies.
struct Browser<'s> {
    site: &'s Site,
    client: Client,
}

impl Browser<'_> {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.site.url))
    }

    async fn post(&self, path: &str) -> Response {
        self.request(Method::POST, path).header("origin", &self.site.url).send().await.unwrap()
    }

    async fn sign_in(&self, name: &str, password: &str) -> u16 {
        let form = self.request(Method::POST, "/login").form(&[("name", name), ("password", password)]);
        form.send().await.unwrap().status().as_u16()
    }

    /// The token of a program that this browser's person connects.
    async fn connect(&self) -> String {
        let code: Value = self.post("/v1/auth/bridge/code").await.json().await.unwrap();
        let exchange = json!({ "code": code["code"] });
        let program = self.site.browser();
        let answer =
            program.request(Method::POST, "/v1/auth/bridge/session").json(&exchange).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned()
    }

    async fn whoami(&self, token: &str) -> Response {
        self.request(Method::GET, "/v1/whoami").bearer_auth(token).send().await.unwrap()
    }
}

#[tokio::test]
async fn who_signs_in_at_axum_login_connects_programs_with_the_scopes_of_the_person() {
    let site = Site::start().await;
    for (name, who) in [
        ("alice", "user 1 with the scopes models:admin models:call\n"),
        ("bob", "user 2 with the scopes models:call\n"),
    ] {
        let browser = site.browser();
        assert_eq!(browser.sign_in(name, &format!("{name}'s password")).await, 303);
        assert_eq!(browser.request(Method::GET, "/").send().await.unwrap().status(), 200);
        let token = browser.connect().await;
        assert_eq!(site.browser().whoami(&token).await.text().await.unwrap(), who);
    }
}

#[tokio::test]
async fn nobody_gets_a_code_who_is_not_signed_in() {
    let site = Site::start().await;
    let browser = site.browser();
    for (name, password) in [("alice", "bob's password"), ("mallory", "x"), ("alice", "")] {
        assert_eq!(browser.sign_in(name, password).await, 401);
    }
    assert_eq!(browser.post("/v1/auth/bridge/code").await.status(), 401);
    let home = browser.request(Method::GET, "/").send().await.unwrap();
    assert!(
        home.status().is_redirection() && home.headers()["location"].to_str().unwrap().starts_with("/login")
    );
}

#[tokio::test]
async fn a_cookie_opens_nothing_that_is_for_programs() {
    let site = Site::start().await;
    let browser = site.browser();
    browser.sign_in("alice", "alice's password").await;
    assert_eq!(browser.request(Method::GET, "/v1/whoami").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_page_of_another_site_neither_signs_in_nor_connects() {
    let site = Site::start().await;
    let browser = site.browser();
    browser.sign_in("alice", "alice's password").await;
    for path in ["/login", "/logout", "/logout/everywhere", "/v1/auth/bridge/code"] {
        let forged = browser.request(Method::POST, path).header("origin", "https://evil.example");
        let forged = forged
            .header("sec-fetch-site", "cross-site")
            .form(&[("name", "bob"), ("password", "bob's password")]);
        assert_eq!(forged.send().await.unwrap().status(), 403, "{path}");
    }
    assert_eq!(browser.post("/v1/auth/bridge/code").await.status(), 201, "she is signed in still");
}

#[tokio::test]
async fn programs_outlive_a_logout_but_not_a_logout_everywhere() {
    let site = Site::start().await;
    let browser = site.browser();
    browser.sign_in("alice", "alice's password").await;
    let token = browser.connect().await;
    assert_eq!(browser.post("/logout").await.status(), 303);
    assert_eq!(browser.post("/v1/auth/bridge/code").await.status(), 401);
    assert_eq!(browser.whoami(&token).await.status(), 200);

    browser.sign_in("alice", "alice's password").await;
    assert_eq!(browser.post("/logout/everywhere").await.status(), 303);
    assert_eq!(browser.whoami(&token).await.status(), 401);
}
