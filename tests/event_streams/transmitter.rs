//! The transmitter of `tests/stock`, and how a test tells it what to do.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

use crate::support::stock;

/// What the transmitter calls the gateway.
pub const AUDIENCE: &str = "https://gateway.example/events";
pub const TOKEN: &str = "the-receivers-own-token";

pub const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
pub const ACCOUNT_DISABLED: &str = "https://schemas.openid.net/secevent/risc/event-type/account-disabled";

/// A transmitter that runs until it is dropped.
pub struct Transmitter {
    pub issuer: String,
    client: reqwest::Client,
    _process: Child,
    _output: Lines<BufReader<ChildStdout>>,
}

impl Transmitter {
    pub async fn start() -> Self {
        let mut command = stock::script(Path::new(env!("CARGO_MANIFEST_DIR")), "transmitter.mjs");
        command.env("AUDIENCE", AUDIENCE).env("RECEIVER_TOKEN", TOKEN);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = timeout(Duration::from_secs(60), output.next_line()).await.expect("it starts");
        let issuer = first.unwrap().expect("it says where it listens");
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { issuer, client, _process: process, _output: output }
    }

    pub fn jwks_url(&self) -> String {
        format!("{}/jwks.json", self.issuer)
    }

    /// Changes what it does from now on.
    pub async fn given(&self, what: Value) {
        self.control("given", &what).await;
    }

    /// What the receivers did.
    pub async fn log(&self) -> Value {
        self.control("log", &json!({})).await
    }

    /// Loses its streams.
    pub async fn forget(&self) {
        self.control("forget", &json!({})).await;
    }

    /// Says that its stream has `status` now, because of `reason`.
    pub async fn updates(&self, status: &str, reason: &str) -> Value {
        self.control("update", &json!({ "status": status, "reason": reason })).await
    }

    /// Says `event` of `person`. The `jti`, and the answer when the event is pushed.
    pub async fn says(&self, event: &str, person: &str) -> Value {
        self.says_with(event, person, &json!({})).await
    }

    /// The same, with what is wrong with the SET.
    pub async fn says_with(&self, event: &str, person: &str, overrides: &Value) -> Value {
        let mut body = json!({
            "events": { event: {} },
            "subject": { "format": "iss_sub", "iss": self.issuer, "sub": person },
        });
        body.as_object_mut().unwrap().extend(overrides.as_object().unwrap().clone());
        self.control("emit", &body).await
    }

    async fn control(&self, action: &str, body: &Value) -> Value {
        let request = self.client.post(format!("{}/control/{action}", self.issuer)).body(body.to_string());
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default()
    }
}
