//! File descriptors: how many this program may have, and whether one was missing.
//!
//! Each connection, listener and lease takes one. The embedded peers have the same limit, which is often small. A
//! shortage is never a fault of the judged program.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

/// Raises the limit to the highest that the system allows.
///
/// If that fails, the limit stays, and fewer cases run at a time.
pub fn raise_limit() {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
}

/// How many descriptors this program may have open.
pub fn limit() -> usize {
    // If the limit cannot be read, the smallest common one.
    let soft = rlimit::Resource::NOFILE.get_soft().unwrap_or(SMALL);
    usize::try_from(soft).unwrap_or(usize::MAX)
}

/// The default of macOS.
const SMALL: u64 = 256;

/// How many descriptors are open now; a guess if the system does not tell.
pub(crate) fn open_now() -> usize {
    let folder = std::fs::read_dir("/dev/fd");
    folder.map_or(GUESS, Iterator::count)
}

/// How many a program has open after its start.
const GUESS: usize = 24;

/// Below this limit no case can be played.
pub const LEAST: usize = 128;

/// How a user raises a limit that is too low.
pub const HINT: &str = "raise the limit in this shell with `ulimit -n 4096`; if that is refused, the \
administrator sets it (`ulimit -Hn` shows the highest that is allowed)";

/// How often a descriptor was missing since this program was started: here, and on the whole machine.
static HERE: AtomicU64 = AtomicU64::new(0);
static ON_THE_MACHINE: AtomicU64 = AtomicU64::new(0);

/// A moment. Later it tells whether a descriptor was missing since then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Since {
    here: u64,
    on_the_machine: u64,
}

impl Since {
    /// From now on.
    pub(crate) fn now() -> Self {
        Self {
            here: HERE.load(Ordering::SeqCst),
            on_the_machine: ON_THE_MACHINE.load(Ordering::SeqCst),
        }
    }

    /// The message for the user if a descriptor was missing since then.
    pub(crate) fn shortage(self) -> Option<String> {
        let now = Self::now();
        if now.here != self.here {
            let limit = limit();
            return Some(format!(
                "the suite ran out of file descriptors, of which it may have {limit}, so no program was judged: {HINT}; or \
play fewer cases at a time: --jobs"
            ));
        }
        (now.on_the_machine != self.on_the_machine).then(|| {
            "this machine ran out of file descriptors (ENFILE), so no program was judged: end programs that hold many, or \
raise fs.file-max"
                .to_owned()
        })
    }
}

/// Notes an error that says that a descriptor is missing.
pub(crate) trait Noted {
    /// Returns the same value.
    fn noted(self) -> Self;
}

impl Noted for io::Error {
    fn noted(self) -> Self {
        match missing(&self) {
            Some(Missing::Here) => HERE.fetch_add(1, Ordering::SeqCst),
            Some(Missing::OnTheMachine) => ON_THE_MACHINE.fetch_add(1, Ordering::SeqCst),
            None => 0,
        };
        self
    }
}

impl<T> Noted for io::Result<T> {
    fn noted(self) -> Self {
        self.map_err(Noted::noted)
    }
}

/// Tries whether a few descriptors are left, and notes it if not. An embedded peer that lacks one does not report it, but
/// has the same limit.
pub(crate) fn look() {
    let held: Vec<_> = (0..FEW).map(|_| File::open("/dev/null").noted()).collect();
    drop(held);
}

/// A peer needs two for a user: the connection, and the one to the target. This is twice as many.
const FEW: usize = 4;

/// Where descriptors are missing.
#[derive(Debug, PartialEq, Eq)]
enum Missing {
    Here,
    OnTheMachine,
}

fn missing(error: &io::Error) -> Option<Missing> {
    match Errno::from_io_error(error)? {
        Errno::MFILE => Some(Missing::Here),
        Errno::NFILE => Some(Missing::OnTheMachine),
        _ => None,
    }
}

/// Whether an error says that a descriptor is missing.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    missing(error).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_shortage_are_recognised() {
        let error = |errno: Errno| io::Error::from(errno);
        assert_eq!(missing(&error(Errno::MFILE)), Some(Missing::Here));
        assert_eq!(missing(&error(Errno::NFILE)), Some(Missing::OnTheMachine));
        assert_eq!(missing(&error(Errno::CONNREFUSED)), None);
        assert_eq!(missing(&io::ErrorKind::TimedOut.into()), None);
    }

    #[test]
    fn open_descriptors_are_counted() {
        // Other tests of this program open and close some meanwhile.
        let held: Vec<File> = (0..50).map(|_| File::open("/dev/null").unwrap()).collect();
        let with = open_now();
        assert!(with >= 50 && with <= limit(), "{with} of {}", limit());
        drop(held);
    }
}
