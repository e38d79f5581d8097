//! A signing key in a file that only its owner can read.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use zeroize::Zeroizing;

use super::signing_key::generate_pem;
use super::{Algorithm, KeyError, SigningKey};

/// The most bytes that a key file may have. An RSA key of 4096 bits has 3 272 bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// Reads the key in `path`, or makes one there. When any number of processes start at the same time, all get the same
/// key.
pub(super) fn load_or_generate(path: &Path, algorithm: Algorithm) -> Result<SigningKey, KeyError> {
    let at_path = |source| KeyError::File { path: path.to_owned(), source };
    let pem = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path, &generate_pem(algorithm)?).map_err(at_path)?;
            // Another process may have been faster: the key in the file now is the key of all of them.
            read(File::open(path).map_err(at_path)?, path)?
        }
        file => read(file.map_err(at_path)?, path)?,
    };
    SigningKey::from_pem(algorithm, &pem)
        .map_err(|refusal| KeyError::InFile { path: path.to_owned(), source: Box::new(refusal) })
}

fn read(file: File, path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let at_path = |source| KeyError::File { path: path.to_owned(), source };
    // The open file is checked, not the path: so nobody can exchange the file in between.
    if is_open_to_others(&file).map_err(at_path)? {
        return Err(KeyError::FileMode { path: path.to_owned() });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(at_path)?;
    Ok(text)
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

#[cfg(unix)]
fn is_open_to_others(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(file.metadata()?.permissions().mode() & 0o077 != 0)
}

/// On other systems the access list of the folder protects the file.
#[cfg(not(unix))]
fn is_open_to_others(_: &File) -> io::Result<bool> {
    Ok(false)
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
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

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
    fn what_stands_in_the_file_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        for text in ["", "no key", &*generate_pem(Algorithm::Es256).unwrap()] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let error = load_or_generate(&path, Algorithm::EdDsa).unwrap_err();
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            assert!(matches!(error, KeyError::InFile { .. }), "{error:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let missing = folder.path().join("missing/key.pem");
        assert!(matches!(load_or_generate(&missing, Algorithm::EdDsa), Err(KeyError::File { .. })));
    }
}
