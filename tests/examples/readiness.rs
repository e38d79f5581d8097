//! `gateway`: what its probes say when its database cannot do its work.

use std::fs;
use std::time::Duration;

use reqwest::Client;
use reqwest::header::COOKIE;
use tokio::time::{sleep, timeout};

use super::{Gateway, alice, text};
use crate::support::disk::Disk;
use crate::support::process::{start, wrapped};

/// What the probe answers: its status, whether to come again soon, and its words.
pub(super) type Answer = (u16, bool, String);

#[tokio::test]
async fn a_disk_without_room_shows_in_readiness_until_there_is_room() {
    for disk in Disk::kinds().await {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("data");
        fs::create_dir(&folder).unwrap();
        let database = format!("sqlite:{}", folder.join("gateway.db").display());
        let mut command = wrapped(&disk.wrapper(&folder, 4), "gateway", home.path());
        let running = start(command.args(["--listen", "127.0.0.1:0", "--database", &database])).await;
        let client = Client::builder().no_proxy().build().unwrap();
        let gateway = Gateway { running, home, client };
        let token = text(&gateway.link(alice()).await, "token");
        becomes(&gateway, 200, "ready").await;
        let cookie = gateway.login(alice()).await;

        let full = disk.fill(&[gateway.running.id()], &folder).await;
        let told = format!("{}; an operator must act, the gateway's log has the cause", words(disk));
        let (_, comes_again, _) = becomes(&gateway, 503, &told).await;
        assert!(!comes_again, "it does not pass by itself");
        let code = gateway.client.post(gateway.url("/v1/auth/bridge/code")).header(COOKIE, cookie);
        assert_eq!(code.send().await.unwrap().status(), 503, "{disk:?}");
        assert_eq!(gateway.get("/v1/whoami", &token).await.status(), 200, "sessions are looked up: {disk:?}");
        is_alive(&gateway).await;

        disk.make_room(&[gateway.running.id()], full).await;
        becomes(&gateway, 200, "ready").await;
        gateway.link(alice()).await;
    }
}

#[tokio::test]
async fn a_database_file_that_is_gone_lets_nobody_in_until_it_is_back() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("gateway.db");
    let away = home.path().join("away.db");
    let database = format!("sqlite:{}", file.display());
    let gateway = Gateway::start_in(home, &["--database", &database]).await;
    let token = text(&gateway.link(alice()).await, "token");
    let cookie = gateway.login(alice()).await;
    let code = async || {
        let code = gateway.client.post(gateway.url("/v1/auth/bridge/code")).header(COOKIE, &cookie);
        code.send().await.unwrap().status()
    };
    let words = "the file of the database was moved, removed or replaced; an operator must act, the gateway's log has the cause";

    fs::rename(&file, &away).unwrap();
    assert!(!becomes(&gateway, 503, words).await.1);
    assert_eq!(gateway.get("/v1/whoami", &token).await.status(), 503);
    assert_eq!(code().await, 503);
    is_alive(&gateway).await;

    fs::copy(&away, &file).unwrap();
    assert_eq!(readyz(&gateway).await.0, 503, "another file is no better");
    assert_eq!(
        (gateway.get("/v1/whoami", &token).await.status().as_u16(), code().await.as_u16()),
        (503, 503)
    );

    fs::rename(&away, &file).unwrap();
    becomes(&gateway, 200, "ready").await;
    assert_eq!(gateway.get("/v1/whoami", &token).await.status(), 200);
    assert_eq!(code().await, 201);
}

/// Waits until the probe says so: what it found is shared for a second.
pub(super) async fn becomes(gateway: &Gateway, status: u16, words: &str) -> Answer {
    let waiting = async {
        loop {
            let answer = readyz(gateway).await;
            if (answer.0, &*answer.2) == (status, words) {
                return answer;
            }
            assert!(answer.0 == 200 || answer.0 == 503, "{answer:?}");
            sleep(Duration::from_millis(20)).await;
        }
    };
    let last = timeout(Duration::from_secs(20), waiting).await;
    match last {
        Ok(answer) => answer,
        Err(_) => panic!("not {status} {words:?} but {:?}", readyz(gateway).await),
    }
}

async fn readyz(gateway: &Gateway) -> Answer {
    let answer = gateway.client.get(gateway.url("/readyz")).send().await.unwrap();
    let comes_again = answer.headers().contains_key("retry-after");
    let status = answer.status().as_u16();
    let words = answer.text().await.unwrap();
    let told: serde_json::Value = serde_json::from_str(&words).unwrap();
    assert!(!words.contains(&*gateway.home.path().to_string_lossy()), "{words}");
    let words = told["reason"].as_str().or(told["status"].as_str()).unwrap().to_owned();
    (status, comes_again, words)
}

pub(super) async fn is_alive(gateway: &Gateway) {
    let health = gateway.client.get(gateway.url("/healthz")).send().await.unwrap();
    assert_eq!(health.status(), 200, "a restart would mend nothing");
}

/// What is said of a database of one file on such a disk.
fn words(disk: Disk) -> &'static str {
    match disk {
        Disk::Small { .. } => "the disk of the database is full",
        Disk::Forbidden => "the database does not work",
    }
}
