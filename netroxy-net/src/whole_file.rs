//! A file's bytes, and no more than memory should hold.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// A longer file is no configuration and no list of certificates: a mapping of each port takes
/// less, and the system's own certificates do.
const LONGEST: u64 = 16 << 20;

/// All bytes of a file, 16 MiB at most.
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
