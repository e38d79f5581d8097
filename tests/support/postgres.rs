//! PostgreSQL for tests: one cluster a test process, one database a test.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bridge_auth::store::{PostgresStore, Store};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

use super::Backend;

/// A database of its own on PostgreSQL; dropped with the value.
pub struct PostgresBackend {
    server: String,
    database: String,
}

/// A PostgreSQL cluster that goes away with this value, or with the test process, however that ends:
/// a small shell script holds it and ends when the pipe to it does.
pub struct Cluster {
    port: u16,
    /// Closed to end the script.
    input: Mutex<Option<ChildStdin>>,
    output: Mutex<BufReader<ChildStdout>>,
    script: Child,
}

impl PostgresBackend {
    /// Makes an empty, unmigrated database.
    pub async fn empty() -> Self {
        Self::create(server_url(), None).await
    }

    /// Makes an empty, unmigrated database of another encoding.
    pub async fn encoded(encoding: &str) -> Self {
        let sql = format!(" ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
        Self::create_with(server_url(), &sql).await
    }

    /// Makes a migrated database in `cluster`.
    pub async fn in_cluster(cluster: &Cluster) -> Self {
        let backend = Self::create(cluster.url(), None).await;
        PostgresStore::connect(&backend.url()).await.unwrap();
        backend
    }

    /// Where the database is.
    pub fn url(&self) -> String {
        url_of(&self.server, &self.database)
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// A connection past the store.
    pub async fn client(&self) -> Client {
        connect(&self.url()).await
    }

    /// Returns as soon as somebody waits for a lock in the database.
    pub async fn somebody_waits_for_a_lock(&self) {
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let watch = self.client().await;
        while watch.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A connection to another database of the same server.
    pub async fn server(&self) -> Client {
        connect(&self.server).await
    }

    async fn create(server: String, template: Option<&str>) -> Self {
        let template = template.map(|name| format!(" TEMPLATE {name}")).unwrap_or_default();
        Self::create_with(server, &template).await
    }

    async fn create_with(server: String, options: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let database = format!("bridge_auth_test_{}_{number}", std::process::id());
        let admin = connect(&server).await;
        admin.batch_execute(&format!("CREATE DATABASE {database}{options}")).await.unwrap();
        Self { server, database }
    }
}

#[async_trait]
impl Backend for PostgresBackend {
    async fn start() -> Self {
        Self::create(server_url(), Some(template().await)).await
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(PostgresStore::connect(&self.url()).await.unwrap())
    }

    async fn pass_time(&self, by: Duration) {
        let by = format!("interval '{} microseconds'", by.as_micros());
        let columns = [
            ("users", "not_before"),
            ("sessions", "created_at renewed_at expires_at revoked_at ends_at authenticated_at rotated_at"),
            ("codes", "issued_at expires_at spent_at"),
            ("client_secrets", "created_at expires_at"),
            ("revocations", "at"),
            ("refresh_tokens", "issued_at round_at"),
            ("used_assertions", "expires_at"),
            ("device_grants", "created_at expires_at next_poll_at decided_at"),
        ];
        let client = self.client().await;
        for (table, columns) in columns {
            let shifts: Vec<_> =
                columns.split(' ').map(|column| format!("{column} = {column} - {by}")).collect();
            let update = format!("UPDATE bridge_auth.{table} SET {}", shifts.join(", "));
            client.batch_execute(&update).await.unwrap();
        }
    }

    async fn count(&self, table: &str) -> u64 {
        let sql = format!("SELECT count(*) FROM bridge_auth.{table}");
        let row = self.client().await.query_one(&sql, &[]).await.unwrap();
        row.get::<_, i64>(0).try_into().unwrap()
    }
}

impl Drop for PostgresBackend {
    fn drop(&mut self) {
        let (server, database) = (self.server.clone(), self.database.clone());
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                // Best effort: a test may have stopped the server, and then the cluster goes anyway.
                if let Ok((client, connection)) = tokio_postgres::connect(&server, NoTls).await {
                    tokio::spawn(connection);
                    let _ = client.batch_execute(&format!("DROP DATABASE {database} WITH (FORCE)")).await;
                }
            });
        });
        let _ = dropping.join();
    }
}

impl Cluster {
    /// Starts one with these lines at the end of its `postgresql.conf`.
    ///
    /// # Panics
    ///
    /// When PostgreSQL is not installed or does not start.
    pub fn start_with(settings: &[String]) -> Self {
        Self::make(free_port(), "", "", settings, &[], None)
    }

