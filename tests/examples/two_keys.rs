//! Two gateways on one database, each with a key file of its own: what an operator sees.

use std::path::Path;

use reqwest::Client;

use super::{Gateway, alice, text};
use crate::support::process::{example, start_logging};

/// A gateway on the database in `shared`, with its warnings in `log` beside its own folder's key file.
async fn gateway(shared: &Path, key_file: &Path, log: &Path) -> Gateway {
    let home = tempfile::tempdir().unwrap();
    let mut command = example("gateway", home.path());
    command
        .args(["--listen", "127.0.0.1:0", "--issuer", "https://gateway.example", "--database"])
        .arg(format!("sqlite:{}", shared.join("gateway.db").display()))
        .arg("--key-file")
        .arg(key_file);
    let running = start_logging(&mut command, log).await;
    Gateway { running, home, client: Client::builder().no_proxy().build().unwrap() }
}

#[tokio::test]
async fn gateways_with_different_key_files_say_why_they_refuse_each_others_tokens() {
    let shared = tempfile::tempdir().unwrap();
    let at = |name: &str| shared.path().join(name);
    let first = gateway(shared.path(), &at("first.key"), &at("first.log")).await;
    let second = gateway(shared.path(), &at("second.key"), &at("second.log")).await;
    let token = text(&first.link(alice()).await, "token");
    assert_eq!(first.get("/v1/whoami", &token).await.status(), 200);
    for _ in 0..5 {
        assert_eq!(second.get("/v1/whoami", &token).await.status(), 401);
    }
    drop(second);
    let told = |name: &str| {
        let log = std::fs::read_to_string(at(name)).unwrap();
        log.lines().filter(|line| line.contains("a key that this gateway does not have")).count()
    };
    assert_eq!((told("first.log"), told("second.log")), (0, 1));

    let third = gateway(shared.path(), &at("first.key"), &at("third.log")).await;
    assert_eq!(third.get("/v1/whoami", &token).await.status(), 200);
    assert_eq!(told("third.log"), 0);
}
