//! A reader with a fresh machine: an empty home, an empty environment, and the programs that the page asks for.
//!
//! The page says `localhost:8080` and `cargo run`. Here the port may be another one, and the program is built already: a setting
//! of curl and a stand-in for cargo see to that, so each block runs as it stands.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::support::process::{PATIENCE, executable, run, shell};

/// Stands between the answers of two lines. No answer has it.
const SEPARATOR: char = '\u{1e}';

/// Stands in for `jq` where a machine lacks it: a member of an object, or the whole.
const JQ: &str = r#"#!/bin/sh
case "$1" in
-r) sed -n "s/.*\"${2#.}\":\"\([^\"]*\)\".*/\1/p" ;;
.?*) sed -n "s/.*\"${1#.}\":\(\"[^\"]*\"\).*/\1/p" ;;
*) cat; echo ;;
esac
"#;

/// One terminal of the reader, in the folder of the reader's projects. Once a project is made there, in the project.
pub(super) struct Reader {
    home: TempDir,
}

/// A server that the reader started in another terminal. It ends when this is dropped.
pub(super) struct Server {
    shell: Child,
    group: u32,
}

impl Reader {
    pub(super) fn new() -> Self {
        let reader = Self { home: tempfile::tempdir().unwrap() };
        std::fs::create_dir(reader.at("bin")).unwrap();
        // The page says that this repository stands beside the reader's project.
        symlink(env!("CARGO_MANIFEST_DIR"), reader.at("bridge-auth")).unwrap();
        if !in_path("jq") {
            reader.add_program("jq", JQ);
        }
        reader.listen_at(8080);
        reader
    }

    /// What `script` prints. It must succeed.
    pub(super) async fn run(&self, script: &str) -> String {
        let output = run(&mut self.shell(script)).await;
        let printed = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{printed}\n{errors}");
        printed
    }

    /// What each line of `script` prints, run in one shell.
    pub(super) async fn run_lines(&self, script: &str) -> Vec<String> {
        let separated: String = script.lines().map(|line| format!("{line}\nprintf '\\036'\n")).collect();
        let printed = self.run(&separated).await;
        let mut answers: Vec<_> = printed.split(SEPARATOR).map(str::to_owned).collect();
        assert_eq!(answers.pop().as_deref(), Some(""));
        assert_eq!(answers.len(), script.lines().count());
        answers
    }

    /// Starts a server with `script` in another terminal, and waits until it listens.
    pub(super) async fn start(&self, script: &str) -> Server {
        // Below the ports that the system gives to those who ask for any: nobody takes one by chance.
        let mut ports = 8080..;
        let port = ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap();
        self.listen_at(port);
        let log = self.at("server.log");
        let mut shell = self.shell(script);
        shell.stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
        // A group of its own, so that what the shell starts ends with it.
        let shell = shell.process_group(0).spawn().unwrap();
        let group = shell.id().unwrap();
        let mut server = Server { shell, group };
        let listens = async {
            while TcpStream::connect(("127.0.0.1", port)).is_err() && server.runs() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, listens).await.expect("the server listens");
        assert!(server.runs(), "{script}\n{}", std::fs::read_to_string(log).unwrap());
        server
    }

    /// `script` in a shell that finds the stand-ins first.
    fn shell(&self, script: &str) -> Command {
        let path = std::env::var("PATH").unwrap();
        let project = self.at("gateway");
        let folder = if project.exists() { project.as_path() } else { self.home.path() };
        let mut shell = shell(script, folder, self.home.path());
        shell.env("PATH", format!("{}:{path}", self.at("bin").display()));
        shell
    }

    /// Leads curl and the servers to `port`, wherever the page says 8080.
    fn listen_at(&self, port: u16) {
        let curl = format!("connect-to = \"localhost:8080:127.0.0.1:{port}\"\n");
        std::fs::write(self.at(".curlrc"), curl).unwrap();
        self.add_program("cargo", &cargo(port));
    }

    fn add_program(&self, name: &str, script: &str) {
        let path = self.at("bin").join(name);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn at(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }
}

impl Server {
    fn runs(&mut self) -> bool {
        self.shell.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = format!("-{}", self.group);
        let _ = std::process::Command::new("kill").args(["-s", "KILL", "--", &group]).status();
    }
}

/// Stands in for `cargo run`: the examples are built already. What else the page asks of cargo, the real one does, without the net.
fn cargo(port: u16) -> String {
    let home = |variable: &str, folder: &str| {
        let default = || Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(folder);
        std::env::var_os(variable).map_or_else(default, PathBuf::from)
    };
    let real = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let (cargo_home, rustup_home) = (home("CARGO_HOME", ".cargo"), home("RUSTUP_HOME", ".rustup"));
    format!(
        r#"#!/bin/sh
case "$*" in
"run") exec '{quickstart}' 127.0.0.1:{port} ;;
"run -p example-gateway") exec '{gateway}' --listen 127.0.0.1:{port} ;;
"run -p example-gateway -- --demo") exec '{gateway}' --demo ;;
"new "*|"add "*) CARGO_NET_OFFLINE=true CARGO_HOME='{cargo_home}' RUSTUP_HOME='{rustup_home}' exec '{real}' "$@" ;;
*) echo "this stand-in does not know: cargo $*" >&2; exit 1 ;;
esac
"#,
        quickstart = executable("quickstart").display(),
        gateway = executable("gateway").display(),
        cargo_home = cargo_home.display(),
        rustup_home = rustup_home.display(),
    )
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}
