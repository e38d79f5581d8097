//! The example gateways as real processes.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::{Instant, sleep, timeout};

use crate::load::{Load, Scene, Target};
use crate::options::{Mode, Options};
use crate::process::example;

/// The operators' token.
pub const OPERATOR: &str = "the-operators-own-secret";
/// How long a gateway may take to start, and how long the drill tries to start it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A working gateway. It is killed when this value is dropped.
#[derive(Debug)]
pub struct Gateway {
    pub target: Target,
    pub name: String,
    child: Child,
    _load: Load,
    /// Kept open, so that the gateway can still print.
    _output: Lines<BufReader<ChildStdout>>,
}

/// How to start a gateway.
#[derive(Debug, Clone)]
pub struct Start<'a> {
    pub folder: &'a Path,
    pub database: &'a str,
    pub options: &'a Options,
    pub scene: &'a Arc<Scene>,
}

/// Builds the gateway with cargo. It panics if the build fails.
pub fn build() {
    drop(example("gateway", Path::new("/")));
}

impl Gateway {
    /// Starts a gateway and its load. It tries again while there is no primary.
    pub async fn start(start: &Start<'_>, name: &str, mode: &Mode) -> Result<Self> {
        let begun = Instant::now();
        let (url, child, output) = loop {
            match process(start, name, mode).await {
                Ok(started) => break started,
                Err(error) if begun.elapsed() > PATIENCE => return Err(error),
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        };
        let name = format!("{name} ({})", mode.argument());
        let allowance = start.options.allowance(mode);
        let place = start.scene.ledger.pages().add_gateway(name.clone(), allowance, *mode == Mode::Strict);
        let target = Target { place, url };
        let load = start.scene.work(&target);
        Ok(Self { target, name, child, _load: load, _output: output })
    }

    /// Returns an error if the gateway has ended.
    pub fn runs(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                bail!("{} ended with {status}: start the drill with --logs to see why", self.name)
            }
        }
    }
}

async fn process(
    Start { folder, database, options, .. }: &Start<'_>,
    name: &str,
    mode: &Mode,
) -> Result<(String, Child, Lines<BufReader<ChildStdout>>)> {
    let mut command = example("gateway", folder);
    let key = folder.join("gateway.key");
    command.args(["--listen", "127.0.0.1:0", "--issuer", "http://127.0.0.1:1", "--no-rate-limits"]);
    command.args(["--admin-token", OPERATOR, "--database", database, "--freshness", &mode.argument()]);
    // Tokens must be good until the drill ends.
    command.args(["--token-life", "86400", "--pool-size", &options.pool_size.to_string()]);
    command.arg("--key-file").arg(key).current_dir(folder);
    if options.pass_max_proof_age {
        command.args(["--max-proof-age", &options.max_proof_age.to_string()]);
    }
    match &options.logs {
        Some(logs) => {
            let log = File::options().create(true).append(true).open(logs.join(format!("{name}.log")))?;
            command.env("RUST_LOG", "info").stderr(log)
        }
        None => command.stderr(Stdio::null()),
    };
    command.process_group(0);
    let mut child = command.spawn()?;
    let mut output =
        BufReader::new(child.stdout.take().context("the gateway has no standard output")?).lines();
    loop {
        let line = timeout(PATIENCE, output.next_line()).await;
        let line = line.with_context(|| format!("{name} did not start within {PATIENCE:?}"))??;
        let line = line.with_context(|| format!("{name} ended before it listened: use --logs to see why"))?;
        if let Some(url) = line.strip_prefix("listening on ") {
            return Ok((url.to_owned(), child, output));
        }
    }
}
