//! A bound of bytes per second that several relays share.

use std::{
    num::NonZeroU64,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// So much of the time before is made good: a service that was quiet may speak up.
const BURST: Duration = Duration::from_millis(100);

/// Bytes per second for all who hold it. Whoever takes bytes goes into debt, and takes no more
/// until the debt is paid off: no queue, no task, and no timer while the bound is not reached.
#[derive(Debug)]
pub struct Throttle {
    per_second: NonZeroU64,
    /// The debt is paid off then.
    free_at: Mutex<Option<Instant>>,
}

impl Throttle {
    /// A bound that nothing has been taken from.
    #[must_use]
    pub fn new(per_second: NonZeroU64) -> Self {
        Self {
            per_second,
            free_at: Mutex::new(None),
        }
    }

    /// So many bytes at a time keep the flow even: a tenth of a second's, at least one.
    #[must_use]
    pub fn piece(&self) -> usize {
        usize::try_from(self.per_second.get() / 10)
            .unwrap_or(usize::MAX)
            .max(1)
    }

    /// Takes bytes that were carried at `now`. How long to wait before more are carried.
    pub fn take(&self, bytes: usize, now: Instant) -> Duration {
        let cost = bytes as f64 / self.per_second.get() as f64;
        let cost = Duration::try_from_secs_f64(cost).unwrap_or(Duration::MAX);
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let begin = free_at.map_or(earliest, |at| at.max(earliest));
        // A debt beyond what a clock can tell is as good as one for ever.
        let free = begin.checked_add(cost).unwrap_or(begin);
        *free_at = Some(free);
        free.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_takers_share_the_bound() {
        let throttle = Throttle::new(NonZeroU64::new(1000).unwrap());
        let now = Instant::now() + BURST;
        // A tenth of a second's bytes are free at first.
        assert_eq!(throttle.take(100, now), Duration::ZERO);
        assert_eq!(throttle.take(500, now), Duration::from_millis(500));
        assert_eq!(throttle.take(500, now), Duration::from_secs(1));
        let later = now + Duration::from_secs(1);
        assert_eq!(throttle.take(0, later), Duration::ZERO);
        // What was not used is lost, but for the burst.
        let much_later = now + Duration::from_secs(60);
        assert_eq!(throttle.take(1100, much_later), Duration::from_secs(1));
    }

    #[test]
    fn a_piece_is_a_tenth_of_a_second() {
        for (per_second, piece) in [(1, 1), (1000, 100), (1 << 20, (1 << 20) / 10)] {
            let throttle = Throttle::new(NonZeroU64::new(per_second).unwrap());
            assert_eq!(throttle.piece(), piece);
        }
    }
}
