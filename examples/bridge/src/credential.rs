//! What the bridge stores between two runs, in files that only their owner can read.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
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

/// The token and everything that the bridge sends with it.
#[derive(Clone, Deserialize, Serialize)]
pub struct Credential {
    /// The gateway that issued the credential. The bridge sends it to no other gateway.
    pub gateway: Url,
    /// The OAuth client that it was issued to. `None`: the identity headers name the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The resource that the token is for (RFC 8707). `None`: all that bridges may call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Url>,
    pub token: String,
    /// Good for one use. The answer contains the next one. A gateway may give none.
    pub refresh_token: Option<String>,
    /// When the token was received, and for how long it is good.
    #[serde(flatten)]
    pub life: Life,
    /// The identity headers to send with each call.
    pub headers: BTreeMap<String, String>,
}

/// When a token was requested, by this machine's clock, and how long it is good. The gateway's clock may differ.
#[derive(Clone, Copy, Deserialize, Serialize)]
pub struct Life {
    /// In Unix milliseconds, just before the request.
    #[serde(default)]
    asked_at: u64,
    /// In seconds.
    pub ttl: u64,
}

/// The files: the credential, the gateway that ended the last one, the verifier that the next code is bound to, the hook
/// client, and the locks.
pub struct Folder {
    credential: PathBuf,
    ended: PathBuf,
    verifier: PathBuf,
    hooks: PathBuf,
}

/// The right to change a file, among all processes of a person. It ends when it is dropped or when the process ends.
#[must_use]
pub struct Turn(#[allow(dead_code, reason = "the lock is held as long as the file is open")] File);

/// Space on the disk for the next credential. It is reserved before the current refresh token is used.
pub struct Room<'a> {
    folder: &'a Folder,
    file: NamedTempFile,
}

impl Credential {
    /// The id of this bridge as an OAuth client of its gateway.
    pub fn client_id(&self) -> &str {
        let header = || self.headers.get("x-client-id").map(String::as_str);
        self.client_id.as_deref().or_else(header).unwrap_or("sp_bridge")
    }

    /// The person, as far as the gateway has told.
    pub fn user_id(&self) -> Option<&str> {
        self.headers.get("x-user-id").map(String::as_str)
    }

    pub fn session_id(&self) -> &str {
        self.headers.get("x-session-id").map_or("", String::as_str)
    }
}

impl Life {
    /// Begins now. Call it before the request for the token.
    pub fn begins() -> Self {
        Self { asked_at: now().as_millis().try_into().unwrap_or(u64::MAX), ttl: 0 }
    }

    /// The life of a token that is good for `ttl` seconds.
    pub fn of(self, ttl: u64) -> Self {
        Self { ttl, ..self }
    }

    /// Whether it is time to renew the token: after 80 % of its life. A token of two minutes or more is due at the
    /// latest a minute before its end.
    pub fn is_due(self) -> bool {
        self.until_due().is_zero()
    }

    pub fn until_due(self) -> Duration {
        let life = Duration::from_secs(self.ttl);
        let due = life.mul_f64(0.8);
        let minute = Duration::from_secs(60);
        self.until(if life < 2 * minute { due } else { due.min(life - minute) })
    }

    /// Whether the token has expired.
    pub fn is_over(self) -> bool {
        self.left().is_zero()
    }

    pub fn left(self) -> Duration {
        self.until(Duration::from_secs(self.ttl))
    }

    /// In Unix seconds, by this machine's clock.
    pub fn expires_at(self) -> u64 {
        (self.asked_at / 1000).saturating_add(self.ttl)
    }

