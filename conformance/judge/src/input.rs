//! Files written by users: read with a limit, with the exact place of errors.

mod json;
mod locate;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub use json::json;
pub use locate::{Part, locate};
use netroxy_specification::position::position;

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", place(.file, *.position))]
pub struct InputError {
    /// As the user named it.
    pub file: String,
    /// Line and column, counted from 1, if known.
    pub position: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Whether there is no such file.
    pub missing: bool,
}

/// The text of a file of at most 1 MiB.
///
/// # Errors
/// When it cannot be read, is too long, is empty, or is not UTF-8.
pub fn text(file: &str) -> Result<String, InputError> {
    text_within(file, LONGEST)
}

/// The text of a file of at most so many bytes, a whole number of MiB.
///
/// # Errors
/// When it cannot be read, is too long, is empty, or is not UTF-8.
pub fn text_within(file: &str, longest: usize) -> Result<String, InputError> {
    let error = |position, message: String, hint: Option<&str>| InputError {
        file: file.to_owned(),
        position,
        message,
        hint: hint.map(str::to_owned),
        missing: false,
    };
    let bytes = bytes(Path::new(file), longest).map_err(|cause| InputError {
        missing: cause.kind() == io::ErrorKind::NotFound,
        ..error(
            None,
            format!("cannot read it: {cause}"),
            (cause.kind() == io::ErrorKind::IsADirectory).then_some("name a file in it"),
        )
    })?;
    if bytes.len() > longest {
        let message = format!("it is longer than {} MiB", longest >> 20);
        return Err(error(None, message, Some("is it the right file?")));
    }
    if bytes.is_empty() {
        let message = "it is empty".to_owned();
        return Err(error(Some((1, 1)), message, Some("is it the right file?")));
    }
    String::from_utf8(bytes).map_err(|cause| {
        let at = cause.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&cause.as_bytes()[..at]);
        let message = format!("byte 0x{:02x} is no UTF-8", cause.as_bytes()[at]);
        let hint = "it has to be a text file in UTF-8";
        error(Some(position(&before, before.len())), message, Some(hint))
    })
}

/// Files written by hand are shorter.
const LONGEST: usize = 1 << 20;

fn bytes(path: &Path, longest: usize) -> io::Result<Vec<u8>> {
    // A device or a pipe may have no end, or never begin.
    let kind = std::fs::metadata(path)?;
    if kind.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a directory",
        ));
    }
    let mut bytes = Vec::new();
    // One more byte than allowed shows that the file is too long.
    let bound = u64::try_from(longest).map_or(u64::MAX, |longest| longest.saturating_add(1));
    File::open(path)?.take(bound).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn place(file: &str, position: Option<(usize, usize)>) -> String {
    match position {
        Some((line, column)) => format!("{file}:{line}:{column}"),
        None => file.to_owned(),
    }
}
