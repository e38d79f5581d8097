//! Runs this program again as a separate process.

use std::path::PathBuf;
use std::process::Stdio;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A process that runs until this value is dropped.
pub struct Running {
    /// The first line that the process printed.
    pub line: String,
    child: Child,
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id().expect("the process runs until it is dropped")
    }
}

/// Runs the program to its end, and returns its output.
pub async fn run<T: DeserializeOwned>(arguments: &[String]) -> T {
    let output = command(std::env::current_exe().unwrap(), arguments).output().await.unwrap();
    assert!(output.status.success(), "{arguments:?} failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Starts the program, and waits for the first line that it prints.
pub async fn start(arguments: &[String]) -> Running {
    started(command(std::env::current_exe().unwrap(), arguments)).await
}

/// The same, with the lowest priority.
pub async fn start_gently(arguments: &[String]) -> Running {
    let mut command = command("nice".into(), &["-n".to_owned(), "19".to_owned()]);
    command.arg(std::env::current_exe().unwrap()).args(arguments);
    started(command).await
}

async fn started(mut command: Command) -> Running {
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().expect("the process prints a line when it is ready");
    Running { line, child }
}

fn command(program: PathBuf, arguments: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    command
}

/// `--name value` pairs after a subcommand.
pub fn arguments(subcommand: &str, pairs: &[(&str, String)]) -> Vec<String> {
    let pairs = pairs.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]);
    std::iter::once(subcommand.to_owned()).chain(pairs).collect()
}
