//! How long to wait before the next attempt.

use core::time::Duration;

/// Further doublings change nothing: no configuration allows a longer delay.
const MOST_DOUBLINGS: u32 = 12;

/// Delays that double, each with a random part of up to a quarter.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    failures: u32,
    random: u64,
    /// The longest delay, before the random part.
    longest: Duration,
}

impl Backoff {
    /// The first and shortest delay (`auth.client-backoff`, `map.retry-pause`).
    const FIRST: Duration = Duration::from_secs(1);

    pub(super) fn new(random: u64, longest: Duration) -> Self {
        Self {
            failures: 0,
            random,
            longest: longest.max(Self::FIRST),
        }
    }

    /// Sets the longest delay, before the random part.
    pub(super) fn set_longest(&mut self, longest: Duration) {
        self.longest = longest.max(Self::FIRST);
    }

    /// The delay after one more failure.
    pub(super) fn next(&mut self) -> Duration {
        let delay = self.base(self.failures);
        self.failures = self.failures.saturating_add(1);
        let parts = u32::try_from(self.draw() % 1024).unwrap_or_default();
        delay + delay / 4 * parts / 1024
    }

    /// SplitMix64: similar seeds, such as small numbers, give different numbers from the first on.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// How far the last and the next delay have grown. Only the random part of the next delay depends
    /// on more.
    #[cfg(feature = "model")]
    pub(super) fn growth(&self) -> u32 {
        let doublings = self.longest.as_secs().next_power_of_two().ilog2();
        self.failures.min(doublings + 1)
    }

    /// Begins anew with the first delay.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Shortens the delays after a session of length `lasted`. If it lasted as long as the last delay
    /// without its random part, the delays begin anew. If it lasted as long as the first delay, the next
    /// delay is `lasted` at most, so an unstable link is used at least half of the time.
    pub(super) fn forgive(&mut self, lasted: Duration) {
        if lasted >= self.base(self.failures.saturating_sub(1)) {
            self.reset();
        }
        while self.failures > 0 && lasted >= Self::FIRST && self.base(self.failures) > lasted {
            self.failures -= 1;
        }
    }

    /// The delay after this number of failures, without its random part.
    fn base(&self, failures: u32) -> Duration {
        Self::FIRST
            .saturating_mul(1 << failures.min(MOST_DOUBLINGS))
            .min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(8);

    #[test]
    fn no_delay_is_shorter_than_the_first() {
        let delay = Backoff::new(0, Duration::ZERO).next();
        assert!(delay >= Duration::from_secs(1), "{delay:?}");
    }

    #[test]
    fn delays_double_up_to_the_longest_and_stay_within_a_quarter() {
        let mut backoff = Backoff::new(7, LONGEST);
        for secs in [1, 2, 4, 8, 8, 8] {
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

    #[test]
    fn a_session_as_long_as_the_last_delay_resets_and_a_shorter_one_limits() {
        let secs = Duration::from_secs;
        // After 1, 2, 4 and 8 s.
        for (lasted, next) in [
            (secs(8), 1),
            (secs(5), 4),
            (secs(3), 2),
            (secs(1), 1),
            (Duration::from_millis(999), 8),
            (Duration::ZERO, 8),
        ] {
            let mut backoff = Backoff::new(7, LONGEST);
            for _ in 0..4 {
                backoff.next();
            }
            backoff.forgive(lasted);
            let delay = backoff.next();
            assert!(
                secs(next) <= delay && delay <= secs(next) * 5 / 4,
                "{lasted:?}"
            );
        }
    }

    #[test]
    fn similar_seeds_spread_the_first_delay() {
        let mut delays: std::vec::Vec<_> = (0..64)
            .map(|seed| Backoff::new(seed, LONGEST).next())
            .collect();
        delays.sort();
        let gap = |pair: &[Duration]| pair[1] - pair[0];
        let widest = delays.windows(2).map(gap).max().unwrap();
        assert!(widest < Duration::from_millis(40), "{delays:?}");
    }

    #[test]
    fn draws_the_numbers_of_splitmix64() {
        let mut backoff = Backoff::new(1_234_567, LONGEST);
        for expected in [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ] {
            assert_eq!(backoff.draw(), expected);
        }
    }

    #[test]
    fn the_random_part_is_a_number_of_1024ths_of_a_quarter() {
        let parts = Backoff::new(0, LONGEST).draw() % 1024;
        assert_eq!(parts, 431);
        // 1 s and 250 ms * 431 / 1024.
        let delay = Duration::from_nanos(1_105_224_609);
        assert_eq!(Backoff::new(0, LONGEST).next(), delay);
    }
}
