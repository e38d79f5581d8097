//! A pseudo-terminal: a program prints to it as it would to a person.

use std::fs::File;
use std::io::{self, Read as _};
use std::process::{ExitStatus, Stdio};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::process::PATIENCE;

/// Runs `command` to its end, and tells what the terminal received.
pub async fn run_at_terminal(command: &mut Command) -> (ExitStatus, String) {
    let (terminal, received) = pair().unwrap();
    let mut child = command.stdout(terminal.try_clone().unwrap()).stderr(terminal).spawn().unwrap();
    // The terminal closes with the last of its users, so this process must be none of them.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let received = spawn_blocking(move || read(received));
    let status = timeout(PATIENCE, child.wait()).await.expect("the example ends by itself").unwrap();
    (status, received.await.unwrap())
}

/// The side of the program, and the side that receives what it prints.
fn pair() -> io::Result<(File, File)> {
    let received = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&received)?;
    unlockpt(&received)?;
    let terminal = open(
        ptsname(&received, Vec::new())?,
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    Ok((terminal.into(), received.into()))
}

fn read(mut received: File) -> String {
    let mut bytes = Vec::new();
    // Linux says that the last user has gone by an error.
    let _ = received.read_to_end(&mut bytes);
    String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
}
