//! Paths of files that are written as a whole.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::stdout;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Those who could read the file before, or as the umask says.
    Usual,
    /// Only its owner, because it holds passwords.
    Owner,
}

/// A place to write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Stdout,
    /// A file, which is replaced as a whole, so that a reader never gets half of it.
    File(PathBuf, Readers),
    /// A pipe or a device, which cannot be replaced.
    Device(PathBuf),
}

/// A place that cannot be written to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct PlaceError {
    message: String,
    /// The next step.
    pub(crate) hint: String,
}

impl Place {
    /// Checks a path before a run, so that no run is lost because of a typing error.
    ///
    /// # Errors
    /// When it is a folder, or its folder cannot be written to.
    pub(crate) fn find(path: &Path, readers: Readers) -> Result<Self, PlaceError> {
        // Follows links, so that two names of a file are one place, and a link stays a link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let (Some(name), false) = (path.file_name(), path.is_dir()) else {
            let message = format!("{} is a folder", path.display());
            return Err(PlaceError::new(message, "name a file in it"));
        };
        if path.exists() && !path.is_file() {
            return Ok(Self::Device(path));
        }
        let folder = folder_of(&path);
        let Ok(folder) = fs::canonicalize(folder) else {
            let message = format!("there is no folder {}", folder.display());
            let hint = format!("create it: mkdir -p {}", folder.display());
            return Err(PlaceError::new(message, &hint));
        };
        probe(&folder)?;
        Ok(Self::File(folder.join(name), readers))
    }

    /// Writes the whole content.
    ///
    /// # Errors
    /// When it cannot be written; a file keeps its old content then.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => stdout::write(bytes),
            Self::Device(path) => OpenOptions::new().write(true).open(path)?.write_all(bytes),
            Self::File(path, readers) => {
                let mut file = temporary(path, *readers)?;
                file.as_file_mut().write_all(bytes)?;
                // Some file systems report only now that they are full.
                synced(file.as_file())?;
                file.persist(path).map_err(|error| error.error)?;
                Ok(())
            }
        }
    }

    /// Creates a file that grows in its place, instead of an older one.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(super) fn begin(&self) -> io::Result<File> {
        match self {
            Self::Stdout => Err(io::Error::other("standard output is not a file")),
            Self::Device(path) => OpenOptions::new().write(true).open(path),
            Self::File(path, readers) => Ok(temporary(path, *readers)?
                .persist(path)
                .map_err(|error| error.error)?),
        }
    }

    /// The name in messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdout => "standard output".to_owned(),
            Self::Device(path) | Self::File(path, _) => path.display().to_string(),
        }
    }
}

/// A folder for files, created with the first file.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    readers: Readers,
}

impl Folder {
    /// Checks a folder, which need not exist, before a run.
    ///
    /// # Errors
    /// When it is not a folder, or cannot be created or written to.
    pub(crate) fn find(path: &Path, readers: Readers) -> Result<Self, PlaceError> {
        let there = path.ancestors().find(|one| one.symlink_metadata().is_ok());
        // A relative path begins in the working directory.
        let there = there.unwrap_or_else(|| Path::new("."));
        if !there.is_dir() {
            let message = format!("{} is not a folder", there.display());
            return Err(PlaceError::new(message, "name a folder"));
        }
        probe(there)?;
        Ok(Self {
            path: path.to_owned(),
            readers,
        })
    }

    /// The path of a file of this name, which may contain folders.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file, and creates the folders that it needs.
    ///
    /// # Errors
    /// When it cannot be written; a file keeps its old content then.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.join(name);
        fs::create_dir_all(folder_of(&path))?;
        let place = Place::find(&path, self.readers);
        place.map_err(io::Error::other)?.write(bytes)
    }
}

impl PlaceError {
    fn new(message: String, hint: &str) -> Self {
        Self {
            message,
            hint: hint.to_owned(),
        }
    }
}

