//! A bound of bytes per second that several relays share.
//!
//! Each piece that is carried moves one time forward, by the time that the piece takes at the bound. A relay waits
//! until that time before it carries more. So there is no queue and no task, and no timer while the bound is not
//! reached.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Unused time before a piece counts up to this length: after a pause, the bytes of 100 ms are carried at once.
const BURST: Duration = Duration::from_millis(100);

/// A bound of bytes per second for all relays that hold it.
#[derive(Debug)]
pub struct Throttle {
    per_second: NonZeroU64,
    /// When more bytes may be carried; `None` before the first ones.
    free_at: Mutex<Option<Instant>>,
}

impl Throttle {
    /// A bound from which no bytes were taken yet.
    #[must_use]
    pub fn new(per_second: NonZeroU64) -> Self {
        Self {
            per_second,
            free_at: Mutex::new(None),
        }
    }

    /// How many bytes to carry at a time so that the flow is even: those of a tenth of a second, at least one.
    #[must_use]
    pub fn piece(&self) -> usize {
        usize::try_from(self.per_second.get() / 10)
            .unwrap_or(usize::MAX)
            .max(1)
    }

    /// Takes bytes that were carried at `now`. The result is how long to wait before more bytes are carried.
    pub fn take(&self, bytes: usize, now: Instant) -> Duration {
        let cost = bytes as f64 / self.per_second.get() as f64;
        let cost = Duration::try_from_secs_f64(cost).unwrap_or(Duration::MAX);
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let begin = free_at.map_or(earliest, |at| at.max(earliest));
        // If the clock cannot express the time, the piece costs no time.
        let free = begin.checked_add(cost).unwrap_or(begin);
        *free_at = Some(free);
        free.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_relays_share_the_bound() {
        let throttle = Throttle::new(NonZeroU64::new(1000).unwrap());
        let now = Instant::now() + BURST;
        // The bytes of the first tenth of a second need no wait.
        assert_eq!(throttle.take(100, now), Duration::ZERO);
        assert_eq!(throttle.take(500, now), Duration::from_millis(500));
        assert_eq!(throttle.take(500, now), Duration::from_secs(1));
        let later = now + Duration::from_secs(1);
        assert_eq!(throttle.take(0, later), Duration::ZERO);
        // Unused time is lost, except for 100 ms.
        let much_later = now + Duration::from_secs(60);
        assert_eq!(throttle.take(1100, much_later), Duration::from_secs(1));
    }

    #[test]
    fn a_piece_has_the_bytes_of_a_tenth_of_a_second() {
        for (per_second, piece) in [(1, 1), (1000, 100), (1 << 20, (1 << 20) / 10)] {
            let throttle = Throttle::new(NonZeroU64::new(per_second).unwrap());
            assert_eq!(throttle.piece(), piece);
        }
    }
}
