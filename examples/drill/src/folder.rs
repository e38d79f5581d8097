//! The one folder of a drill, and the user that its servers run as.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// A temporary folder. When this value or the process ends, in any way, every process with its working folder in here
/// is killed, and the folder is removed.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    keeper: Child,
}

/// The user for PostgreSQL and Patroni when this process is root. PostgreSQL refuses to run as root.
#[derive(Debug, Clone, Copy)]
pub struct ServerUser {
    uid: u32,
    gid: u32,
}

const PREFIX: &str = "bridge-drill-";

impl Folder {
    pub fn create() -> Result<Self> {
        let path = TempDir::with_prefix_in(PREFIX, place())?.keep();
        // The server's user needs access.
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        let keeper = Command::new("sh")
            .args(["-c", include_str!("keeper.sh"), "keeper"])
            .arg(&path)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A ctrl-c must reach only the drill.
            .process_group(0)
            .spawn()?;
        Ok(Self { path, keeper })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates a folder in here that belongs to the server's user.
    pub fn inside(&self, name: &str, user: Option<ServerUser>) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o700))?;
        if let Some(user) = user {
            chown(&path, Some(user.uid), Some(user.gid))?;
        }
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

impl ServerUser {
    /// Finds the user. `None`: this process is not root.
    pub fn find() -> Result<Option<Self>> {
        if id(&["-u"])? != 0 {
            return Ok(None);
        }
        let user = Self { uid: id(&["-u", "postgres"])?, gid: id(&["-g", "postgres"])? };
        Ok(Some(user))
    }

    /// A command that runs `program` as the server's user in `folder`. A ctrl-c does not reach it.
    pub fn command(user: Option<Self>, program: &str, folder: &Path) -> tokio::process::Command {
        let mut command = match user {
            None => Command::new(program),
            Some(Self { uid, gid }) => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".into()]);
                command.arg(program);
                command
            }
        };
        command.current_dir(folder).env("HOME", folder).stdin(Stdio::null()).process_group(0);
        command.into()
    }
}

/// `$TMPDIR`, or else a folder in memory if the machine has one. On a disk, failovers would wait for the disk, and
/// nothing in this folder needs to survive a crash of the machine.
fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let chosen = std::env::var_os("TMPDIR").is_some() || !memory.exists();
    if chosen { std::env::temp_dir() } else { memory.to_owned() }
}

fn id(arguments: &[&str]) -> Result<u32> {
    let output = Command::new("id").args(arguments).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().with_context(|| format!("the output of `id {}` is not a number", arguments.join(" ")))
}

/// Sends a signal to processes. Processes that have ended are ignored.
pub async fn signal(name: &str, pids: &[u32]) -> io::Result<()> {
    if !pids.is_empty() {
        let pids = pids.iter().map(u32::to_string);
        tokio::process::Command::new("kill").arg(format!("-{name}")).args(pids).output().await?;
    }
    Ok(())
}
