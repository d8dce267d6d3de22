//! How long things may take: every deadline of the suite is a figure of this file, or of the case itself.
//!
//! A deadline only matters where something is wrong: what comes is taken when it comes. So deadlines are generous, and
//! grow with the round trips that were measured on the judged program.

use std::fmt;
use std::time::Duration;

/// How fast the judged program and the machine are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tempo {
    scale: f64,
    at_once: Duration,
    slack: Duration,
    effort: Duration,
}

/// Round trips of the judged program: a question and its answer on a connection that is open.
#[derive(Debug, Clone, Default)]
pub(crate) struct RoundTrips {
    /// In ascending order.
    sorted: Vec<Duration>,
}

impl Tempo {
    /// Nothing has been measured; every deadline is multiplied by `scale`.
    pub(crate) fn new(scale: f64) -> Self {
        Self::measured(scale, &RoundTrips::default())
    }

    /// With the round trips of the judged program.
    pub(crate) fn measured(scale: f64, trips: &RoundTrips) -> Self {
        let slowest = trips.percentile(99).unwrap_or_default();
        let floor = AT_ONCE.mul_f64(scale);
        // One hiccup in twenty must not make every failure last for minutes.
        let at_once = (slowest * TRIPS).clamp(floor, floor * 5);
        Self {
            scale,
            at_once,
            slack: MACHINE.mul_f64(scale) + slowest * 2,
            effort: Duration::ZERO,
        }
    }

    /// The same of a program that needs so much processor time to start.
    pub(crate) fn with_effort(self, effort: Duration) -> Self {
        Self { effort, ..self }
    }

    /// The processor time that a start of the judged program takes; nothing where it was not measured.
    pub(crate) fn effort(self) -> Duration {
        self.effort
    }

    /// What the user has asked for.
    pub(crate) fn scale(self) -> f64 {
        self.scale
    }

    /// How long a thing may take that should come at once.
    pub(crate) fn at_once(self) -> Duration {
        self.at_once
    }

    /// What an upper bound of a case is extended by: half a second, because neither the peer's timers nor ours run on
    /// time on a busy machine, and two round trips, because a bound is about what the peer does and we see it later.
    pub(crate) fn slack(self) -> Duration {
        self.slack
    }

    /// How much of a stall of the machine excuses a failure for time.
    ///
    /// With a bound of the case's own a noticeable one, else one that has used up a good part of the deadline.
    pub(crate) fn excuse(self, bounded: bool) -> Duration {
        match bounded {
            true => STALL.mul_f64(self.scale.max(1.0)),
            false => self.at_once / 4,
        }
    }
}

impl RoundTrips {
    /// Takes what was measured, in any order.
    pub(crate) fn new(mut trips: Vec<Duration>) -> Self {
        trips.sort_unstable();
        Self { sorted: trips }
    }

    /// In ascending order.
    pub(crate) fn all(&self) -> &[Duration] {
        &self.sorted
    }

    /// The shortest time that so many per cent do not exceed; `None` when nothing was measured.
    pub(crate) fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.sorted.len() * percent).div_ceil(100);
        self.sorted.get(rank.checked_sub(1)?).copied()
    }
}

/// Such as `round trip 0.21 ms, p99 0.80 ms`.
impl fmt::Display for RoundTrips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        match (self.percentile(50), self.percentile(99)) {
            (Some(usual), Some(slowest)) => {
                let (usual, slowest) = (ms(usual), ms(slowest));
                write!(f, "round trip {usual:.2} ms, p99 {slowest:.2} ms")
            }
            _ => f.write_str("round trip not measured"),
        }
    }
}

/// The least deadline of what should come at once.
const AT_ONCE: Duration = Duration::from_secs(2);

/// How many round trips fit into it on a slow machine.
const TRIPS: u32 = 50;

/// What a busy machine may be late.
const MACHINE: Duration = Duration::from_millis(500);

/// What a busy machine is not late.
const STALL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    fn trips(ms: &[u64]) -> RoundTrips {
        RoundTrips::new(ms.iter().copied().map(Duration::from_millis).collect())
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let many = trips(&[5, 1, 4, 2, 3]);
        let ms = |percent| many.percentile(percent).map(|time| time.as_millis());
        assert_eq!((ms(1), ms(50), ms(99)), (Some(1), Some(3), Some(5)));
        assert_eq!(trips(&[]).percentile(50), None);
        assert_eq!(many.all().len(), 5);
    }

    #[test]
    fn deadlines_grow_with_slow_programs_up_to_a_bound() {
        let at_once = |scale, ms: &[u64]| Tempo::measured(scale, &trips(ms)).at_once().as_millis();
        assert_eq!(at_once(1.0, &[]), 2_000);
        assert_eq!(at_once(1.0, &[1, 2]), 2_000);
        assert_eq!(at_once(1.0, &[100]), 5_000);
        assert_eq!(at_once(1.0, &[100_000]), 10_000);
        assert_eq!(at_once(0.5, &[1]), 1_000);
        let slack = |scale, ms: &[u64]| Tempo::measured(scale, &trips(ms)).slack().as_millis();
        assert_eq!((slack(1.0, &[]), slack(2.0, &[30])), (500, 1_060));
    }
}
