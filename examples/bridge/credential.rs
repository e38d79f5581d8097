//! What the bridge keeps between two runs, in files that nobody else can read.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
#[cfg(unix)]
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use bridge_auth::id::CodeVerifier;
use etcetera::BaseStrategy;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use url::Url;

/// What lets the bridge in.
#[derive(Clone, Deserialize, Serialize)]
pub struct Credential {
    /// The gateway that issued it: it is shown to no other.
    pub gateway: Url,
    pub token: String,
    /// Good for one use, which gives the next. A gateway may give none.
    pub refresh_token: Option<String>,
    /// Of the token.
    #[serde(flatten)]
    pub life: Life,
    /// The identity headers to send with each call.
    pub headers: BTreeMap<String, String>,
}

/// When a token was got, by this machine's clock, and for how long: the gateway's clock may be another.
#[derive(Clone, Copy, Deserialize, Serialize)]
pub struct Life {
    /// In Unix milliseconds, before it was asked for.
    #[serde(default)]
    asked_at: u64,
    /// In seconds.
    pub ttl: u64,
}

/// The files: the credential, and beside it the verifier that the next code is bound to, the hook client, and the locks.
pub struct Folder {
    credential: PathBuf,
    verifier: PathBuf,
    hooks: PathBuf,
}

/// Whose turn it is to change a file, among all the processes of a person. Over when it is dropped, or the process dies.
#[must_use]
pub struct Turn(#[allow(dead_code, reason = "the lock is held as long as the file is open")] File);

/// Room on the disk for the next credential, taken before the one there is gets used up.
pub struct Room<'a> {
    folder: &'a Folder,
    file: NamedTempFile,
}

impl Credential {
    /// The OAuth client that this bridge is at its gateway.
    pub fn client_id(&self) -> &str {
        self.headers.get("x-client-id").map_or("sp_bridge", String::as_str)
    }

    pub fn session_id(&self) -> &str {
        self.headers.get("x-session-id").map_or("", String::as_str)
    }
}

impl Life {
    /// Begins now, before the token is asked for.
    pub fn begins() -> Self {
        Self { asked_at: now().as_millis().try_into().unwrap_or(u64::MAX), ttl: 0 }
    }

    /// The life of a token of so many seconds.
    pub fn of(self, ttl: u64) -> Self {
        Self { ttl, ..self }
    }

    /// Whether the token is to be replaced: after 80 % of its life, and a minute before its end if it is so long.
    pub fn is_due(self) -> bool {
        self.until_due().is_zero()
    }

    pub fn until_due(self) -> Duration {
        let life = Duration::from_secs(self.ttl);
        let due = life.mul_f64(0.8);
        let minute = Duration::from_secs(60);
        self.until(if life < 2 * minute { due } else { due.min(life - minute) })
    }

    /// Whether the token is good no more.
    pub fn is_over(self) -> bool {
        self.until(Duration::from_secs(self.ttl)).is_zero()
    }

    fn until(self, age: Duration) -> Duration {
        let asked_at = Duration::from_millis(self.asked_at);
        // A clock that was set back does not make it younger than new.
        (asked_at + age).saturating_sub(now()).min(age)
    }
}

impl Folder {
    /// The files at `credential`, or in the user's data folder.
    pub fn new(credential: Option<PathBuf>) -> Result<Self> {
        let credential = match credential {
            Some(file) => file,
            None => {
                let folders = etcetera::choose_base_strategy();
                let folders =
                    folders.map_err(|_| anyhow!("this user has no home folder: use --credential"))?;
                folders.data_dir().join("bridge-auth/bridge.json")
            }
        };
        let [verifier, hooks] = [".verifier", ".hooks"].map(|ending| beside(&credential, ending));
        Ok(Self { credential, verifier, hooks })
    }

    /// Waits until no other process changes the credential.
    pub async fn turn(&self) -> Result<Turn> {
        lock(beside(&self.credential, ".lock")).await
    }

    /// Waits until no other process changes the hook client; to be taken before [`turn`](Self::turn).
    pub async fn hooks_turn(&self) -> Result<Turn> {
        lock(beside(&self.hooks, ".lock")).await
    }

    /// Makes a verifier, keeps it and returns its challenge.
    pub fn new_challenge(&self) -> Result<String> {
        let verifier = CodeVerifier::random();
        write_private(&self.verifier, verifier.expose().as_bytes())?;
        Ok(verifier.challenge().as_str().to_owned())
    }