    /// Starts one whose files are in `folder`, as a [disk](super::disk::Disk) that the program and arguments in `wrapper` make.
    pub fn start_on(wrapper: &[String], folder: &Path, settings: &[String]) -> Self {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o1777)).unwrap();
        Self::make(free_port(), "", "", settings, wrapper, Some(folder))
    }

    /// Starts one.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a standby of the server at the port `primary`, where it is known as `name`.
    pub fn standby_of(primary: u16, name: &str) -> Self {
        Self::standby_at(free_port(), primary, name)
    }

    /// The same at a port that is free by now.
    pub fn standby_at(port: u16, primary: u16, name: &str) -> Self {
        Self::make(port, &primary.to_string(), name, &[], &[], None)
    }

    fn make(
        port: u16,
        primary: &str,
        name: &str,
        settings: &[String],
        wrapper: &[String],
        folder: Option<&Path>,
    ) -> Self {
        let mut shell = as_unprivileged("sh");
        if let [program, arguments @ ..] = wrapper {
            let mut command = Command::new(program);
            command.args(arguments).arg(shell.get_program()).args(shell.get_args());
            shell = command;
        }
        if let Some(folder) = folder {
            shell.env("TMPDIR", folder);
        }
        let mut script = shell
            .args(["-c", include_str!("postgres_cluster.sh"), "cluster"])
            .arg(binaries())
            .args([&port.to_string(), primary, name])
            .args(settings)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let input = Mutex::new(script.stdin.take());
        let output = Mutex::new(BufReader::new(script.stdout.take().unwrap()));
        let cluster = Self { port, input, output, script };
        let answer = cluster.answer();
        assert_eq!(answer, "ready", "PostgreSQL did not start");
        cluster
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its maintenance database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// A connection as its superuser, past any store.
    pub async fn client(&self) -> Client {
        connect(&self.url()).await
    }

    /// Shuts the server down, or starts it again, or kills all its processes, or freezes them, or thaws them, or makes a
    /// standby a primary: `stop`, `start`, `kill`, `pause`, `resume`, `promote`.
    pub fn tell(&self, command: &str) {
        writeln!(self.input.lock().unwrap().as_mut().unwrap(), "{command}").unwrap();
        assert_eq!(self.answer(), command);
    }

    /// All processes of the server, the first one first.
    pub async fn processes(&self) -> Vec<u32> {
        // Connected for as long as it is looked at.
        let client = self.client().await;
        let backend: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        let stat = std::fs::read_to_string(format!("/proc/{backend}/stat")).unwrap();
        // Its name comes before, in brackets.
        let first = stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap();
        let others = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap();
        std::iter::once(first)
            .chain(others.split_whitespace())
            .map(|process| process.parse().unwrap())
            .collect()
    }

    fn answer(&self) -> String {
        let mut line = String::new();
        self.output.lock().unwrap().read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.input.lock().unwrap().take());
        let _ = self.script.wait();
    }
}

/// Connects past the store; the connection ends with the client.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Lets the server read `file`, and nobody else.
pub fn give_to_server(file: &Path) {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
    if let Some(user) = server_user() {
        chown(file, Some(id("-u", user)), Some(id("-g", user))).unwrap();
    }
}

/// `DATABASE_URL`, or else the cluster of this process.
fn server_url() -> String {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    std::env::var("DATABASE_URL").unwrap_or_else(|_| CLUSTER.get_or_init(Cluster::start).url())
}

/// A migrated database to clone; made once in a process.
async fn template() -> &'static str {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    TEMPLATE
        .get_or_init(|| async {
            let backend = PostgresBackend::create(server_url(), None).await;
            PostgresStore::connect(&backend.url()).await.unwrap();
            wait_until_unused(&backend).await;
            let name = backend.database.clone();
            // Tests clone it until the process ends.
            std::mem::forget(backend);
            name
        })
        .await
}

/// A database can be cloned only when nobody is connected to it.
async fn wait_until_unused(backend: &PostgresBackend) {
    let admin = connect(&backend.server).await;
    let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1";
    while admin.query_one(count, &[&backend.database]).await.unwrap().get::<_, i64>(0) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// `server` with another database.
fn url_of(server: &str, database: &str) -> String {
    let mut url = reqwest::Url::parse(server).unwrap();
    url.set_path(database);
    url.into()
}

/// A port that stays free while its server is down: below the ports that the system gives to clients.
pub fn free_port() -> u16 {
    loop {
        let port = rand::random_range(15_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The folder with `initdb`, `pg_basebackup` and `pg_ctl`.
fn binaries() -> PathBuf {
    let in_path = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let mut versions: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    versions.sort();
    // Somebody's path may have links to some of them.
    let has_all =
        |folder: &PathBuf| ["initdb", "pg_basebackup"].iter().all(|name| folder.join(name).exists());
    let found = in_path.chain(versions.into_iter().rev()).find(has_all);
    found.expect(
        "these tests need PostgreSQL: `apt-get install postgresql`, or set DATABASE_URL to a server where \
         databases may be created",
    )
}

/// The program, as the user that runs the server.
pub fn as_unprivileged(program: &str) -> Command {
    let Some(user) = server_user() else { return Command::new(program) };
    let (uid, gid) = (id("-u", user).to_string(), id("-g", user).to_string());
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &uid, "--regid", &gid, "--clear-groups", program]);
    command
}

/// Who runs the server when this process is root: PostgreSQL refuses to run as root.
fn server_user() -> Option<&'static str> {
    let has_postgres = || Command::new("id").arg("postgres").output().unwrap().status.success();
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    is_root.then(|| if has_postgres() { "postgres" } else { "nobody" })
}

fn id(flag: &str, user: &str) -> u32 {
    let output = Command::new("id").args([flag, user]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}
