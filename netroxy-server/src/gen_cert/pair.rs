//! Two files that are replaced together.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use netroxy_net::program::Failure;
use tempfile::NamedTempFile;

/// A private key and its certificate, as they are to be written.
pub(super) struct Pair {
    pub(super) key: PathBuf,
    pub(super) key_text: String,
    pub(super) cert: PathBuf,
    pub(super) cert_text: String,
}

/// Who may read a file.
#[derive(Clone, Copy)]
enum Readers {
    Owner,
    /// Those of new files on this system.
    Usual,
}

impl Pair {
    /// Writes both files. They get their names after both are safe on the disk, so a run that fails leaves the old
    /// files. Only a machine that stops between the two renames leaves a new key with an old certificate.
    ///
    /// # Errors
    ///
    /// If a file exists and `replace` is false, or if a file cannot be written.
    pub(super) fn write(&self, replace: bool) -> Result<(), Failure> {
        for path in [&self.key, &self.cert] {
            check(path, replace)?;
        }
        self.put(replace)
    }

    fn put(&self, replace: bool) -> Result<(), Failure> {
        let key = prepare(&self.key, self.key_text.as_bytes(), Readers::Owner)?;
        let cert = prepare(&self.cert, self.cert_text.as_bytes(), Readers::Usual)?;
        let old = match fs::read(&self.key) {
            Ok(bytes) => Some(prepare(&self.key, &bytes, Readers::Owner)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(cannot_write(&self.key, &error)),
        };
        name(key, &self.key, replace)?;
        if let Err(failure) = name(cert, &self.cert, replace) {
            // The first error is reported.
            let _ = match old {
                Some(old) => name(old, &self.key, true),
                None => fs::remove_file(&self.key).map_err(|e| cannot_write(&self.key, &e)),
            };
            return Err(failure);
        }
        sync_folder(&self.key);
        Ok(())
    }
}

/// Checks a path before anything is written.
fn check(path: &Path, replace: bool) -> Result<(), Failure> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {
            let folder = format!("cannot write {}: it is a folder", path.display());
            Err(Failure::usage(folder).hint(ELSEWHERE))
        }
        Ok(_) if !replace => Err(exists(path)),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot_write(path, &error)),
    }
}

/// Writes the text to a temporary file in the folder of `path` and to the disk. The file is removed unless it is
/// renamed.
fn prepare(path: &Path, text: &[u8], readers: Readers) -> Result<NamedTempFile, Failure> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".gen-cert-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = match readers {
            Readers::Owner => 0o600,
            // Less the bits of the umask.
            Readers::Usual => 0o666,
        };
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = readers;
    let written = builder.tempfile_in(folder(path)).and_then(|mut file| {
        file.write_all(text)?;
        file.as_file().sync_all()?;
        Ok(file)
    });
    written.map_err(|error| cannot_write(path, &error))
}

fn name(file: NamedTempFile, path: &Path, replace: bool) -> Result<(), Failure> {
    let named = if replace {
        file.persist(path)
    } else {
        file.persist_noclobber(path)
    };
    match named {
        Ok(_) => Ok(()),
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => Err(exists(path)),
        Err(failed) => Err(cannot_write(path, &failed.error)),
    }
}

/// Writes the names to the disk, too. Not every system can do this, so errors are ignored.
fn sync_folder(path: &Path) {
    if let Ok(folder) = fs::File::open(folder(path)) {
        let _ = folder.sync_all();
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

const ELSEWHERE: &str = "--out DIR writes elsewhere";

fn exists(path: &Path) -> Failure {
    Failure::usage(format!("{} exists", path.display()))
        .hint("--force replaces it, --out DIR writes elsewhere")
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    // tempfile adds the path of its own file, whose random name does not help.
    let reason = match error.raw_os_error() {
        Some(_) => error.to_string(),
        None => error.kind().to_string(),
    };
    Failure::usage(format!("cannot write {}: {reason}", path.display())).hint(ELSEWHERE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(folder: &Path, text: &str) -> Pair {
        Pair {
            key: folder.join("priv.key"),
            key_text: format!("key {text}"),
            cert: folder.join("ca.pem"),
            cert_text: format!("cert {text}"),
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn both_files_are_replaced_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        for (text, replace) in [("one", false), ("two", true)] {
            pair(dir.path(), text).write(replace).unwrap();
            let read = |name| fs::read_to_string(dir.path().join(name)).unwrap();
            assert_eq!(read("priv.key"), format!("key {text}"));
            assert_eq!(read("ca.pem"), format!("cert {text}"));
            assert_eq!(names(dir.path()), ["ca.pem", "priv.key"]);
        }
        assert!(pair(dir.path(), "three").write(false).is_err());
    }

    #[test]
    fn a_file_that_cannot_be_written_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        pair(dir.path(), "old").write(false).unwrap();
        let mut new = pair(dir.path(), "new");
        new.cert = dir.path().join("none").join("ca.pem");
        let failure = new.write(true).unwrap_err();
        let text = failure.error.to_string();
        assert!(text.ends_with("ca.pem: entity not found"), "{text}");
        assert_eq!(fs::read_to_string(&new.key).unwrap(), "key old");
        assert_eq!(names(dir.path()), ["ca.pem", "priv.key"]);
    }

    /// A folder of the certificate's name appears after the check of the path.
    #[test]
    fn the_old_key_is_restored_if_the_certificate_cannot_be_renamed() {
        for old in [Some("key old"), None] {
            let dir = tempfile::tempdir().unwrap();
            let new = pair(dir.path(), "new");
            fs::create_dir(&new.cert).unwrap();
            if let Some(old) = old {
                fs::write(&new.key, old).unwrap();
            }
            assert!(new.put(true).is_err());
            assert_eq!(fs::read_to_string(&new.key).ok().as_deref(), old);
            assert_eq!(names(dir.path()).len(), 1 + usize::from(old.is_some()));
        }
    }
}