    /// The verifier of the last challenge, until a code was linked with it.
    pub fn verifier(&self) -> Result<Option<CodeVerifier>> {
        let Some(text) = read_private(&self.verifier)? else { return Ok(None) };
        let malformed = || format!("{} is damaged: remove it", self.verifier.display());
        CodeVerifier::parse(&text).map(Some).with_context(malformed)
    }

    /// Forgets the verifier, which has done its work.
    pub fn forget_verifier(&self) -> Result<()> {
        remove(&self.verifier)
    }

    /// Keeps the credential in place of the one before.
    pub fn keep(&self, credential: &Credential) -> Result<()> {
        write_private(&self.credential, &serde_json::to_vec_pretty(credential)?)
    }

    /// Makes room for the credential that will take the place of `credential`.
    pub fn room_for_next(&self, credential: &Credential) -> Result<Room<'_>> {
        let file = write_beside(&self.credential, &serde_json::to_vec_pretty(credential)?)?;
        Ok(Room { folder: self, file })
    }

    /// The kept credential.
    pub fn credential(&self) -> Result<Option<Credential>> {
        read_json(&self.credential, "link again")
    }

    /// Removes the credential, and the hook client, which is no good without.
    pub fn forget(&self) -> Result<()> {
        remove(&self.hooks)?;
        remove(&self.credential)
    }

    /// Keeps what there is to know of the hook client.
    pub fn keep_hooks(&self, hooks: &impl Serialize) -> Result<()> {
        write_private(&self.hooks, &serde_json::to_vec_pretty(hooks)?)
    }

    /// What is kept of the hook client.
    pub fn hooks<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        read_json(&self.hooks, "remove it")
    }
}

impl Room<'_> {
    /// Keeps `credential` in place of the one before.
    pub fn keep(mut self, credential: &Credential) -> Result<()> {
        let path = &self.folder.credential;
        let mut write = || -> io::Result<()> {
            self.file.rewind()?;
            self.file.write_all(&serde_json::to_vec_pretty(credential)?)?;
            let end = self.file.stream_position()?;
            self.file.as_file().set_len(end)?;
            self.file.as_file().sync_all()
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
        put_in_place(self.file, path)
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.to_owned().into_os_string();
    name.push(ending);
    name.into()
}

/// The file stays: who removes a lock file locks another than who waits for it.
async fn lock(path: PathBuf) -> Result<Turn> {
    let lock = move || -> Result<Turn> {
        let cannot_lock = || format!("cannot lock {}", path.display());
        fs::create_dir_all(parent(&path)).with_context(cannot_lock)?;
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        // Who may open it may lock it, and keep everyone waiting.
        #[cfg(unix)]
        options.mode(0o600);
        let file = options.open(&path).with_context(cannot_lock)?;
        file.lock().with_context(cannot_lock)?;
        Ok(Turn(file))
    };
    tokio::task::spawn_blocking(lock).await?
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes the whole file or leaves the old one: it is made beside it, with mode 0600, and renamed.
fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    put_in_place(write_beside(path, content)?, path)
}

fn write_beside(path: &Path, content: &[u8]) -> Result<NamedTempFile> {
    let write = || -> io::Result<NamedTempFile> {
        fs::create_dir_all(parent(path))?;
        let mut file = NamedTempFile::new_in(parent(path))?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn put_in_place(file: NamedTempFile, path: &Path) -> Result<()> {
    let put = || -> io::Result<()> {
        file.persist(path)?;
        // The new name is on the disk when its folder is.
        #[cfg(unix)]
        File::open(parent(path))?.sync_all()?;
        Ok(())
    };
    put().with_context(|| format!("cannot write {}", path.display()))
}

fn read_json<T: DeserializeOwned>(path: &Path, remedy: &str) -> Result<Option<T>> {
    let Some(text) = read_private(path)? else { return Ok(None) };
    let damaged = || format!("{} is damaged: {remedy}", path.display());
    serde_json::from_str(&text).map(Some).with_context(damaged)
}

/// Reads a file that only its owner can read; `None` when there is none.
fn read_private(path: &Path) -> Result<Option<String>> {
    let cannot_read = || format!("cannot read {}", path.display());
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(cannot_read),
    };
    refuse_shared(&file, path)?;
    let mut text = String::new();
    file.read_to_string(&mut text).with_context(cannot_read)?;
    Ok(Some(text))
}

#[cfg(unix)]
fn refuse_shared(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    // Of the open file, not of the path: that may name another by now.
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("others can read {0}: run `chmod 600 {0}`, and link again if they may have", path.display());
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_shared(_: &File, _: &Path) -> Result<()> {
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
