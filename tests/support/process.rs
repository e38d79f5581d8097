//! The examples, built once and run as real processes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Longer than any example takes, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server that was started and listens; killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// What it printed before it listened.
    pub printed: Vec<String>,
    /// Where it listens: `http://127.0.0.1:PORT`.
    pub url: String,
    /// Kept open, so that the server can go on printing.
    _output: Lines<BufReader<ChildStdout>>,
}

/// `script` in a shell that stops at an error and at a variable that nobody has set. Its environment is empty but for `PATH`
/// and `home`.
pub fn shell(script: &str, folder: &Path, home: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-euc", script])
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    shell
}

/// The example `name`, with nothing of the machine's own settings, and `home` for what it keeps.
pub fn example(name: &str, home: &Path) -> Command {
    wrapped(&[], name, home)
}

/// The same, started by the program and with the arguments in `wrapper`, which get the example and its own after them.
pub fn wrapped(wrapper: &[String], name: &str, home: &Path) -> Command {
    let executable = executable(name);
    let mut command = match wrapper {
        [] => Command::new(executable),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(executable);
            command
        }
    };
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("BRIDGE_") || name.eq_ignore_ascii_case("http_proxy") {
            command.env_remove(&variable);
        }
    }
    command
        .env("HOME", home)
        .env("XDG_DATA_HOME", home)
        .env("TMPDIR", home)
        // No balancer looks at it.
        .env("BRIDGE_AUTH_DRAIN_PAUSE", "0")
        // An error that ends it is told all the same.
        .env("RUST_LOG", "off")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs `command` to its end.
pub async fn run(command: &mut Command) -> Output {
    timeout(PATIENCE, command.output()).await.expect("the example ends by itself").unwrap()
}

/// The same, with `input` on its standard input.
pub async fn run_with(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    timeout(PATIENCE, child.wait_with_output()).await.expect("the example ends by itself").unwrap()
}

/// Starts a server and waits until it says where it listens.
pub async fn start(command: &mut Command) -> Running {
    started(command.stderr(Stdio::inherit())).await
}

/// The same with its warnings and errors in `log`.
pub async fn start_logging(command: &mut Command, log: &Path) -> Running {
    let log = std::fs::File::create(log).unwrap();
    started(command.env("RUST_LOG", "warn").stderr(log)).await
}

async fn started(command: &mut Command) -> Running {
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut printed = Vec::new();
    loop {
        let line = timeout(PATIENCE, output.next_line()).await.expect("the server starts").unwrap();
        let line = line.expect("the server listens before it ends");
        if let Some(url) = line.strip_prefix("listening on ") {
            return Running { child, printed, url: url.to_owned(), _output: output };
        }
        printed.push(line);
    }
}

impl Running {
    /// What it printed after `prefix`.
    pub fn printed_after(&self, prefix: &str) -> &str {
        self.printed.iter().find_map(|line| line.strip_prefix(prefix)).unwrap()
    }

    /// Its number among the machine's processes.
    pub fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends a signal, by its name.
    pub async fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().await.unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("the server ends").unwrap()
    }
}

/// Where the example `name` is.
pub fn executable(name: &str) -> &'static Path {
    static BUILT: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
    BUILT.get_or_init(build).get(name).expect("there is such an example")
}

/// Asks cargo, which knows where it puts them.
fn build() -> HashMap<String, PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(cargo);
    command
        .args([
            "build",
            "--message-format=json",
            "--package",
            "example-gateway",
            "--package",
            "example-bridge",
        ])
        .arg("--bins")
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if !env!("CARGO_PKG_NAME").starts_with("example-") {
        // In one build with the crate's own examples, all that they need has the features that the tests were built with
        // (CONTRIBUTING.md says how). So there is little to do.
        command.args(["--package", "bridge-auth", "--examples", "--all-features"]);
    }
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "the examples do not build");
    let messages = output.stdout.split(|byte| *byte == b'\n');
    messages
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter_map(|message| {
            let name = message["target"]["name"].as_str()?.to_owned();
            Some((name, message["executable"].as_str()?.into()))
        })
        .collect()
}
