//! Reads a whole file of bounded length.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The longest file, in bytes. A configuration that maps every port is shorter, and so is the system's list of CA
/// certificates.
const LONGEST: u64 = 16 << 20;

/// All bytes of a file.
///
/// # Errors
///
/// The error of the system, or that the file is longer than 16 MiB.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let count = File::open(path)?
        .take(LONGEST + 1)
        .read_to_end(&mut bytes)?;
    if count as u64 > LONGEST {
        return Err(io::Error::other("the file is longer than 16 MiB"));
    }
    Ok(bytes)
}
