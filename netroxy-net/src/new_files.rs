//! Files that a command creates: all of them or none. It never replaces a file.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::program::Failure;

/// A file to be created.
#[derive(Debug)]
pub struct NewFile {
    /// Its name in the folder.
    pub name: &'static str,
    /// Its contents.
    pub text: String,
    /// Only its owner may read it (Unix: mode 0600). Otherwise it has the usual mode of the system.
    pub is_secret: bool,
}

/// Files that were created. Dropping this removes them, unless they are [kept](Self::keep): a command that fails later
/// leaves no files.
#[derive(Debug)]
#[must_use = "the files are removed when this is dropped"]
pub struct NewFiles(Vec<PathBuf>);

impl NewFiles {
    /// Creates the files in `folder`, in this order. A missing folder is created for its owner alone (Unix: mode 0700),
    /// and stays even if the files do not.
    ///
    /// # Errors
    ///
    /// If one of the files exists, which is checked before anything is created, or if the folder or a file cannot be
    /// written.
    pub fn create(folder: &Path, files: &[NewFile]) -> Result<Self, Failure> {
        none_exists(folder, files.iter().map(|file| file.name))?;
        make_folder(folder).map_err(|error| cannot_make(folder, &error))?;
        let mut made = Self(Vec::new());
        for file in files {
            let path = folder.join(file.name);
            let mut opened = open(&path, file.is_secret).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => exists(&path),
                _ => cannot_make(&path, &error),
            })?;
            // From here on this command removes the file if it fails.
            made.0.push(path.clone());
            opened
                .write_all(file.text.as_bytes())
                .and_then(|()| opened.sync_all())
                .map_err(|error| cannot_make(&path, &error))?;
        }
        Ok(made)
    }

    /// Keeps the files.
    pub fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for NewFiles {
    fn drop(&mut self) {
        for path in &self.0 {
            // The error that led here is reported, not this one.
            let _ = fs::remove_file(path);
        }
    }
}

/// Checks that none of the files exists in `folder`. A command calls it before it asks the operator for anything.
///
/// # Errors
///
/// If one of them exists.
pub fn none_exists<'a>(
    folder: &Path,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<(), Failure> {
    let mut paths = names.into_iter().map(|name| folder.join(name));
    // A symbolic link without a target counts as a file.
    match paths.find(|path| fs::symlink_metadata(path).is_ok()) {
        Some(path) => Err(exists(&path)),
        None => Ok(()),
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn open(path: &Path, is_secret: bool) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if is_secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = is_secret;
    options.open(path)
}

fn exists(path: &Path) -> Failure {
    Failure::usage(format!("{} exists", path.display()))
        .hint("it is not replaced; --dir DIR writes elsewhere")
}

fn cannot_make(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot write {}: {error}", path.display()))
        .hint("--dir DIR writes elsewhere")
}

/// A text as one word of a command for a Unix shell, with quotes if it needs them.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:,@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The path of the local socket for a first configuration in `dir`. It is `name`, next to the configuration. Under
/// `/etc` it is in `/run`, because a service cannot write to `/etc`.
#[must_use]
pub fn socket_path(dir: &Path, service: &str, name: &str) -> PathBuf {
    let is_etc = std::path::absolute(dir).is_ok_and(|dir| dir.starts_with("/etc"));
    if is_etc {
        Path::new("/run").join(service).join(name)
    } else {
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &'static str) -> NewFile {
        NewFile {
            name,
            text: format!("new {name}"),
            is_secret: true,
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn all_files_are_created_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        NewFiles::create(&folder, &[file("one"), file("two")])
            .unwrap()
            .keep();
        assert_eq!(names(&folder), ["one", "two"]);
        assert_eq!(fs::read_to_string(folder.join("two")).unwrap(), "new two");

        fs::write(folder.join("two"), "old").unwrap();
        let failure = NewFiles::create(&folder, &[file("three"), file("two")]).unwrap_err();
        assert!(failure.error.to_string().ends_with("two exists"));
        // The first file is created, and the second one cannot be.
        assert!(NewFiles::create(&folder, &[file("four"), file("none/five")]).is_err());
        drop(NewFiles::create(&folder, &[file("six")]).unwrap());
        assert_eq!(names(&folder), ["one", "two"]);
        assert_eq!(fs::read_to_string(folder.join("two")).unwrap(), "old");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_secrets_and_links_are_not_followed() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new");
        NewFiles::create(&folder, &[file("one")]).unwrap().keep();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join("one")), 0o600);

        symlink(dir.path().join("elsewhere"), folder.join("two")).unwrap();
        assert!(NewFiles::create(&folder, &[file("two")]).is_err());
        assert_eq!(names(dir.path()), ["new"]);
    }

    #[test]
    fn a_text_is_one_word_of_a_shell() {
        for (text, word) in [
            ("server_config.json", "server_config.json"),
            ("/srv/a-b/c.json", "/srv/a-b/c.json"),
            ("[::1]:443", "'[::1]:443'"),
            ("my files/c.json", "'my files/c.json'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }
}
