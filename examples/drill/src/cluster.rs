//! The cluster: three nodes with Patroni, etcd, and HAProxy in front.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rand::RngExt as _;
use reqwest::{Client, StatusCode};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::folder::{Folder, ServerUser};
use crate::install::{find, say, server_programs};
use crate::node::{Node, SCOPE};
use crate::options::Options;

/// These ports are below those of outgoing connections. So no outgoing connection takes the port of a stopped server.
const PORTS: std::ops::Range<u16> = 15_000..30_000;
/// How often a state is checked.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// After this time, a member that does not come back by itself is initialized again.
const COMES_BACK: Duration = Duration::from_secs(25);
/// After this time, the drill gives the cluster up.
const GIVES_UP: Duration = Duration::from_secs(150);

#[derive(Debug)]
pub struct Cluster {
    pub nodes: Vec<Node>,
    pub proxy_port: u16,
    pub etcd_port: u16,
    user: Option<ServerUser>,
    _etcd: Child,
    _proxy: Child,
}

impl Cluster {
    /// Starts the cluster and waits until it is healthy.
    pub async fn start(folder: &Folder, options: &Options) -> Result<Self> {
        let user = ServerUser::find()?;
        let client = Client::builder().no_proxy().pool_max_idle_per_host(0).build()?;
        let ports = free_ports(9)?;
        let (proxy_port, etcd_port) = (ports[0], ports[1]);
        let mut nodes = Vec::new();
        for number in 0..3 {
            let place = (format!("n{}", number + 1), ports[3 + 2 * number], ports[4 + 2 * number]);
            nodes.push(Node::new(folder, user, place, client.clone(), options.logs.as_deref())?);
        }
        let etcd = start_etcd(folder, user, (etcd_port, ports[2]))?;
        let proxy = start_proxy(folder, user, &nodes, proxy_port, options.shutdown_sessions)?;
        let mut cluster = Self { nodes, proxy_port, etcd_port, user, _etcd: etcd, _proxy: proxy };
        cluster.wait_for_etcd(&client).await?;
        let binaries =
            server_programs().context("/usr/lib/postgresql has no PostgreSQL server: install postgresql")?;
        for node in &mut cluster.nodes {
            node.write_settings(options, etcd_port, &binaries)?;
            node.start_patroni()?;
        }
        cluster.wait_until_healthy().await?;
        let leader = cluster.leader().await.context("the cluster has no leader")?;
        let name = "CREATE DATABASE gateway ENCODING 'UTF8'";
        cluster.nodes[leader].connect("postgres").await?.batch_execute(name).await?;
        Ok(cluster)
    }

