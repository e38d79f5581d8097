//! Installs missing programs from Debian's packages.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// A program and the package it comes from.
const NEEDED: [(&str, &str); 5] = [
    ("patroni", "patroni"),
    ("patronictl", "patroni"),
    ("etcd", "etcd-server"),
    ("haproxy", "haproxy"),
    ("setpriv", "util-linux"),
];
/// `invoke-rc.d` runs this script to ask whether a package may start its services.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs the packages that are missing, and says so.
pub fn install_missing() -> Result<()> {
    let mut missing: Vec<_> =
        NEEDED.iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| *package).collect();
    if server_programs().is_none() {
        missing.push("postgresql");
    }
    // Patroni only suggests this package.
    if !Path::new("/usr/lib/python3/dist-packages/etcd").exists() {
        missing.push("python3-etcd");
    }
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let command = format!("apt-get install --no-install-recommends {}", missing.join(" "));
    ensure!(is_root()?, "packages are missing: run the drill as root, or first run: {command}");
    say(&format!("drill: installing missing packages: {command}"));
    say("drill: services stay off: no PostgreSQL cluster is created, and nothing starts now or at boot");
    let policy = Policy::forbid_services()?;
    // `postgresql-common` would create and start its own cluster.
    let common = Path::new("/etc/postgresql-common");
    if !common.join("createcluster.conf").exists() {
        fs::create_dir_all(common)?;
        fs::write(common.join("createcluster.conf"), "create_main_cluster = false\n")?;
    }
    apt_get(&["update"])?;
    let mut install =
        vec!["install", "--yes", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"];
    install.extend(&missing);
    apt_get(&install)?;
    drop(policy);
    for service in ["etcd", "haproxy", "patroni"] {
        // Without systemd there is nothing to disable.
        let _ = Command::new("systemctl").args(["disable", service]).stderr(Stdio::null()).status();
    }
    Ok(())
}

/// The folder with `initdb` and `postgres` of the newest version.
pub fn server_programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.retain(|folder| folder.join("pg_rewind").exists());
    folders.sort();
    folders.pop()
}

/// The path of a program. It also looks in `/usr/sbin`, which not every user has in `PATH`.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.exists())
}

/// While this value lives, no package starts a service.
struct Policy {
    /// The policy that was there before.
    before: Option<Vec<u8>>,
}

impl Policy {
    fn forbid_services() -> Result<Self> {
        let before = fs::read(POLICY).ok();
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").with_context(|| format!("cannot write {POLICY}"))?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        Ok(Self { before })
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        let _ = match &self.before {
            Some(before) => fs::write(POLICY, before),
            None => fs::remove_file(POLICY),
        };
    }
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    let output = command.output().context("cannot run apt-get: the drill needs Debian or Ubuntu")?;
    if !output.status.success() {
        bail!("apt-get {} failed: {}", arguments[0], String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn is_root() -> Result<bool> {
    Ok(Command::new("id").arg("-u").output()?.stdout == b"0\n")
}

/// Prints a line on standard error.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
