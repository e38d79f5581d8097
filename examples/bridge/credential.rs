//! What the bridge keeps between two runs, in files that nobody else can read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use bridge_auth::CodeVerifier;
use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use url::Url;

/// What lets the bridge in.
#[derive(Deserialize, Serialize)]
pub struct Credential {
    /// The gateway that issued it: it is shown to no other.
    pub gateway: Url,
    pub token: String,
    /// How long the token lived when it was issued, in seconds.
    pub ttl: u64,
    /// The identity headers to send with each call.
    pub headers: BTreeMap<String, String>,
}

/// The two files: the credential, and beside it the verifier that the next code is bound to.
pub struct Folder {
    credential: PathBuf,
    verifier: PathBuf,
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
        let mut verifier = credential.clone().into_os_string();
        verifier.push(".verifier");
        Ok(Self { credential, verifier: verifier.into() })
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

    /// The kept credential.
    pub fn credential(&self) -> Result<Credential> {
        let Some(text) = read_private(&self.credential)? else {
            bail!("there is no credential: get a code from your gateway and run `bridge link`");
        };
        let damaged = || format!("{} is damaged: link again", self.credential.display());
        serde_json::from_str(&text).with_context(damaged)
    }

    /// Removes the credential.
    pub fn forget(&self) -> Result<()> {
        remove(&self.credential)
    }
}

/// Writes the whole file or leaves the old one: it is made beside it, with mode 0600, and renamed.
fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        fs::create_dir_all(parent)?;
        let mut file = NamedTempFile::new_in(parent)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
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
