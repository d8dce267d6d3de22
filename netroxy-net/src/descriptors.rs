//! Descriptors of open files and sockets. The system limits how many a program may have.

use std::fs::File;
use std::io;
use std::sync::Mutex;

/// How many descriptors this process may have open; `u64::MAX` if the system reports no limit.
#[must_use]
pub fn limit() -> u64 {
    #[cfg(unix)]
    let soft = rlimit::getrlimit(rlimit::Resource::NOFILE).map(|(soft, _)| soft);
    #[cfg(not(unix))]
    let soft: io::Result<u64> = Ok(u64::MAX);
    soft.unwrap_or(u64::MAX)
}

/// How many pairs of connections a limit of descriptors allows: at least 1 and at most `most`. A reserve of 5 % of the
/// limit, at least 32, is left for everything else that a program opens.
#[must_use]
pub fn pairs(limit: u64, most: usize) -> usize {
    let reserve = (limit / 20).max(32);
    let pairs = limit.saturating_sub(reserve) / 2;
    usize::try_from(pairs).unwrap_or(most).clamp(1, most.max(1))
}

/// Whether an error says that this process or the whole system has no descriptor left.
#[must_use]
pub fn are_exhausted(error: &io::Error) -> bool {
    #[cfg(unix)]
    let codes = [libc::EMFILE, libc::ENFILE];
    // WSAEMFILE
    #[cfg(not(unix))]
    let codes = [10024];
    error
        .raw_os_error()
        .is_some_and(|code| codes.contains(&code))
}

/// Descriptors that are kept open. One of them can be closed when no other descriptor is left.
#[derive(Debug)]
pub struct Spare {
    open: Mutex<Vec<File>>,
    count: usize,
}

impl Spare {
    /// Keeps `count` descriptors. The first [`refill`](Self::refill) opens them.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self {
            open: Mutex::default(),
            count,
        }
    }

    /// Closes one, so that the next call that needs a descriptor gets it. False if there is none to close.
    pub fn free_one(&self) -> bool {
        self.open().pop().is_some()
    }

    /// Opens the missing ones, as far as the system has descriptors left.
    pub fn refill(&self) {
        let mut open = self.open();
        while open.len() < self.count {
            match File::open(NULL_DEVICE) {
                Ok(file) => open.push(file),
                Err(_) => return,
            }
        }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Vec<File>> {
        self.open
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(unix)]
const NULL_DEVICE: &str = "/dev/null";
#[cfg(not(unix))]
const NULL_DEVICE: &str = "NUL";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_leave_a_reserve_of_descriptors() {
        for (limit, expected) in [
            (0, 1),
            (34, 1),
            (64, 16),
            (256, 112),
            (1024, 486),
            (20_000, 9_500),
            (1_048_576, 16_384),
            (u64::MAX, 16_384),
        ] {
            assert_eq!(pairs(limit, 16_384), expected, "{limit}");
        }
        assert_eq!(pairs(1024, 0), 1);
    }

    #[test]
    fn each_refill_opens_the_missing_spare_descriptors() {
        let spare = Spare::new(2);
        assert!(!spare.free_one());
        for _ in 0..3 {
            spare.refill();
            spare.refill();
            assert_eq!(
                [spare.free_one(), spare.free_one(), spare.free_one()],
                [true, true, false]
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_emfile_and_enfile_are_a_lack_of_descriptors() {
        assert!(are_exhausted(&io::Error::from_raw_os_error(libc::EMFILE)));
        assert!(are_exhausted(&io::Error::from_raw_os_error(libc::ENFILE)));
        assert!(!are_exhausted(&io::Error::from_raw_os_error(
            libc::ECONNREFUSED
        )));
        assert!(!are_exhausted(&io::Error::other("x")));
        assert!(limit() > 0);
    }
}
