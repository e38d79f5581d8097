//! `gateway`: what its probes say when its database cannot do its work.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Client;
use reqwest::header::COOKIE;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::{Gateway, alice, text};
use crate::support::process::{start, wrapped};

/// What the probe answers: its status, whether to come again soon, and its words.
type Answer = (u16, bool, String);

#[tokio::test]
async fn a_disk_without_room_shows_in_readiness_until_there_is_room() {
    for disk in Disk::kinds().await {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("data");
        fs::create_dir(&folder).unwrap();
        let database = format!("sqlite:{}", folder.join("gateway.db").display());
        let mut command = wrapped(&disk.wrapper(), "gateway", home.path());
        let running = start(command.args(["--listen", "127.0.0.1:0", "--database", &database])).await;
        let client = Client::builder().no_proxy().build().unwrap();
        let gateway = Gateway { running, home, client };
        let token = text(&gateway.link(alice()).await, "token");
        becomes(&gateway, 200, "ready").await;
        let cookie = gateway.login(alice()).await;

        let full = disk.fill(gateway.running.id(), &folder).await;
        let told = format!("{}; an operator must act, the gateway's log has the cause", disk.words());
        let (_, comes_again, _) = becomes(&gateway, 503, &told).await;
        assert!(!comes_again, "it does not pass by itself");
        let code = gateway.client.post(gateway.url("/v1/auth/bridge/code")).header(COOKIE, cookie);
        assert_eq!(code.send().await.unwrap().status(), 503, "{disk:?}");
        assert_eq!(gateway.get("/v1/whoami", &token).await.status(), 200, "sessions are looked up: {disk:?}");
        is_alive(&gateway).await;

        disk.make_room(gateway.running.id(), full).await;
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
    assert_eq!(readyz(&gateway).await, (503, false, words.to_owned()));
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
    assert_eq!(readyz(&gateway).await, (200, false, "ready".to_owned()));
    assert_eq!(gateway.get("/v1/whoami", &token).await.status(), 200);
    assert_eq!(code().await, 201);
}

/// Waits until the probe says so: what it found is shared for a second.
async fn becomes(gateway: &Gateway, status: u16, words: &str) -> Answer {
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
    assert!(!words.contains(&*gateway.home.path().to_string_lossy()), "{words}");
    (status, comes_again, words)
}

async fn is_alive(gateway: &Gateway) {
    let health = gateway.client.get(gateway.url("/healthz")).send().await.unwrap();
    assert_eq!(health.status(), 200, "a restart would mend nothing");
}

/// How a disk gets full.
#[derive(Debug, Clone, Copy)]
enum Disk {
    /// A small file system that only the gateway sees, and that is filled. Needs root, or namespaces for everybody.
    Small { is_root: bool },
    /// The system lets the process write no more: for everybody. SQLite takes it for a broken disk.
    Forbidden,
}

impl Disk {
    /// All that this machine has.
    async fn kinds() -> Vec<Self> {
        let mut kinds = vec![Self::Forbidden];
        for is_root in [true, false] {
            let small = Self::Small { is_root };
            let wrapper = small.wrapper();
            let mut tried = Command::new(wrapper[0]);
            let home = tempfile::tempdir().unwrap();
            fs::create_dir(home.path().join("data")).unwrap();
            let tried = tried.args(&wrapper[1..]).arg("true").env("HOME", home.path()).output().await;
            if tried.is_ok_and(|tried| tried.status.success()) {
                kinds.push(small);
                break;
            }
        }
        kinds
    }

    fn wrapper(self) -> Vec<&'static str> {
        let mount = "mount -t tmpfs -o size=4m none \"$HOME/data\" && exec \"$@\"";
        match self {
            Self::Small { is_root: true } => vec!["unshare", "-m", "sh", "-c", mount, "sh"],
            Self::Small { is_root: false } => vec!["unshare", "-r", "-m", "sh", "-c", mount, "sh"],
            // Whoever writes too much is told, not killed.
            Self::Forbidden => vec!["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"],
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Small { .. } => "the disk of the database is full",
            Self::Forbidden => "the database does not work",
        }
    }

    /// Takes all room from the process, and returns what to remove to give it back.
    async fn fill(self, process: u32, folder: &Path) -> Option<PathBuf> {
        match self {
            Self::Small { .. } => {
                // As the process sees it.
                let seen = Path::new("/proc").join(process.to_string()).join("root");
                let filler = seen.join(folder.strip_prefix("/").unwrap()).join("filler");
                let mut file = OpenOptions::new().append(true).create_new(true).open(&filler).unwrap();
                let full = loop {
                    if let Err(error) = file.write_all(&[0; 1024]) {
                        break error;
                    }
                };
                assert_eq!(full.kind(), io::ErrorKind::StorageFull);
                Some(filler)
            }
            Self::Forbidden => {
                limit(process, "0").await;
                None
            }
        }
    }

    async fn make_room(self, process: u32, filler: Option<PathBuf>) {
        match filler {
            Some(filler) => fs::remove_file(filler).unwrap(),
            None => limit(process, "unlimited").await,
        }
    }
}

/// How many bytes a file that `process` writes may have.
async fn limit(process: u32, bytes: &str) {
    let mut command = Command::new("prlimit");
    command.args(["--pid", &process.to_string(), &format!("--fsize={bytes}:")]);
    assert!(command.status().await.unwrap().success());
}
