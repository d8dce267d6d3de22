//! Places for files that are written as a whole.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::stdout;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// As the file that was there, or as the umask says.
    Usual,
    /// Its owner alone, whatever was there, because it holds passwords.
    Owner,
}

/// Where something is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Stdout,
    /// Replaced as a whole, so that nobody ever reads half of it.
    File(PathBuf, Readers),
    /// Something that cannot be replaced, such as a pipe.
    Device(PathBuf),
}

/// A place that cannot be written to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Misplaced {
    message: String,
    /// The next step.
    pub(crate) hint: String,
}

impl Place {
    /// Checks a place before there is anything to write, so that no run is lost for a typing error.
    ///
    /// # Errors
    /// When it is a folder, or is in no folder that can be written to.
    pub(crate) fn find(path: &Path, readers: Readers) -> Result<Self, Misplaced> {
        // Through links, so that two names of a file are one place, and a link stays one.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let (Some(name), false) = (path.file_name(), path.is_dir()) else {
            let message = format!("{} is a folder", path.display());
            return Err(Misplaced::new(message, "name a file in it"));
        };
        if path.exists() && !path.is_file() {
            return Ok(Self::Device(path));
        }
        let folder = folder_of(&path);
        let Ok(folder) = fs::canonicalize(folder) else {
            let message = format!("there is no folder {}", folder.display());
            let hint = format!("make it first: mkdir -p {}", folder.display());
            return Err(Misplaced::new(message, &hint));
        };
        probe(&folder)?;
        Ok(Self::File(folder.join(name), readers))
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// When it cannot be written; then a file is as it was before.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => stdout::write(bytes),
            Self::Device(path) => OpenOptions::new().write(true).open(path)?.write_all(bytes),
            Self::File(path, readers) => {
                let mut file = temporary(path, *readers)?;
                file.as_file_mut().write_all(bytes)?;
                // Some file systems tell only now that they have no room.
                synced(file.as_file())?;
                file.persist(path).map_err(|error| error.error)?;
                Ok(())
            }
        }
    }

    /// Begins a file that grows in its place. What was there is gone, and with it whoever could read it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn begin(&self) -> io::Result<File> {
        match self {
            Self::Stdout => Err(io::Error::other("standard output is no file")),
            Self::Device(path) => OpenOptions::new().write(true).open(path),
            Self::File(path, readers) => Ok(temporary(path, *readers)?
                .persist(path)
                .map_err(|error| error.error)?),
        }
    }

    /// As it is shown.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdout => "standard output".to_owned(),
            Self::Device(path) | Self::File(path, _) => path.display().to_string(),
        }
    }
}

/// A folder that files are written to, made when the first one is.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    readers: Readers,
}

impl Folder {
    /// Checks a folder, which need not exist, before there is anything to write.
    ///
    /// # Errors
    /// When it is no folder, or cannot be made or written to.
    pub(crate) fn find(path: &Path, readers: Readers) -> Result<Self, Misplaced> {
        let there = path.ancestors().find(|one| one.symlink_metadata().is_ok());
        // A relative path begins in the folder that we are in.
        let there = there.unwrap_or_else(|| Path::new("."));
        if !there.is_dir() {
            let message = format!("{} is no folder", there.display());
            return Err(Misplaced::new(message, "name a folder"));
        }
        probe(there)?;
        Ok(Self {
            path: path.to_owned(),
            readers,
        })
    }

    /// Where a file of this name goes; the name may lead into folders below this one.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file, and makes the folders that it needs.
    ///
    /// # Errors
    /// When it cannot be written; then a file is as it was before.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.join(name);
        fs::create_dir_all(folder_of(&path))?;
        let place = Place::find(&path, self.readers);
        place.map_err(io::Error::other)?.write(bytes)
    }
}

impl Misplaced {
    fn new(message: String, hint: &str) -> Self {
        Self {
            message,
            hint: hint.to_owned(),
        }
    }
}

/// Whether files can be made in a folder.
fn probe(folder: &Path) -> Result<(), Misplaced> {
    let made = Builder::new().prefix(PREFIX).tempfile_in(folder);
    made.map(drop).map_err(|error| {
        let error = bare(error);
        let message = format!("cannot write to {}: {error}", folder.display());
        Misplaced::new(message, "name a folder that you may write to")
    })
}

/// A file beside `path`; it vanishes unless it takes its place.
fn temporary(path: &Path, readers: Readers) -> io::Result<NamedTempFile> {
    unnamed(path, readers).map_err(bare)
}

/// What the system says, without the name of the file beside the one that is meant.
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
        // What the umask leaves of it, as for any other file.
        (Readers::Usual, Err(_)) => builder
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder),
    }
}

/// Waits until the disk has it, where it is on one.
pub(super) fn synced(file: &File) -> io::Result<()> {
    match file.sync_all() {
        // Not every file system can.
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
    fn a_file_takes_the_place_of_an_older_one_as_a_whole() {
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
    fn what_holds_passwords_is_read_by_its_owner_alone_whatever_was_there() {
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
        // Who has opened the older file before reads the older file.
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
    fn a_folder_is_made_when_something_is_written_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let found = Folder::find(&path, Readers::Owner).unwrap();
        assert!(!path.exists());
        found.write("c/d", b"x").unwrap();
        assert_eq!(mode(&path.join("c/d")), 0o600);
        let below = path.join("c/d/e");
        let refused = Folder::find(&below, Readers::Owner).unwrap_err();
        assert!(
            refused.to_string().ends_with("c/d is no folder"),
            "{refused}"
        );
        let refused = Folder::find(Path::new("/proc/none"), Readers::Owner).unwrap_err();
        assert!(
            refused.to_string().starts_with("cannot write to /proc: "),
            "{refused}"
        );
    }
}
