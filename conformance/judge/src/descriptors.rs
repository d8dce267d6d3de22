//! File descriptors: as many as the system lets this program have, and what happens when they are used up.
//!
//! Each connection, listener and lease takes one, the embedded peers take theirs from the same number, and the usual
//! limit is small. A shortage is a fault of the suite's surroundings and never one of the judged program.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

/// Raises the limit to the highest that the system allows.
///
/// Where it cannot be raised, the limit stays as it is, and fewer cases run at a time.
pub fn raise_limit() {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
}

/// How many descriptors this program may have open.
pub fn limit() -> usize {
    // Where the limit cannot be read, the smallest one that is common.
    let soft = rlimit::Resource::NOFILE.get_soft().unwrap_or(SMALL);
    usize::try_from(soft).unwrap_or(usize::MAX)
}

/// The default of macOS.
const SMALL: u64 = 256;

/// How many descriptors are open at the moment; a guess where the system does not tell.
pub(crate) fn open_now() -> usize {
    let folder = std::fs::read_dir("/dev/fd");
    folder.map_or(GUESS, Iterator::count)
}

/// What a program has open that has done nothing yet.
const GUESS: usize = 24;

/// Below this limit no case can be played: the suite itself needs descriptors, and so does a case.
pub const LEAST: usize = 128;

/// What a user can do about a limit that is too low.
pub const HINT: &str = "raise the limit in this shell with `ulimit -n 4096`; where that is refused, the \
administrator sets it (`ulimit -Hn` shows the highest that is allowed)";

/// How often a descriptor was missing since this program was started: here, and on the whole machine.
static HERE: AtomicU64 = AtomicU64::new(0);
static ON_THE_MACHINE: AtomicU64 = AtomicU64::new(0);

/// A moment, to ask later whether a descriptor was missing since then.
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

    /// What was missing since then, for a person, if anything was.
    pub(crate) fn shortage(self) -> Option<String> {
        let now = Self::now();
        if now.here != self.here {
            let limit = limit();
            return Some(format!(
                "the suite ran out of file descriptors, of which it may have {limit}, so nobody is judged: {HINT}; or \
play fewer cases at a time: --jobs"
            ));
        }
        (now.on_the_machine != self.on_the_machine).then(|| {
            "this machine ran out of file descriptors (ENFILE), so nobody is judged: end programs that hold many, or \
raise fs.file-max"
                .to_owned()
        })
    }
}

/// Notes an error that says that a descriptor is missing.
pub(crate) trait Noted {
    /// The same.
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

/// Looks whether a few descriptors are left, and notes it if not.
///
/// An embedded peer that was refused one tells nobody; but it has the same limit.
pub(crate) fn look() {
    let held: Vec<_> = (0..FEW).map(|_| File::open("/dev/null").noted()).collect();
    drop(held);
}

/// A peer needs two for a connection: its socket, and one for whom it leads to.
const FEW: usize = 4;

/// What an error says about descriptors.
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
    fn both_kinds_of_shortage_are_told_from_all_other_errors() {
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
