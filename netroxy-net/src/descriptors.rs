//! Descriptors of open files and sockets, of which the system allows a program only so many.

use std::{fs::File, io, sync::Mutex};

/// How many descriptors this process may have open; a great number where the system does not say.
#[must_use]
pub fn limit() -> u64 {
    #[cfg(unix)]
    let soft = rlimit::getrlimit(rlimit::Resource::NOFILE).map(|(soft, _)| soft);
    #[cfg(not(unix))]
    let soft: io::Result<u64> = Ok(u64::MAX);
    soft.unwrap_or(u64::MAX)
}

/// How many pairs of connections a limit of descriptors has room for, at least 1 and at most
/// `most`. A reserve of 5 %, 32 at least, is left for all else that a program opens.
#[must_use]
pub fn pairs(limit: u64, most: usize) -> usize {
    let reserve = (limit / 20).max(32);
    let pairs = limit.saturating_sub(reserve) / 2;
    usize::try_from(pairs).unwrap_or(most).clamp(1, most.max(1))
}

/// Whether no descriptor was left, for this process or for the whole system.
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

/// Descriptors that are kept open so that one can be had when none is left.
#[derive(Debug)]
pub struct Spare {
    open: Mutex<Vec<File>>,
    count: usize,
}

impl Spare {
    /// Will keep `count` descriptors, from the first [`refill`](Self::refill) on.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self {
            open: Mutex::default(),
            count,
        }
    }

    /// Gives one up, so that the next call that needs a descriptor gets it. False when none is left.
    pub fn free_one(&self) -> bool {
        self.open().pop().is_some()
    }

    /// Takes as many as are missing, as far as descriptors are left.
    pub fn refill(&self) {
        let mut open = self.open();
        while open.len() < self.count {
            match File::open(NOTHING) {
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
const NOTHING: &str = "/dev/null";
#[cfg(not(unix))]
const NOTHING: &str = "NUL";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_left() {
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
    fn spare_descriptors_are_as_many_as_wanted_again_and_again() {
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
    fn only_a_lack_of_descriptors_is_one() {
        assert!(are_exhausted(&io::Error::from_raw_os_error(libc::EMFILE)));
        assert!(are_exhausted(&io::Error::from_raw_os_error(libc::ENFILE)));
        assert!(!are_exhausted(&io::Error::from_raw_os_error(
            libc::ECONNREFUSED
        )));
        assert!(!are_exhausted(&io::Error::other("x")));
        assert!(limit() > 0);
    }
}
