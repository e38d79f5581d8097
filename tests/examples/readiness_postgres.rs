//! `gateway` on a PostgreSQL whose disk gets full.

use std::time::Duration;

use reqwest::header::COOKIE;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_postgres::NoTls;

use super::readiness::{becomes, is_alive};
use super::{Gateway, alice, text};
use crate::support::disk::Disk;
use crate::support::postgres::Cluster;

/// What a new cluster takes, and some more.
const MEGABYTES: u32 = 128;

/// A gateway that let somebody in.
struct Victim {
    disk: Disk,
    cluster: Cluster,
    folder: tempfile::TempDir,
    gateway: Gateway,
    token: String,
    cookie: String,
}

impl Victim {
    async fn start(disk: Disk) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Files of the log are made when they are needed.
        let settings = ["min_wal_size = 32MB", "wal_recycle = off"].map(str::to_owned);
        let cluster = Cluster::start_on(&disk.wrapper(folder.path(), MEGABYTES), folder.path(), &settings);
        let arguments = ["--database", &cluster.url(), "--freshness", "strict"];
        let gateway = Gateway::start_in(tempfile::tempdir().unwrap(), &arguments).await;
        let token = text(&gateway.link(alice()).await, "token");
        let cookie = gateway.login(alice()).await;
        let victim = Self { disk, cluster, folder, gateway, token, cookie };
        victim.works().await;
        victim
    }

    async fn calls(&self, token: &str) -> u16 {
        self.gateway.get("/v1/whoami", token).await.status().as_u16()
    }

    /// Nobody is let in once the last proof is too old, and nobody is called bad who is not.
    async fn fails_well(&self) {
        self.comes_to(503, 200).await;
        for _ in 0..3 {
            assert_eq!(self.calls(&self.token).await, 503, "{:?}", self.disk);
            assert_eq!(self.calls(&format!("{}A", self.token)).await, 401, "{:?}", self.disk);
        }
        is_alive(&self.gateway).await;
    }

    async fn asks_for_a_code(&self) -> u16 {
        let code = self.gateway.client.post(self.gateway.url("/v1/auth/bridge/code"));
        code.header(COOKIE, &self.cookie).send().await.unwrap().status().as_u16()
    }

    async fn works(&self) {
        becomes(&self.gateway, 200, "ready").await;
        self.comes_to(200, 503).await;
        self.gateway.link(alice()).await;
    }

    /// The token is answered with `status`, and with `before` until then.
    async fn comes_to(&self, status: u16, before: u16) {
        let coming = async {
            loop {
                let answered = self.calls(&self.token).await;
                if answered == status {
                    break;
                }
                assert_eq!(answered, before, "{:?}", self.disk);
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(20), coming).await.unwrap_or_else(|_| panic!("never {status}"));
    }
}

/// A tick takes no room where it can take that of one before it, and so there may be some for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_cannot_write_another_page_is_not_ready_and_calls_no_token_bad() {
    for disk in Disk::kinds().await.into_iter().filter(|disk| *disk != Disk::Forbidden) {
        let victim = Victim::start(disk).await;
        // As long as this is open, each tick is a row more.
        let holder = victim.cluster.client().await;
        holder.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT").await.unwrap();
        let processes = victim.cluster.processes().await;
        let full = disk.fill(&processes, victim.folder.path()).await;
        // Ticks come a few times in a second. These fill the last page at once.
        let writer = victim.cluster.client().await;
        while writer.batch_execute("UPDATE bridge_auth.ticks SET begun_at = begun_at").await.is_ok() {}
        let told = "the disk of the database is full; an operator must act, the gateway's log has the cause";
        let (_, comes_again, _) = becomes(&victim.gateway, 503, told).await;
        assert!(!comes_again, "it does not pass by itself");
        victim.fails_well().await;
        disk.make_room(&processes, full).await;
        victim.works().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_cannot_write_its_log_and_ends_lets_in_nobody_until_it_is_started_again() {
    for disk in Disk::kinds().await {
        let victim = Victim::start(disk).await;
        let processes = victim.cluster.processes().await;
        let full = disk.fill(&processes, victim.folder.path()).await;
        let ending = timeout(Duration::from_secs(60), write_until_it_ends(&victim.cluster));
        ending.await.unwrap_or_else(|_| panic!("it has room still: {disk:?}"));
        let (_, comes_again, _) = becomes(&victim.gateway, 503, "the database cannot be reached").await;
        assert!(comes_again, "it may be started again");
        victim.fails_well().await;
        assert_eq!(victim.asks_for_a_code().await, 503, "{disk:?}");

        disk.make_room(&[], full).await;
        victim.cluster.tell("start");
        victim.works().await;
    }
}

/// Has the server write its log until it crashes, and again each time that it has recovered, until it has no room to recover.
async fn write_until_it_ends(cluster: &Cluster) {
    let write =
        "SELECT count(pg_logical_emit_message(false, '', repeat('x', 100))) FROM generate_series(1, 10000)";
    while TcpStream::connect(("127.0.0.1", cluster.port())).await.is_ok() {
        match tokio_postgres::connect(&cluster.url(), NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                while client.batch_execute(write).await.is_ok() {}
            }
            // It recovers.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}
