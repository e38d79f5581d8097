//! Clients that other people wrote, against the examples: the scripts of `tests/stock`, with what `.ci/stock` installs.

use std::path::Path;

use serde_json::{Value, json};

use super::{Gateway, alice, text};
use crate::support::postgres::free_port;
use crate::support::stock;

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
            let mut command = stock::script(Path::new(env!("CARGO_MANIFEST_DIR")), script);
            command
                .env("GATEWAY", &self.gateway.running.url)
                .env("CLIENT_ID", &self.client_id)
                .env("CLIENT_SECRET", &self.client_secret)
                .env("REFRESH_TOKEN", self.fresh_refresh_token().await)
                .env("AUTH_METHOD", method);
            stock::succeeds(&mut command).await;
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

/// A gateway of a company: the script is its identity provider, and its agents.
#[tokio::test]
async fn oauth4webapi_and_jose_let_agents_in_by_the_company_and_out_when_it_says_so() {
    let provider = format!("http://127.0.0.1:{}", free_port());
    let secrets =
        ["planner", "researcher"].map(|agent| format!("the-secret-of-the-agent-{agent}-of-the-company"));
    let [planner, researcher] = &secrets;
    let agents = format!("planner:{planner},researcher:{researcher}");
    let gateway = Gateway::start(&["--identity-provider", &provider, "--agent", &agents]).await;
    let mut command = stock::script(Path::new(env!("CARGO_MANIFEST_DIR")), "oauth4webapi_delegation.mjs");
    command
        .env("GATEWAY", &gateway.running.url)
        .env("PROVIDER", &provider)
        .env("PLANNER_SECRET", planner)
        .env("RESEARCHER_SECRET", researcher);
    stock::succeeds(&mut command).await;
}
