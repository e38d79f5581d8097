//! Logins that are packages of their own, because they need what nothing else here needs.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, anyhow, bail};

use super::LoginName;

impl LoginName {
    /// The package that has this login built in; `None`: every gateway has it.
    fn package(self) -> Option<&'static str> {
        match self {
            Self::Demo => None,
            Self::Passkey => Some("passkey"),
            Self::Oidc => Some("oidc"),
        }
    }
}

/// Becomes the gateway that has the login built in: the same program with the same arguments, from the package
/// `example-…`. Returns when that is not possible, or, where a process cannot replace itself, when it has ended.
pub fn run(login: LoginName) -> Result<ExitCode> {
    let folder = login.package().context("every gateway has this login built in")?;
    let package = format!("example-{folder}");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(folder).join("Cargo.toml");
    if !manifest.exists() {
        bail!(
            "the login {folder} is the package {package}, and {} is not there: run it from a checkout of the repository",
            manifest.display()
        );
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let _ = writeln!(
        io::stderr(),
        "the login {folder} is a package of its own: running cargo run --package {package}"
    );
    let mut command = Command::new(&cargo);
    command.args(["run", "--quiet", "--manifest-path"]).arg(manifest).arg("--");
    command.args(env::args_os().skip(1));
    let error = |error: io::Error| {
        let cargo = Path::new(&cargo).display();
        anyhow!(error).context(format!(
            "cannot run {cargo}: install Rust (rustup.rs), or set CARGO to the path of cargo"
        ))
    };
    replace_process(&mut command).map_err(error)
}

#[cfg(unix)]
fn replace_process(command: &mut Command) -> io::Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;

    Err(command.exec())
}

#[cfg(not(unix))]
fn replace_process(command: &mut Command) -> io::Result<ExitCode> {
    let ended = command.status()?;
    Ok(if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
