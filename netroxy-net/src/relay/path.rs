//! Chooses whether a direction copies or splices, and how many bytes it reads at a time.

use std::env;
use std::str::FromStr;
use std::sync::LazyLock;

/// How a relay moves bytes between two plain sockets. With TLS on one side, with a bound of speed, and on systems other
/// than Linux, bytes are always copied.
///
/// The paths differ only in speed. The environment variable [`VARIABLE`](Self::VARIABLE) sets the default, so that a
/// test can run whole programs on each path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Copies small messages, and splices bulk.
    Adaptive,
    /// Copies everything.
    Copy,
    /// Splices everything, as long as pipes are left.
    Splice,
    /// Copies and splices in turn, chunk by chunk.
    Alternate,
}

/// The error for a text that is no [`Path`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be adaptive, copy, splice or alternate")]
pub struct InvalidPath;

impl Path {
    /// The environment variable: `adaptive`, `copy`, `splice` or `alternate`. Without it the path is `adaptive`.
    pub const VARIABLE: &str = "NETROXY_RELAY";

    /// The path that the environment variable names.
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] if it is set to something else.
    pub fn from_environment() -> Result<Self, InvalidPath> {
        match env::var_os(Self::VARIABLE) {
            None => Ok(Self::Adaptive),
            Some(path) => path.to_str().ok_or(InvalidPath)?.parse(),
        }
    }
}

impl FromStr for Path {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        match text {
            "adaptive" => Ok(Self::Adaptive),
            "copy" => Ok(Self::Copy),
            "splice" => Ok(Self::Splice),
            "alternate" => Ok(Self::Alternate),
            _ => Err(InvalidPath),
        }
    }
}

impl Default for Path {
    /// The path of the environment variable at the first call, or [`Adaptive`](Self::Adaptive) if that is invalid. A
    /// program must call [`from_environment`](Self::from_environment) before, so that it reports an invalid value.
    fn default() -> Self {
        static DEFAULT: LazyLock<Path> =
            LazyLock::new(|| Path::from_environment().unwrap_or(Path::Adaptive));
        *DEFAULT
    }
}

/// The most bytes that are read at a time.
pub(super) const LARGE: usize = 256 * 1024;
/// How many bytes are read at a time at first. Bytes that a writer does not take are kept in memory, so a tunnel with a
/// slow peer costs this much memory.
const USUAL: usize = 64 * 1024;
/// A read of this many bytes or more counts as bulk.
const BULK: usize = 32 * 1024;
/// After this many reads of bulk in a row, the direction splices.
const BULK_READS: u8 = 2;
/// A piece shorter than this is cheaper to copy.
const SMALL: usize = 8 * 1024;
/// After this many small pieces in a row, the direction copies again.
const SMALL_PIECES: u8 = 4;

/// Adapts the path of one direction to what it carries.
#[derive(Debug)]
pub(super) struct Pace {
    path: Path,
    is_bulk: bool,
    is_large: bool,
    /// How many pieces in a row were such as to change the way.
    in_a_row: u8,
}

impl Pace {
    pub(super) fn new(path: Path) -> Self {
        Self {
            path,
            is_bulk: false,
            is_large: false,
            in_a_row: 0,
        }
    }

    /// Whether the next bytes should go through a pipe.
    pub(super) fn wants_pipe(&self) -> bool {
        match self.path {
            Path::Copy => false,
            Path::Splice => true,
            Path::Adaptive | Path::Alternate => self.is_bulk,
        }
    }

    /// How many bytes to read at a time when they are copied.
    pub(super) fn chunk(&self) -> usize {
        if self.is_large { LARGE } else { USUAL }
    }

    /// Counts a read of `bytes` bytes that were copied; `all` is whether the writer took all of them.
    pub(super) fn copied(&mut self, bytes: usize, all: bool) {
        self.is_large = all && (self.is_large || bytes == self.chunk());
        self.count(bytes >= BULK, BULK_READS, true);
    }

    /// Counts a piece of `bytes` bytes that came into a pipe.
    pub(super) fn spliced(&mut self, bytes: usize) {
        self.count(bytes < SMALL, SMALL_PIECES, false);
    }

    fn count(&mut self, is_for_change: bool, enough: u8, is_bulk: bool) {
        self.in_a_row = if is_for_change { self.in_a_row + 1 } else { 0 };
        if self.in_a_row >= enough || self.path == Path::Alternate {
            self.is_bulk = is_bulk;
            self.in_a_row = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_gets_a_pipe_and_small_messages_give_it_back() {
        let mut pace = Pace::new(Path::Adaptive);
        pace.copied(BULK, true);
        pace.copied(1, true);
        pace.copied(BULK, true);
        assert!(!pace.wants_pipe());
        pace.copied(BULK, true);
        assert!(pace.wants_pipe());
        for _ in 1..SMALL_PIECES {
            pace.spliced(SMALL - 1);
        }
        pace.spliced(SMALL);
        assert!(pace.wants_pipe());
        for _ in 0..SMALL_PIECES {
            assert!(pace.wants_pipe());
            pace.spliced(SMALL - 1);
        }
        assert!(!pace.wants_pipe());
    }

    #[test]
    fn reads_grow_while_the_writer_takes_all_bytes() {
        let mut pace = Pace::new(Path::Copy);
        pace.copied(USUAL - 1, true);
        assert_eq!(pace.chunk(), USUAL);
        pace.copied(USUAL, true);
        assert_eq!(pace.chunk(), LARGE);
        pace.copied(1, true);
        assert_eq!(pace.chunk(), LARGE);
        pace.copied(LARGE, false);
        assert_eq!(pace.chunk(), USUAL);
    }

    #[test]
    fn a_forced_path_does_not_change() {
        let mut copy = Pace::new(Path::Copy);
        let mut splice = Pace::new(Path::Splice);
        let mut alternate = Pace::new(Path::Alternate);
        for _ in 0..10 {
            copy.copied(LARGE, true);
            assert!(!copy.wants_pipe());
            splice.spliced(1);
            assert!(splice.wants_pipe());
            assert!(!alternate.wants_pipe());
            alternate.copied(1, true);
            assert!(alternate.wants_pipe());
            alternate.spliced(LARGE);
        }
    }

    #[test]
    fn each_path_has_a_name() {
        for (text, path) in [
            ("adaptive", Path::Adaptive),
            ("copy", Path::Copy),
            ("splice", Path::Splice),
            ("alternate", Path::Alternate),
        ] {
            assert_eq!(text.parse(), Ok(path));
        }
        assert_eq!("Copy".parse::<Path>(), Err(InvalidPath));
    }
}