    /// The database, through HAProxy.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/gateway?sslmode=disable", self.proxy_port)
    }

    /// The only node that calls itself the leader.
    pub async fn leader(&self) -> Option<usize> {
        let mut leaders = Vec::new();
        for (place, node) in self.nodes.iter().enumerate() {
            if node.is_leader().await {
                leaders.push(place);
            }
        }
        if let [leader] = leaders[..] { Some(leader) } else { None }
    }

    /// Waits until a node other than `old` leads.
    pub async fn new_leader(&self, old: usize) -> Result<usize> {
        let start = Instant::now();
        while start.elapsed() < GIVES_UP {
            for (place, node) in self.nodes.iter().enumerate().filter(|(place, _)| *place != old) {
                if node.is_leader().await {
                    return Ok(place);
                }
            }
            sleep(LOOK_EVERY).await;
        }
        bail!("there was no new leader within {GIVES_UP:?}. The last lines of the logs: {}", self.logs())
    }

    /// The synchronous standby, as Patroni knows it.
    pub async fn synchronous_standby(&self, leader: usize) -> Result<usize> {
        let members = self.nodes[leader].members().await.context("Patroni of the leader does not answer")?;
        let name = members.iter().find(|(_, role)| role == "sync_standby");
        let name = &name.context("there is no synchronous standby")?.0;
        let place = self.nodes.iter().position(|node| node.name == *name);
        place.with_context(|| format!("the synchronous standby {name} is not one of the three nodes"))
    }

    /// Waits until there is one leader and two standbys stream from it, one of them synchronously. Returns the leader.
    /// A node that does not come back is initialized again.
    pub async fn wait_until_healthy(&mut self) -> Result<usize> {
        let start = Instant::now();
        let mut reinitialized_at = start;
        loop {
            if let Some(leader) = self.healthy_leader().await {
                return Ok(leader);
            }
            for node in &mut self.nodes {
                node.runs()?;
            }
            ensure!(
                start.elapsed() < GIVES_UP,
                "the cluster is not healthy after {GIVES_UP:?}. The last lines of the logs: {}",
                self.logs()
            );
            if reinitialized_at.elapsed() > COMES_BACK {
                reinitialized_at = Instant::now();
                self.reinitialize().await?;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn healthy_leader(&self) -> Option<usize> {
        let leader = self.leader().await?;
        let standbys = self.nodes[leader].standbys().await?;
        let others = self.nodes.iter().enumerate().filter(|(place, _)| *place != leader);
        for (_, node) in others {
            let streams = standbys.iter().any(|(name, _)| *name == node.name);
            if !streams || node.ask("/replica").await != Some(StatusCode::OK) {
                return None;
            }
        }
        let members = self.nodes[leader].members().await?;
        let synchronous = members.iter().find(|(_, role)| role == "sync_standby")?;
        let agrees = standbys.contains(&(synchronous.0.clone(), true));
        (agrees && members.len() == self.nodes.len()).then_some(leader)
    }

    /// Initializes the standbys again that do not stream.
    async fn reinitialize(&self) -> Result<()> {
        let Some(leader) = self.leader().await else { return Ok(()) };
        let standbys = self.nodes[leader].standbys().await.unwrap_or_default();
        for (place, node) in self.nodes.iter().enumerate() {
            if place != leader && !standbys.iter().any(|(name, _)| *name == node.name) {
                say(&format!("drill: {} did not come back by itself: running patronictl reinit", node.name));
                self.patronictl(&["reinit", SCOPE, &node.name, "--force"], leader).await?;
            }
        }
        Ok(())
    }

    /// Runs `patronictl` with the settings of node `at`, and returns its output.
    pub async fn patronictl(&self, arguments: &[&str], at: usize) -> Result<String> {
        let settings = self.nodes[at].settings();
        let folder = settings.parent().context("the settings file has no folder")?;
        let mut command = ServerUser::command(self.user, "patronictl", folder);
        command.arg("-c").arg(&settings).args(arguments).kill_on_drop(true);
        let output = timeout(Duration::from_secs(60), command.output())
            .await
            .context("patronictl did not end within 60 s")??;
        Ok([output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat())
    }

    async fn wait_for_etcd(&self, client: &Client) -> Result<()> {
        let url = format!("http://127.0.0.1:{}/health", self.etcd_port);
        for _ in 0..400 {
            if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        bail!("etcd did not answer at {url} within 20 s")
    }

    /// The last lines of the nodes' logs.
    fn logs(&self) -> String {
        self.nodes.iter().map(Node::last_words).collect()
    }
}

fn start_etcd(folder: &Folder, user: Option<ServerUser>, (port, peers): (u16, u16)) -> Result<Child> {
    let home = folder.inside("etcd", user)?;
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peers}"));
    let mut command = ServerUser::command(user, &program("etcd")?, &home);
    command.args(["--name", SCOPE, "--data-dir"]).arg(home.join("data"));
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args([
        "--initial-cluster",
        &format!("{SCOPE}={peer}"),
        "--enable-v2",
        "--logger",
        "zap",
        "--log-level",
        "warn",
    ]);
    spawn(command, &home.join("log"))
}

fn start_proxy(
    folder: &Folder,
    user: Option<ServerUser>,
    nodes: &[Node],
    port: u16,
    shutdown_sessions: bool,
) -> Result<Child> {
    let home = folder.inside("haproxy", user)?;
    let marked_down = if shutdown_sessions { " on-marked-down shutdown-sessions" } else { "" };
    let mut settings = format!(
        "global
    maxconn 1000
defaults
    mode tcp
    retries 2
    timeout connect 1s
    timeout client 30m
    timeout server 30m
    timeout check 1s
listen primary
    bind 127.0.0.1:{port}
    option httpchk
    http-check send meth OPTIONS uri /primary
    http-check expect status 200
    default-server inter 500ms fastinter 250ms fall 2 rise 1{marked_down}
"
    );
    for Node { name, port, rest_port, .. } in nodes {
        settings += &format!("    server {name} 127.0.0.1:{port} maxconn 200 check port {rest_port}\n");
    }
    let file = home.join("haproxy.cfg");
    fs::write(&file, settings)?;
    let mut command = ServerUser::command(user, &program("haproxy")?, &home);
    command.arg("-db").arg("-f").arg(&file);
    spawn(command, &home.join("log"))
}

fn spawn(mut command: Command, log: &Path) -> Result<Child> {
    let file = File::create(log)?;
    command.stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
    command.spawn().with_context(|| format!("cannot start the program that logs to {}", log.display()))
}

fn program(name: &str) -> Result<String> {
    Ok(find(name).with_context(|| format!("the program {name} is not installed"))?.display().to_string())
}

fn free_ports(count: u16) -> Result<Vec<u16>> {
    for _ in 0..100 {
        let first = rand::rng().random_range(PORTS);
        let ports: Vec<_> = (first..first + count).collect();
        let held: Result<Vec<_>, _> =
            ports.iter().map(|port| TcpListener::bind(("127.0.0.1", *port))).collect();
        if held.is_ok() {
            return Ok(ports);
        }
    }
    bail!("no {count} free ports in a row")
}
