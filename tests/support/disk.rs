//! Disks that get full, for programs that a test starts.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tokio::process::Command;

/// How a disk gets full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// A small file system that only the program sees, and that is filled. Needs root, or namespaces for everybody.
    Small { is_root: bool },
    /// The system lets the program write no more: for everybody. Programs take it for a broken disk.
    Forbidden,
}

impl Disk {
    /// All that this machine has.
    pub async fn kinds() -> Vec<Self> {
        let mut kinds = vec![Self::Forbidden];
        for is_root in [true, false] {
            let small = Self::Small { is_root };
            let folder = tempfile::tempdir().unwrap();
            let wrapper = small.wrapper(folder.path(), 4);
            let tried = Command::new(&wrapper[0]).args(&wrapper[1..]).arg("true").output().await;
            if tried.is_ok_and(|tried| tried.status.success()) {
                kinds.push(small);
                break;
            }
        }
        kinds
    }

    /// What a program is started by, so that `folder` is such a disk: the program and its arguments come after it.
    pub fn wrapper(self, folder: &Path, megabytes: u32) -> Vec<String> {
        let mount = "mount -t tmpfs -o size=$1m,mode=1777 none \"$0\" && shift && exec \"$@\"";
        let (folder, size) = (folder.to_str().unwrap(), megabytes.to_string());
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        match self {
            Self::Small { is_root: true } => words(&["unshare", "-m", "sh", "-c", mount, folder, &size]),
            // Afterwards it is who it was: not every program runs as root.
            Self::Small { is_root: false } => {
                let me = fs::metadata("/proc/self").unwrap();
                let (user, group) = (format!("--map-user={}", me.uid()), format!("--map-group={}", me.gid()));
                let small = ["unshare", "-r", "-m", "sh", "-c", mount, folder, &size];
                words(&[&small[..], &["unshare", &user, &group]].concat())
            }
            // Whoever writes too much is told, not killed.
            Self::Forbidden => words(&["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"]),
        }
    }

    /// Takes all room in `folder` from these processes, and returns what takes it.
    pub async fn fill(self, processes: &[u32], folder: &Path) -> Option<File> {
        match self {
            Self::Small { .. } => {
                // As they see it.
                let seen = Path::new("/proc").join(processes[0].to_string()).join("root");
                let filler = seen.join(folder.strip_prefix("/").unwrap()).join("filler");
                let mut file = File::create_new(filler).unwrap();
                // The last page too, whatever was written of it before.
                let mut bytes = 1 << 20;
                while bytes > 0 {
                    if let Err(error) = file.write_all(&vec![0; bytes]) {
                        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
                        bytes /= 2;
                    }
                }
                Some(file)
            }
            Self::Forbidden => {
                limit(processes, "0").await;
                None
            }
        }
    }

    /// Gives it back. They may have ended meanwhile.
    pub async fn make_room(self, processes: &[u32], filler: Option<File>) {
        match filler {
            Some(filler) => filler.set_len(0).unwrap(),
            None => limit(processes, "unlimited").await,
        }
    }
}

/// How many bytes a file may have that one of `processes` writes.
async fn limit(processes: &[u32], bytes: &str) {
    let me = fs::metadata("/proc/self").unwrap().uid();
    for process in processes {
        // One may have ended meanwhile.
        let Ok(owner) = fs::metadata(format!("/proc/{process}")) else { continue };
        let mut words = vec!["prlimit".to_owned(), "--pid".to_owned(), process.to_string()];
        words.push(format!("--fsize={bytes}:"));
        if owner.uid() != me {
            // Not every root may set the limits of others.
            let (user, group) = (format!("--reuid={}", owner.uid()), format!("--regid={}", owner.gid()));
            words.splice(0..0, ["setpriv".to_owned(), user, group, "--clear-groups".to_owned()]);
        }
        let limited = Command::new(&words[0]).args(&words[1..]).status().await.unwrap();
        assert!(limited.success() || fs::metadata(format!("/proc/{process}")).is_err());
    }
}
