//! The examples, as a person runs them.

mod admin;
mod bridge;
mod bridge_login;
mod bridge_loopback;
mod bridge_sign_in;
mod bridge_token;
mod demo;
mod gateway;
mod hooks;
mod hyper;
mod login;
mod proxy;
mod readiness;
mod readiness_postgres;
mod readme;
mod recording;
mod relay;
mod renewal;
mod scripted;
mod stock;
mod stopping;
mod timeouts;
mod two_keys;

use reqwest::header::{COOKIE, SET_COOKIE};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::process::{Running, example, start};

/// A running example gateway, its folder, and a client that talks to it.
struct Gateway {
    running: Running,
    home: TempDir,
    client: Client,
}

impl Gateway {
    /// Starts one on a free port, with what it keeps in a folder of its own.
    async fn start(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments).await
    }

    async fn start_in(home: TempDir, arguments: &[&str]) -> Self {
        Self::start_at(home, "127.0.0.1:0", arguments).await
    }

    async fn start_at(home: TempDir, listen: &str, arguments: &[&str]) -> Self {
        let mut command = example("gateway", home.path());
        Self::started_by(home, command.args(["--listen", listen]).args(arguments)).await
    }

    async fn started_by(home: TempDir, command: &mut Command) -> Self {
        let running = start(command).await;
        let client = Client::builder().no_proxy().build().unwrap();
        Self { running, home, client }
    }

    /// Ends it as a service manager would, and hands its folder on.
    async fn stop(mut self) -> TempDir {
        self.running.signal("TERM").await;
        assert!(self.running.ended().await.success());
        self.home
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.running.url)
    }

    fn admin_token(&self) -> &str {
        self.running.printed_after("operators' token: ")
    }

    /// The cookie of a person who signed in.
    async fn login(&self, login: Value) -> String {
        let answer = self.client.post(self.url("/demo/login")).json(&login).send().await.unwrap();
        assert_eq!(answer.status(), 204);
        let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
        cookie.split(';').next().unwrap().to_owned()
    }

    /// A code for whoever `login` says.
    async fn code(&self, login: Value, challenge: Option<&str>) -> String {
        let cookie = self.login(login).await;
        let body = challenge.map(|text| json!({ "code_challenge": text, "code_challenge_method": "S256" }));
        let mut request = self.client.post(self.url("/v1/auth/bridge/code")).header(COOKIE, cookie);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 201);
        text(&answer.json().await.unwrap(), "code")
    }

    /// What a code for `login` is exchanged for.
    async fn link(&self, login: Value) -> Value {
        let exchange = json!({ "code": self.code(login, None).await });
        let request = self.client.post(self.url("/v1/auth/bridge/session")).json(&exchange);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// The answer to `GET path` with a bearer token.
    async fn get(&self, path: &str, token: &str) -> Response {
        self.client.get(self.url(path)).bearer_auth(token).send().await.unwrap()
    }

    /// The command-line bridge of the person who lives in `home`.
    fn bridge(&self, home: &TempDir, arguments: &[&str]) -> Command {
        let mut command = example("bridge", home.path());
        command.env("BRIDGE_GATEWAY", &self.running.url).args(arguments);
        command
    }
}

fn alice() -> Value {
    json!({ "user_id": "alice" })
}

fn text(object: &Value, member: &str) -> String {
    object[member].as_str().unwrap().to_owned()
}
