//! Clients that other people wrote, against the examples: the scripts of `tests/stock`, with what `.ci/stock` installs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;

use super::{Gateway, alice, text};
use crate::support::process::run;

const METHODS: [&str; 2] = ["client_secret_basic", "client_secret_post"];

/// A gateway, and a hook client that a person's bridge provisioned there.
struct Provisioned {
    gateway: Gateway,
    client_id: String,
    client_secret: String,
}

impl Provisioned {
    async fn start() -> Self {
        let gateway = Gateway::start(&[]).await;
        let access = gateway.link(alice()).await;
        let provision = gateway.client.post(gateway.url("/v1/auth/bridge/oauth-client"));
        let answer = provision.bearer_auth(text(&access, "token")).send().await.unwrap();
        let client: Value = answer.json().await.unwrap();
        let (client_id, client_secret) = (text(&client, "client_id"), text(&client, "client_secret"));
        Self { gateway, client_id, client_secret }
    }

    /// Runs a script with each way to prove itself that it may choose.
    async fn runs(&self, script: &str) {
        for method in METHODS {
            let mut command = interpreter(script);
            command
                .env("GATEWAY", &self.gateway.running.url)
                .env("CLIENT_ID", &self.client_id)
                .env("CLIENT_SECRET", &self.client_secret)
                .env("REFRESH_TOKEN", self.fresh_refresh_token().await)
                .env("AUTH_METHOD", method);
            succeeds(&mut command, method).await;
        }
    }

    /// One that no script has used.
    async fn fresh_refresh_token(&self) -> String {
        text(&self.gateway.link(json!({ "user_id": "bob" })).await, "refresh_token")
    }
}

#[tokio::test]
async fn authlib_fetches_a_hook_token_introspects_and_revokes_it() {
    Provisioned::start().await.runs("authlib_client.py").await;
}

#[tokio::test]
async fn requests_oauthlib_fetches_a_hook_token_and_its_credentials_introspect_and_revoke_it() {
    Provisioned::start().await.runs("requests_oauthlib_client.py").await;
}

#[tokio::test]
async fn oauth4webapi_fetches_a_hook_token_introspects_and_revokes_it_and_refreshes() {
    Provisioned::start().await.runs("oauth4webapi.mjs").await;
}

/// What runs `script`, beside the libraries it imports.
fn interpreter(script: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (sources, installed) = (root.join("tests/stock"), root.join("target/stock"));
    assert!(installed.join("installed").exists(), "the stock clients are not installed: run .ci/stock");
    if script.ends_with(".py") {
        let mut command = Command::new(installed.join("python/bin/python"));
        // Both libraries want to be told that plain http is meant, which on loopback it is.
        command.env("AUTHLIB_INSECURE_TRANSPORT", "1").env("OAUTHLIB_INSECURE_TRANSPORT", "1");
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(sources.join(script));
        command
    } else {
        let mut command = Command::new("node");
        command.arg(beside_its_modules(&sources.join(script), &installed));
        command
    }
}

/// A copy of a script where Node looks for its imports.
fn beside_its_modules(script: &Path, installed: &Path) -> PathBuf {
    let copy = installed.join(script.file_name().unwrap());
    let written = tempfile::NamedTempFile::new_in(installed).unwrap();
    std::fs::copy(script, written.path()).unwrap();
    // In one step: another test may be reading it.
    written.persist(&copy).unwrap();
    copy
}

async fn succeeds(command: &mut Command, with: &str) {
    command.env("NO_PROXY", "127.0.0.1").kill_on_drop(true);
    let output = run(command).await;
    let told = format!("{with}: {}{}", text_of(&output.stdout), text_of(&output.stderr));
    assert!(output.status.success() && text_of(&output.stdout).ends_with("ok\n"), "{told}");
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
