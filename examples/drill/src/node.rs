//! One node: a PostgreSQL server and the Patroni that runs it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Client, StatusCode};
use tokio::process::Child;
use tokio::time::timeout;
use tokio_postgres::{Config, NoTls};

use crate::folder::{Folder, ServerUser, signal};
use crate::options::Options;

/// The cluster's name.
pub const SCOPE: &str = "drill";
/// How long a node may take to answer a question. A frozen node never answers.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Node {
    pub name: String,
    pub port: u16,
    pub rest_port: u16,
    folder: PathBuf,
    log: PathBuf,
    user: Option<ServerUser>,
    client: Client,
    patroni: Option<Child>,
}

impl Node {
    pub fn new(
        folder: &Folder,
        user: Option<ServerUser>,
        (name, port, rest_port): (String, u16, u16),
        client: Client,
        logs: Option<&Path>,
    ) -> Result<Self> {
        let folder = folder.inside(&name, user)?;
        let log = logs.unwrap_or(&folder).join(format!("{name}-patroni.log"));
        Ok(Self { name, port, rest_port, folder, log, user, client, patroni: None })
    }

    /// The settings file of its Patroni.
    pub fn settings(&self) -> PathBuf {
        self.folder.join("patroni.yml")
    }

    pub fn write_settings(&self, options: &Options, etcd_port: u16, binaries: &Path) -> Result<()> {
        let Self { name, port, rest_port, folder, .. } = self;
        let (folder, binaries) = (folder.display(), binaries.display());
        let dcs = if options.etcd3 { "etcd3" } else { "etcd" };
        let strict = !options.no_synchronous_mode_strict;
        let ttl = options.ttl;
        // Patroni requires loop_wait + 2 * retry_timeout <= ttl.
        let retry_timeout = (ttl - 1) / 2;
        let settings = format!(
            "scope: {SCOPE}
namespace: /{SCOPE}/
name: {name}
restapi: {{ listen: '127.0.0.1:{rest_port}', connect_address: '127.0.0.1:{rest_port}' }}
{dcs}: {{ hosts: '127.0.0.1:{etcd_port}' }}
watchdog: {{ mode: 'off' }}
bootstrap:
  dcs:
    ttl: {ttl}
    loop_wait: 1
    retry_timeout: {retry_timeout}
    master_start_timeout: 0
    maximum_lag_on_failover: 16777216
    synchronous_mode: true
    synchronous_mode_strict: {strict}
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters:
        wal_log_hints: 'on'
        max_connections: 100
        max_wal_senders: 10
        max_replication_slots: 10
        wal_keep_size: 64MB
        min_wal_size: 8MB
        wal_sender_timeout: 5s
        wal_receiver_timeout: 5s
        wal_retrieve_retry_interval: 500ms
        dynamic_shared_memory_type: mmap
        shared_buffers: 32MB
        log_connections: 'off'
  initdb: [ {{ encoding: UTF8 }}, {{ locale: C }}, {{ wal-segsize: '1' }}, no-sync ]
  pg_hba:
    - host all all 127.0.0.1/32 trust
    - host replication all 127.0.0.1/32 trust
postgresql:
  listen: 127.0.0.1:{port}
  connect_address: 127.0.0.1:{port}
  data_dir: {folder}/data
  bin_dir: {binaries}
  pgpass: {folder}/pgpass
  remove_data_directory_on_rewind_failure: true
  authentication:
    superuser: {{ username: postgres }}
    replication: {{ username: replicator }}
  parameters: {{ unix_socket_directories: '{folder}' }}
"
        );
        Ok(fs::write(self.settings(), settings)?)
    }

    /// Starts its Patroni. If the server runs already, Patroni takes it over.
    pub fn start_patroni(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = ServerUser::command(self.user, "patroni", &self.folder);
        command.arg(self.settings()).stdout(log.try_clone()?).stderr(log);
        self.patroni =
            Some(command.spawn().with_context(|| format!("cannot start Patroni of {}", self.name))?);
        Ok(())
    }

    /// Returns an error if its Patroni has ended by itself.
    pub fn runs(&mut self) -> Result<()> {
        match self.patroni.as_mut().map(Child::try_wait).transpose()?.flatten() {
            None => Ok(()),
            Some(status) => {
                bail!("Patroni ended with {status}. The last lines of its log: {}", self.last_words())
            }
        }
    }

    /// Sends a signal only to its Patroni. Its server keeps running.
    pub async fn signal_patroni(&mut self, name: &str) -> Result<()> {
        let Some(patroni) = &mut self.patroni else { return Ok(()) };
        signal(name, &patroni.id().into_iter().collect::<Vec<_>>()).await?;
        if name == "KILL" {
            patroni.wait().await?;
            self.patroni = None;
        }
        Ok(())
    }

    /// Sends a signal to all processes of its server. Its Patroni keeps running.
    pub async fn signal_server(&self, name: &str) -> Result<()> {
        let postmaster = fs::read_to_string(self.folder.join("data/postmaster.pid"));
        let postmaster = postmaster.with_context(|| format!("the server of {} does not run", self.name))?;
        let postmaster: u32 = postmaster.lines().next().unwrap_or_default().trim().parse()?;
        // A stopped postmaster starts no more children.
        if name == "STOP" {
            signal(name, &[postmaster]).await?;
        }
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"));
        let children = children.unwrap_or_default();
        let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        Ok(signal(name, &[postmaster].into_iter().chain(children).collect::<Vec<_>>()).await?)
    }

    /// The status of its Patroni's answer at `path`. `None`: there is no answer.
    pub async fn ask(&self, path: &str) -> Option<StatusCode> {
        let url = format!("http://127.0.0.1:{}{path}", self.rest_port);
        Some(self.client.get(url).timeout(PATIENCE).send().await.ok()?.status())
    }

    /// Whether the node is the leader. It asks as HAProxy does.
    pub async fn is_leader(&self) -> bool {
        self.ask("/primary").await == Some(StatusCode::OK)
    }

    /// The members that its Patroni knows, with their roles.
    pub async fn members(&self) -> Option<Vec<(String, String)>> {
        let url = format!("http://127.0.0.1:{}/cluster", self.rest_port);
        let answer = self.client.get(url).timeout(PATIENCE).send().await.ok()?;
        let cluster: serde_json::Value = answer.json().await.ok()?;
        let text = |member: &serde_json::Value, key: &str| member[key].as_str().map(str::to_owned);
        let members = cluster["members"].as_array()?.iter();
        Some(members.filter_map(|member| Some((text(member, "name")?, text(member, "role")?))).collect())
    }

    /// The names of the standbys that stream from it, and whether each is synchronous.
    pub async fn standbys(&self) -> Option<Vec<(String, bool)>> {
        let sql = "SELECT application_name, sync_state IN ('sync', 'quorum') FROM pg_stat_replication \
                   WHERE state = 'streaming' AND NOT pg_is_in_recovery()";
        let answer = timeout(PATIENCE, async {
            let rows = self.connect("postgres").await?.query(sql, &[]).await?;
            anyhow::Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
        });
        answer.await.ok()?.ok()
    }

    /// A direct connection, without HAProxy.
    pub async fn connect(&self, database: &str) -> Result<tokio_postgres::Client> {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).user("postgres").dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// The last lines of the log of its Patroni and its server.
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        format!("\n{}:\n{}", self.name, lines[lines.len().saturating_sub(8)..].join("\n"))
    }
}
