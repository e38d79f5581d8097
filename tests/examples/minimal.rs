//! `minimal`: people come through an authenticating proxy, and their programs renew themselves.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::text;
use crate::support::pages::read;
use crate::support::postgres::free_port;
use crate::support::process::{PATIENCE, example};

const SECRET: &str = "only-the-proxy-knows";

#[tokio::test]
async fn the_minimal_gateway_believes_its_proxy_alone_renews_and_drains() {
    let home = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = example("minimal", home.path());
    command.current_dir(home.path()).env("PROXY_SECRET", SECRET);
    command.env("GATEWAY_URL", "http://127.0.0.1:1").env("LISTEN", &address);
    let mut gateway = command.spawn().unwrap();
    let client = Client::builder().no_proxy().build().unwrap();
    let url = |path: &str| format!("http://{address}{path}");
    let ready = async || client.get(url("/health/ready")).send().await.map(|answer| answer.status());
    let until = async |status: StatusCode| {
        while ready().await.ok() != Some(status) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, until(StatusCode::OK)).await.expect("it becomes ready");

    let ask = async |secret: &str| {
        let code = client.post(url("/v1/auth/bridge/code")).header("x-proxy-user", "alice");
        code.header("x-proxy-secret", secret).send().await.unwrap()
    };
    assert_eq!(ask("a-guess").await.status(), 401);
    let code: Value = ask(SECRET).await.json().await.unwrap();
    let exchange = client.post(url("/v1/auth/bridge/session")).json(&json!({ "code": code["code"] }));
    let access: Value = exchange.send().await.unwrap().json().await.unwrap();
    let refresh = [
        ("grant_type", "refresh_token"),
        ("client_id", "sp_bridge"),
        ("refresh_token", access["refresh_token"].as_str().unwrap()),
    ];
    let renewed = client.post(url("/v1/auth/bridge/token")).form(&refresh).send().await.unwrap();
    let renewed: Value = renewed.json().await.unwrap();
    let whoami = client.get(url("/v1/whoami")).bearer_auth(text(&renewed, "access_token")).send();
    assert!(whoami.await.unwrap().text().await.unwrap().starts_with("alice in session sess_"));
    assert_eq!(client.get(url("/v1/whoami")).send().await.unwrap().status(), 401);

    let id = gateway.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").arg(id).status().unwrap().success());
    timeout(PATIENCE, until(StatusCode::SERVICE_UNAVAILABLE)).await.expect("it drains");
    assert!(timeout(PATIENCE, gateway.wait()).await.expect("it ends").unwrap().success());
}

#[test]
fn the_minimal_gateway_has_at_most_60_lines() {
    assert!(read("examples/minimal.rs").lines().count() <= 60);
}
