//! Clients that other people wrote: the scripts of `tests/stock`, with what `.ci/stock` installs.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// Longer than any script takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The command that runs `script`, beside the libraries that it imports.
#[must_use]
pub fn script(repository: &Path, script: &str) -> Command {
    let installed = repository.join("target/stock");
    assert!(installed.join("installed").exists(), "the stock clients are not installed: run .ci/stock");
    let mut command;
    if script.ends_with(".py") {
        command = Command::new(installed.join("python/bin/python"));
        // These libraries want to be told that plain http is meant, which on loopback it is.
        command.env("AUTHLIB_INSECURE_TRANSPORT", "1").env("OAUTHLIB_INSECURE_TRANSPORT", "1");
        command.env("PYTHONDONTWRITEBYTECODE", "1");
    } else {
        command = Command::new(installed.join("node_modules/.bin/node"));
        // The scripts are behind a link, and their imports beside the link.
        command.args(["--preserve-symlinks", "--preserve-symlinks-main"]);
    }
    command.arg(installed.join("scripts").join(script));
    command.env("NO_PROXY", "127.0.0.1,localhost").kill_on_drop(true);
    command
}

/// Runs a script to its end, where it says that all was well.
///
/// # Panics
///
/// It says something else.
pub async fn succeeds(command: &mut Command) {
    let output = timeout(PATIENCE, command.output()).await.expect("the script ends").unwrap();
    let (printed, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && printed.ends_with("ok\n"), "{command:?}: {printed}{errors}");
}
