//! A signing key in a file that only its owner can read.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use zeroize::Zeroizing;

use super::signing_key::{EXPECTED, generate_pem};
use super::{Algorithm, KeyError, SigningKey};

/// The most bytes that a key file may have. An RSA key of 4096 bits has 3 272 bytes.
const MAX_BYTES: u64 = 64 * 1024;

impl SigningKey {
    /// Reads the private key in the file `path` (unencrypted PKCS#8 PEM) for `algorithm`. A missing file is an error.
    ///
    /// The file must belong to the user that the process runs as, or to root, and no other user may read or write it (on
    /// Unix).
    ///
    /// This reads a file: call it when the gateway starts, not in a request.
    ///
    /// # Errors
    ///
    /// Each names the file. [`KeyError::NotAKeyFile`] when it is something else than a key. [`KeyError::FileOwner`] and
    /// [`KeyError::FileMode`] when another user can use it. [`KeyError::InFile`] when its key is of another kind, too
    /// weak, or inconsistent. [`KeyError::File`] when it cannot be read.
    pub fn from_file(algorithm: Algorithm, path: impl AsRef<Path>) -> Result<Self, KeyError> {
        load(path.as_ref(), algorithm)
    }
}

/// Reads the key in `path`, or makes one there. When any number of processes start at the same time, all get the same
/// key.
pub(super) fn load_or_generate(path: &Path, algorithm: Algorithm) -> Result<SigningKey, KeyError> {
    match load(path, algorithm) {
        Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            let at_path = |source| KeyError::File { path: path.to_owned(), source };
            create(path, &generate_pem(algorithm)?).map_err(at_path)?;
            // Another process may have been faster: the key in the file now is the key of all of them.
            load(path, algorithm)
        }
        loaded => loaded,
    }
}

fn load(path: &Path, algorithm: Algorithm) -> Result<SigningKey, KeyError> {
    let at_path = |source| KeyError::File { path: path.to_owned(), source };
    let no_key = |expected| KeyError::NotAKeyFile { path: path.to_owned(), expected };
    // Before it is opened: to open a pipe is to wait for its other end.
    if !fs::metadata(path).map_err(at_path)?.is_file() {
        return Err(no_key(EXPECTED));
    }
    // From here on the open file is looked at, not the path: so nobody can exchange the file in between.
    let file = File::open(path).map_err(at_path)?;
    let metadata = file.metadata().map_err(at_path)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(at_path)?;
    let key = str::from_utf8(&bytes)
        .map_err(|_| KeyError::Malformed { expected: EXPECTED })
        .and_then(|pem| SigningKey::from_pem(algorithm, pem));
    match key {
        // First of all. It would be no help to protect a file that is something else.
        Err(KeyError::Malformed { expected }) => Err(no_key(expected)),
        key => {
            check_access(path, &metadata)?;
            key.map_err(|refusal| KeyError::InFile { path: path.to_owned(), source: Box::new(refusal) })
        }
    }
}

/// Refuses a file that another user owns, or can use.
#[cfg(unix)]
fn check_access(path: &Path, metadata: &Metadata) -> Result<(), KeyError> {
    use std::os::unix::fs::MetadataExt as _;

    check_owner_and_mode(path, metadata.uid(), metadata.mode(), rustix::process::geteuid().as_raw())
}

/// Root may own a key file, because root can do everything anyway.
#[cfg(unix)]
fn check_owner_and_mode(path: &Path, owner: u32, mode: u32, process: u32) -> Result<(), KeyError> {
    const ROOT: u32 = 0;

    let path = || path.to_owned();
    match () {
        () if owner != process && owner != ROOT => Err(KeyError::FileOwner { path: path(), owner, process }),
        () if mode & 0o077 != 0 => Err(KeyError::FileMode { path: path() }),
        () => Ok(()),
    }
}

/// On other systems the access list of the folder protects the file.
#[cfg(not(unix))]
fn check_access(_: &Path, _: &Metadata) -> Result<(), KeyError> {
    Ok(())
}