    fn until(self, age: Duration) -> Duration {
        let asked_at = Duration::from_millis(self.asked_at);
        // If the clock was set back, the token counts as new, not as younger than that.
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
                let folders = folders.map_err(|_| {
                    anyhow!("this user has no home folder: set HOME, or write --credential FILE")
                })?;
                folders.data_dir().join("bridge-auth/bridge.json")
            }
        };
        let [ended, verifier, hooks] =
            [".ended", ".verifier", ".hooks"].map(|ending| beside(&credential, ending));
        Ok(Self { credential, ended, verifier, hooks })
    }

    /// Waits until no other process changes the credential.
    pub async fn turn(&self) -> Result<Turn> {
        lock(beside(&self.credential, ".lock")).await
    }

    /// Whether someone changes the credential at this moment.
    pub fn is_turn_taken(&self) -> Result<bool> {
        let path = beside(&self.credential, ".lock");
        match lock_file(&path)?.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| cannot_lock(&path)),
        }
    }

    /// Waits until no other process changes the hook client. Take this turn before [`turn`](Self::turn).
    pub async fn hooks_turn(&self) -> Result<Turn> {
        lock(beside(&self.hooks, ".lock")).await
    }

    /// Creates a verifier, stores it and returns its challenge.
    pub fn new_challenge(&self) -> Result<String> {
        let verifier = CodeVerifier::random();
        write_private(&self.verifier, verifier.expose().as_bytes())?;
        Ok(verifier.challenge().as_str().to_owned())
    }

    /// The verifier of the last challenge, until a code was linked with it.
    pub fn verifier(&self) -> Result<Option<CodeVerifier>> {
        let Some(text) = read_private(&self.verifier)? else { return Ok(None) };
        let malformed = || format!("the file {} is damaged: remove it", self.verifier.display());
        CodeVerifier::parse(&text).map(Some).with_context(malformed)
    }

    /// Removes the verifier after it was used.
    pub fn forget_verifier(&self) -> Result<()> {
        remove(&self.verifier)
    }

    /// Stores the credential in place of the one before.
    pub fn keep(&self, credential: &Credential) -> Result<()> {
        write_private(&self.credential, &serde_json::to_vec_pretty(credential)?)?;
        remove(&self.ended)
    }

    /// Reserves space for the credential that will replace `credential`.
    pub fn room_for_next(&self, credential: &Credential) -> Result<Room<'_>> {
        let file = write_beside(&self.credential, &serde_json::to_vec_pretty(credential)?)?;
        Ok(Room { folder: self, file })
    }

    /// The stored credential.
    pub fn credential(&self) -> Result<Option<Credential>> {
        read_json(&self.credential, "sign in again")
    }

    /// The gateway that ended the last session, until the person signs in again.
    pub fn ended(&self) -> Result<Option<Url>> {
        read_json(&self.ended, "remove it")
    }

    /// Removes the credential, and the hook client, which is useless without it.
    pub fn forget(&self) -> Result<()> {
        self.forget_hooks()?;
        remove(&self.ended)?;
        remove(&self.credential)
    }

    /// The same, and remembers that `gateway` ended the session: the next process can tell why there is no credential.
    pub fn forget_ended(&self, gateway: &Url) -> Result<()> {
        write_private(&self.ended, &serde_json::to_vec(gateway)?)?;
        self.forget_hooks()?;
        remove(&self.credential)
    }

    /// Removes the hook client.
    pub fn forget_hooks(&self) -> Result<()> {
        remove(&self.hooks)
    }

    /// Stores the hook client.
    pub fn keep_hooks(&self, hooks: &impl Serialize) -> Result<()> {
        write_private(&self.hooks, &serde_json::to_vec_pretty(hooks)?)
    }

    /// The stored hook client.
    pub fn hooks<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        read_json(&self.hooks, "remove it")
    }
}

impl Room<'_> {
    /// Stores `credential` in place of the one before.
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

/// Locks a file, and never removes it. After a removal, a waiting process would hold the lock of another file than a
/// new process.
async fn lock(path: PathBuf) -> Result<Turn> {
    let lock = move || -> Result<Turn> {
        let file = lock_file(&path)?;
        file.lock().with_context(|| cannot_lock(&path))?;
        Ok(Turn(file))
    };
    tokio::task::spawn_blocking(lock).await?
}

fn lock_file(path: &Path) -> Result<File> {
    let open = || -> io::Result<File> {
        fs::create_dir_all(parent(path))?;
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        // A user who can open the file can lock it, and make everyone wait.
        #[cfg(unix)]
        options.mode(0o600);
        options.open(path)
    };
    open().with_context(|| cannot_lock(path))
}

fn cannot_lock(path: &Path) -> String {
    format!("cannot lock {}", path.display())
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes the whole file or leaves the old one. The new file is created beside the old one, with mode 0600, and
/// renamed.
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
        // The new name is safe on the disk only after the folder is synced.
        #[cfg(unix)]
        File::open(parent(path))?.sync_all()?;
        Ok(())
    };
    put().with_context(|| format!("cannot write {}", path.display()))
}

fn read_json<T: DeserializeOwned>(path: &Path, remedy: &str) -> Result<Option<T>> {
    let Some(text) = read_private(path)? else { return Ok(None) };
    let damaged = || format!("the file {} is damaged: {remedy}", path.display());
    serde_json::from_str(&text).map(Some).with_context(damaged)
}

/// Reads a file that only its owner can read. `None`: the file does not exist.
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

    // The mode of the open file, not of the path: the path may name another file by now.
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!(
            "other users can read {0}: run `chmod 600 {0}`, and link again if they may have read it",
            path.display()
        );
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