/// Checks that files can be created in a folder.
fn probe(folder: &Path) -> Result<(), PlaceError> {
    let made = Builder::new().prefix(PREFIX).tempfile_in(folder);
    made.map(drop).map_err(|error| {
        let error = bare(error);
        let message = format!("cannot write to {}: {error}", folder.display());
        PlaceError::new(message, "name a folder that you may write to")
    })
}

/// A temporary file in the folder of `path`, which is removed unless it is moved to `path`.
fn temporary(path: &Path, readers: Readers) -> io::Result<NamedTempFile> {
    unnamed(path, readers).map_err(bare)
}

/// The error of the system, without the name of the temporary file.
fn bare(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(std::error::Error::source);
    let inner = inner.and_then(|inner| inner.downcast_ref::<io::Error>());
    match inner.and_then(io::Error::raw_os_error) {
        Some(number) => io::Error::from_raw_os_error(number),
        None => error,
    }
}

fn unnamed(path: &Path, readers: Readers) -> io::Result<NamedTempFile> {
    let folder = folder_of(path);
    let mut builder = Builder::new();
    builder.prefix(PREFIX);
    match (readers, fs::metadata(path)) {
        (Readers::Owner, _) => builder
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(folder),
        (Readers::Usual, Ok(before)) => {
            let file = builder.tempfile_in(folder)?;
            let mode = before.permissions().mode() & 0o777;
            file.as_file()
                .set_permissions(Permissions::from_mode(mode))?;
            Ok(file)
        }
        // The umask removes bits, as for any other file.
        (Readers::Usual, Err(_)) => builder
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder),
    }
}

/// Waits until the content is on the disk, if the file is on one.
pub(super) fn synced(file: &File) -> io::Result<()> {
    match file.sync_all() {
        // Not every file system can sync.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

const PREFIX: &str = ".netroxy-conformance-";

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_replaces_an_older_one_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "older").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let place = Place::find(&path, Readers::Usual).unwrap();
        place.write(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(mode(&path), 0o640);
        let fresh = folder.path().join("fresh");
        let place = Place::find(&fresh, Readers::Usual).unwrap();
        place.write(b"").unwrap();
        assert_eq!(mode(&fresh) & 0o111, 0);
    }

    #[test]
    fn a_file_with_passwords_is_readable_only_by_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "older").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let mut reader = File::open(&path).unwrap();
        Place::find(&path, Readers::Owner)
            .unwrap()
            .write(b"secret")
            .unwrap();
        assert_eq!(
            (mode(&path), fs::read(&path).unwrap()),
            (0o600, b"secret".to_vec())
        );
        // A program that opened the older file before still reads the older file.
        let mut seen = String::new();
        io::Read::read_to_string(&mut reader, &mut seen).unwrap();
        assert_eq!(seen, "older");
    }

    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        let place = |path| Place::find(Path::new(path), Readers::Owner).unwrap();
        assert_eq!(place("/dev/null"), Place::Device("/dev/null".into()));
        place("/dev/null").write(b"x").unwrap();
        let full = place("/dev/full").write(b"x").unwrap_err();
        assert_eq!(full.kind(), ErrorKind::StorageFull);
    }

    #[test]
    fn a_folder_is_created_with_its_first_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let found = Folder::find(&path, Readers::Owner).unwrap();
        assert!(!path.exists());
        found.write("c/d", b"x").unwrap();
        assert_eq!(mode(&path.join("c/d")), 0o600);
        let below = path.join("c/d/e");
        let refused = Folder::find(&below, Readers::Owner).unwrap_err();
        assert!(
            refused.to_string().ends_with("c/d is not a folder"),
            "{refused}"
        );
        let refused = Folder::find(Path::new("/proc/none"), Readers::Owner).unwrap_err();
        assert!(
            refused.to_string().starts_with("cannot write to /proc: "),
            "{refused}"
        );
    }
}
