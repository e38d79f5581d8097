//! The example gateway, the programs that are let in there, and what a person does on its pages.

use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::sleep;

use crate::browser::Browser;
use crate::process::{Running, example, start};

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The one that the example gateway registers.
const CLIENT: &str = "sp_bridge";

/// A running example gateway, its folder, and a program that talks to it.
#[derive(Debug)]
pub struct Gateway {
    /// The process.
    pub running: Running,
    _home: TempDir,
    http: Client,
}

impl Gateway {
    /// Starts one on a free port, with what it keeps in a folder of its own.
    pub async fn start(arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = example("gateway", home.path());
        let running = start(command.args(["--listen", "127.0.0.1:0"]).args(arguments)).await;
        Self::of(running, home)
    }

    /// Starts one where people sign in with passkeys. It finds that login by itself, and builds it.
    pub async fn start_with_passkeys() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = example("gateway", home.path());
        // Cargo needs the home of the one who builds.
        for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME"] {
            if let Some(own) = std::env::var_os(name) {
                command.env(name, own);
            }
        }
        let running = start(command.args(["--listen", "127.0.0.1:0", "--login", "passkey"])).await;
        Self::of(running, home)
    }

    fn of(running: Running, home: TempDir) -> Self {
        let http = Client::builder().no_proxy().user_agent("bridge/0.1 (Linux)").build().unwrap();
        Self { running, _home: home, http }
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.running.url)
    }

    /// The URL of a page, as people know it.
    #[must_use]
    pub fn page(&self, path: &str) -> String {
        let own = self.running.printed_after("people sign in at ");
        format!("{}{path}", own.trim_end_matches('/'))
    }

    /// What lets an operator in.
    #[must_use]
    pub fn operators_token(&self) -> &str {
        self.running.printed_after("operators' token: ")
    }

    /// The program `bridge` of a person who lives in `home`.
    #[must_use]
    pub fn bridge(&self, home: &TempDir, arguments: &[&str]) -> Command {
        let mut command = example("bridge", home.path());
        command.env("BRIDGE_GATEWAY", &self.running.url).args(arguments);
        command
    }

    /// A program asks for a device code and a user code.
    pub async fn ask(&self) -> Waiting {
        let form = [("client_id", CLIENT), ("scope", "hook:track")];
        let request = self.http.post(self.url("/v1/auth/bridge/device_authorization")).form(&form);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        Waiting(answer.json().await.unwrap())
    }

    /// The token endpoint's answer to a program that waits.
    pub async fn poll(&self, waiting: &Waiting) -> Value {
        let form = [
            ("grant_type", DEVICE_GRANT),
            ("device_code", waiting.member("device_code")),
            ("client_id", CLIENT),
        ];
        let request = self.http.post(self.url("/v1/auth/bridge/token")).form(&form);
        request.send().await.unwrap().json().await.unwrap()
    }

    /// What the program gets that waits as long as it is told to.
    pub async fn collect(&self, waiting: &Waiting) -> Value {
        let mut interval = 5;
        loop {
            let answer = self.poll(waiting).await;
            match answer["error"].as_str() {
                Some("authorization_pending") => {}
                Some("slow_down") => interval += 5,
                _ => return answer,
            }
            sleep(Duration::from_secs(interval)).await;
        }
    }

    /// The access token of a program that a person let in without any page.
    pub async fn link(&self, person: &str, device_name: &str) -> String {
        let login = json!({ "user_id": person, "label": format!("{person}@example.org") });
        let login = self.http.post(self.url("/demo/login")).json(&login).send().await.unwrap();
        let cookie = login.headers()["set-cookie"].clone();
        let code = self.http.post(self.url("/v1/auth/bridge/code")).header("cookie", cookie);
        let code: Value = code.send().await.unwrap().json().await.unwrap();
        let exchange = self.http.post(self.url("/v1/auth/bridge/session"));
        let exchange = exchange.json(&json!({ "code": code["code"], "device_name": device_name }));
        let access: Value = exchange.send().await.unwrap().json().await.unwrap();
        access["token"].as_str().unwrap_or_else(|| panic!("no token in {access}")).to_owned()
    }

    /// Calls the gateway with an access token.
    pub async fn call(&self, token: &str) -> Response {
        self.http.get(self.url("/v1/whoami")).bearer_auth(token).send().await.unwrap()
    }

    /// Who calls with the token in the token endpoint's answer.
    pub async fn caller(&self, answer: &Value) -> String {
        let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("no token in {answer}"));
        let called = self.call(token).await;
        assert_eq!(called.status(), 200);
        called.json::<Value>().await.unwrap()["user_id"].as_str().unwrap().to_owned()
    }
}

/// The codes of a program that waits for a person.
#[derive(Debug)]
pub struct Waiting(Value);

impl Waiting {
    fn member(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap()
    }

    /// The code that the program shows.
    #[must_use]
    pub fn user_code(&self) -> &str {
        self.member("user_code")
    }

    /// The page on which the code is typed.
    #[must_use]
    pub fn page(&self) -> &str {
        self.member("verification_uri")
    }

    /// The page with the code filled in.
    #[must_use]
    pub fn page_with_code(&self) -> &str {
        self.member("verification_uri_complete")
    }
}

/// The button that lets a program in.
pub const ALLOW: &str = "button[name=decision][value=allow]";
/// The button that refuses it.
pub const DENY: &str = "button[name=decision][value=deny]";

impl Browser {
    /// Fills in the login page of the example gateway, which is open.
    pub async fn sign_in(&self, name: &str) {
        self.fill("input[name=user_id]", name).await;
        self.fill("input[name=label]", &format!("{name}@example.org")).await;
        self.press("form[action='/login'] button").await;
    }

    /// Opens the gateway as a person who is signed in there.
    pub async fn is_signed_in(&self, gateway: &Gateway, name: &str) {
        self.visit(&gateway.url("/login")).await;
        self.sign_in(name).await;
    }

    /// Opens the operators' page as an operator, who tells the browser the token. The browser sends it again by itself.
    pub async fn is_operator(&self, gateway: &Gateway) {
        let token = gateway.operators_token();
        self.visit(&gateway.url("/admin").replace("http://", &format!("http://operator:{token}@"))).await;
    }

    /// The heading of the page.
    pub async fn heading(&self) -> String {
        let headings = self.find_all(thirtyfour::By::Tag("h1")).await.unwrap();
        assert_eq!(headings.len(), 1, "a page has one heading: {}", self.text().await);
        headings[0].text().await.unwrap()
    }

    /// Writes the pictures of the page that is open, and checks that it is readable for everybody.
    pub async fn is_good(&self, name: &str) {
        self.picture(name).await;
        self.is_accessible(name).await;
    }
}
