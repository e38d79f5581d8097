//! nginx and HAProxy for tests, with the configurations of `examples/forward_auth`.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// A proxy that runs until this value is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    _child: Child,
    _folder: TempDir,
}

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Haproxy,
}

impl Proxy {
    /// Starts the proxy of the example in front of these two. Nothing of the example is changed but its addresses.
    ///
    /// # Panics
    ///
    /// When it is not installed, or refuses the configuration.
    pub async fn start(kind: Kind, gateway: SocketAddr, backend: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let public = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/forward_auth");
        for file in ["nginx.conf", "haproxy.cfg", "bridge_auth.lua"] {
            let text = std::fs::read_to_string(example.join(file)).unwrap();
            let text = text
                .replace("127.0.0.1:8080", &gateway.to_string())
                .replace("127.0.0.1:9000", &backend.to_string())
                .replace("127.0.0.1:8000", &public.to_string());
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let mut command = match kind {
            // One process, in the foreground, that writes into its own folder alone.
            Kind::Nginx => {
                let mut nginx = Command::new("nginx");
                nginx.args(["-c", "nginx.conf", "-e", "stderr", "-g"]);
                nginx.arg("daemon off; master_process off; pid nginx.pid; error_log stderr crit;");
                nginx.arg("-p").arg(folder.path());
                nginx
            }
            Kind::Haproxy => {
                let mut haproxy = Command::new("haproxy");
                haproxy.args(["-db", "-q", "-f", "haproxy.cfg"]);
                haproxy
            }
        };
        let path = std::env::var("PATH").unwrap_or_default();
        let child = command
            .current_dir(folder.path())
            .env("PATH", format!("{path}:/usr/sbin"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("these tests need {kind:?}, which .ci/test installs: {error}"));
        let start = Instant::now();
        while TcpStream::connect(public).await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "{kind:?} does not listen");
            sleep(Duration::from_millis(20)).await;
        }
        Self { address: public, _child: child, _folder: folder }
    }
}
