//! PgBouncer for tests, in front of the server of a database.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::postgres::as_unprivileged;

/// A PgBouncer that ends with this value, or with the test process: a small shell script holds it and ends when the pipe to it
/// does.
pub struct PgBouncer {
    port: u16,
    input: Option<ChildStdin>,
    script: Child,
    _folder: TempDir,
}

const SCRIPT: &str = "trap '' INT TERM HUP PIPE
    pgbouncer -q \"$1\" </dev/null >/dev/null 2>&1 &
    read -r _
    kill -KILL $!";

impl PgBouncer {
    /// Starts one in front of the server of `url`, with its defaults but for these lines of its section `[pgbouncer]`.
    ///
    /// # Panics
    ///
    /// When PgBouncer is not installed or does not start.
    pub fn start(url: &str, lines: &[&str]) -> Self {
        let url = reqwest::Url::parse(url).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let ini = folder.path().join("pgbouncer.ini");
        let mut file = std::fs::File::create(&ini).unwrap();
        let password = url.password().map(|password| format!(" password={password}")).unwrap_or_default();
        write!(
            file,
            "[databases]\n* = host={} port={} user={}{password}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\n{}\n",
            url.host_str().unwrap(),
            url.port().unwrap_or(5432),
            url.username(),
            lines.join("\n"),
        )
        .unwrap();
        std::fs::set_permissions(&ini, std::fs::Permissions::from_mode(0o644)).unwrap();
        let mut script = as_unprivileged("sh")
            .args(["-c", SCRIPT, "pgbouncer"])
            .arg(&ini)
            .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
            .current_dir("/")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let input = script.stdin.take();
        let bouncer = Self { port, input, script, _folder: folder };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "these tests need PgBouncer: `apt-get install pgbouncer`"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        bouncer
    }

    /// `url`, through this.
    pub fn url(&self, url: &str) -> String {
        let mut url = reqwest::Url::parse(url).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.into()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.script.wait();
    }
}
