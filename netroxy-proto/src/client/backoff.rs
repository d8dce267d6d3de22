//! How long to wait before the next attempt.

use core::time::Duration;

/// Doubling delays with up to a quarter more at random.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    failures: u32,
    random: u64,
}

impl Backoff {
    /// The first delay; never less (`auth.client-backoff`).
    const FIRST: Duration = Duration::from_secs(1);
    /// The longest delay, before the random part.
    const LONGEST: Duration = Duration::from_secs(16);

    pub(super) fn new(random: u64) -> Self {
        // xorshift stands still at zero.
        Self {
            failures: 0,
            random: random | 1,
        }
    }

    /// The delay after one more failure.
    pub(super) fn next(&mut self) -> Duration {
        let delay = Self::FIRST
            .saturating_mul(1 << self.failures.min(8))
            .min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let quarters = u32::try_from(self.random % 1024).unwrap_or_default();
        delay + delay / 4 * quarters / 1024
    }

    /// Begins anew with the first delay.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_longest_and_stays_within_a_quarter() {
        let mut backoff = Backoff::new(7);
        for secs in [1, 2, 4, 8, 16, 16, 16] {
            let delay = backoff.next();
            let base = Duration::from_secs(secs);
            assert!(
                delay >= base && delay <= base + base / 4,
                "{delay:?} for {base:?}"
            );
        }
        backoff.reset();
        assert!(backoff.next() < Duration::from_secs(2));
    }
}
