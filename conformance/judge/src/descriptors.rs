//! File descriptors: how many this program may have open, and whether it ran out of them.
//!
//! Each connection, listener and lease takes one. The embedded peers share the limit, which is often small. A shortage
//! is never a fault of the judged program.

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
    // If the limit cannot be read, this assumes the smallest common one.
    let soft = rlimit::Resource::NOFILE.get_soft().unwrap_or(SMALL);
    usize::try_from(soft).unwrap_or(usize::MAX)
}

/// The smallest common limit: the default of macOS.
const SMALL: u64 = 256;

/// How many descriptors are open now; a guess if the system does not list them.
pub(crate) fn open_now() -> usize {
    let folder = std::fs::read_dir("/dev/fd");
    folder.map_or(GUESS, Iterator::count)
}

/// About how many descriptors a program has open after its start.
const GUESS: usize = 24;

/// The lowest limit at which a case can be played.
pub const LEAST: usize = 128;

/// How a user raises a limit that is too low.
pub const HINT: &str = "raise the limit in this shell with `ulimit -n 4096`; if that is refused, the \
administrator sets it (`ulimit -Hn` shows the highest that is allowed)";

/// How often this program reached its own limit of descriptors.
static HERE: AtomicU64 = AtomicU64::new(0);
/// How often this program found that the machine had no descriptor left.
static ON_THE_MACHINE: AtomicU64 = AtomicU64::new(0);

/// The counts of shortages at a moment. A later comparison shows whether a shortage occurred since then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Since {
    here: u64,
    on_the_machine: u64,
}

impl Since {
    /// The counts now.
    pub(crate) fn now() -> Self {
        Self {
            here: HERE.load(Ordering::SeqCst),
            on_the_machine: ON_THE_MACHINE.load(Ordering::SeqCst),
        }
    }

    /// The message for the user if a shortage occurred since then.
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

/// Counts an error that reports a shortage of descriptors.
pub(crate) trait Noted {
    /// Counts the error, if it reports a shortage, and returns the value unchanged.
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

/// Opens a few descriptors, and counts a shortage. An embedded peer shares the limit, but does not report its own
/// shortage.
pub(crate) fn look() {
    let held: Vec<_> = (0..FEW).map(|_| File::open("/dev/null").noted()).collect();
    drop(held);
}

/// The number of descriptors that [`look`] opens: twice as many as a peer needs for a user. A peer needs one for the
/// user's connection and one for the connection to the target.
const FEW: usize = 4;

/// Which limit of descriptors was reached.
#[derive(Debug, PartialEq, Eq)]
enum Missing {
    /// The limit of this program.
    Here,
    /// The limit of the whole machine.
    OnTheMachine,
}

fn missing(error: &io::Error) -> Option<Missing> {
    match Errno::from_io_error(error)? {
        Errno::MFILE => Some(Missing::Here),
        Errno::NFILE => Some(Missing::OnTheMachine),
        _ => None,
    }
}

/// Whether an error reports a shortage of descriptors.
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
        // Other tests of this program open and close descriptors at the same time.
        let held: Vec<File> = (0..50).map(|_| File::open("/dev/null").unwrap()).collect();
        let with = open_now();
        assert!(with >= 50 && with <= limit(), "{with} of {}", limit());
        drop(held);
    }
}