/// Writes `pem` to `path`, whole or not at all. A file that exists is never replaced.
fn create(path: &Path, pem: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A temporary file has mode 0600 from its creation on.
    let mut file = tempfile::Builder::new().prefix(".signing-key-").tempfile_in(folder)?;
    file.write_all(pem.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => sync_folder(folder),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

/// Makes sure that the new name survives a crash.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::collections::HashSet;
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

    use super::*;

    #[test]
    fn processes_that_start_at_once_get_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let load = || load_or_generate(&path, Algorithm::EdDsa).unwrap().key_id().to_owned();
        let ids: HashSet<String> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..16).map(|_| scope.spawn(load)).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 1);
        assert_eq!(ids, HashSet::from([load()]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_file_that_others_can_use_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        load_or_generate(&path, Algorithm::EdDsa).unwrap();
        for mode in [0o640, 0o604, 0o644, 0o660, 0o620, 0o602, 0o610] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = load_or_generate(&path, Algorithm::EdDsa).unwrap_err();
            assert!(
                error.to_string().contains(&format!("chmod 600 {}", path.display())),
                "{mode:o}: {error}"
            );
        }
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        assert!(load_or_generate(&path, Algorithm::EdDsa).is_ok());
    }

    #[test]
    fn only_the_process_and_root_may_own_a_key_file() {
        let refused = |owner, process| {
            let refusal = check_owner_and_mode(Path::new("a.key"), owner, 0o100_600, process).err()?;
            assert!(matches!(refusal, KeyError::FileOwner { .. }), "{refusal:?}");
            Some(refusal.to_string())
        };
        for (owner, process) in [(1000, 1000), (0, 1000), (0, 0)] {
            assert_eq!(refused(owner, process), None, "{owner} {process}");
        }
        for (owner, process) in [(1001, 1000), (1000, 0), (u32::MAX, 1000)] {
            let told = refused(owner, process).unwrap();
            assert!(told.contains(&format!("belongs to the user with the id {owner}")), "{told}");
            assert!(told.contains(&format!("run `chown {process} a.key`")), "{told}");
        }
    }

    #[test]
    fn a_key_file_that_was_given_to_another_user_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        load_or_generate(&path, Algorithm::EdDsa).unwrap();
        let own = fs::metadata(&path).unwrap().uid();
        if chown(&path, Some(own + 1), None).is_err() {
            // The rule itself is tested above, for any two users.
            eprintln!("NOT TESTED: only root can give a file to another user, and this is user {own}");
            return;
        }
        for load in [load, load_or_generate] {
            let error = load(&path, Algorithm::EdDsa).unwrap_err();
            assert!(
                matches!(error, KeyError::FileOwner { owner, process, .. } if (owner, process) == (own + 1, own))
            );
        }
        chown(&path, Some(own), None).unwrap();
        assert!(SigningKey::from_file(Algorithm::EdDsa, &path).is_ok());
    }

    #[test]
    fn what_is_not_a_key_is_named_with_what_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let folder_of_keys = folder.path().join("keys");
        fs::create_dir(&folder_of_keys).unwrap();
        let traditional = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        for path in [
            file("empty", b""),
            file("text", b"no key"),
            file("binary", b"\xff\xfe\x00"),
            file("traditional", traditional.as_bytes()),
            folder_of_keys,
            "/dev/zero".into(),
        ] {
            for load in [load, load_or_generate] {
                let error = load(&path, Algorithm::EdDsa).unwrap_err();
                assert!(matches!(error, KeyError::NotAKeyFile { .. }), "{error:?}");
                let told = error.to_string();
                let start = format!(
                    "{} is not a key file: it must be a file with an unencrypted PKCS#8 PEM",
                    path.display()
                );
                assert!(told.starts_with(&start), "{told}");
                assert!(!told.contains("chmod"), "it must not be protected like a key: {told}");
            }
        }
    }

    #[test]
    fn what_stands_in_the_file_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        for (text, is_key) in
            [("", false), ("no key", false), (&*generate_pem(Algorithm::Es256).unwrap(), true)]
        {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let error = load_or_generate(&path, Algorithm::EdDsa).unwrap_err();
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            assert_eq!(matches!(error, KeyError::InFile { .. }), is_key, "{error:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let missing = folder.path().join("missing/key.pem");
        assert!(matches!(load_or_generate(&missing, Algorithm::EdDsa), Err(KeyError::File { .. })));
        assert!(matches!(load(&folder.path().join("none"), Algorithm::EdDsa), Err(KeyError::File { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no file is made");
    }
}
