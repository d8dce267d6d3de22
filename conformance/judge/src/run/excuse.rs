//! Whether a case may have failed only because the machine, or the suite itself, was slow. Such a case is played once
//! more.

use std::time::{Duration, Instant};

use super::stall::Watch;
use crate::player::Waited;
use crate::times::Tempo;
use crate::verdict::Judged;

/// For how long the machine stood still, if that explains why a step was late.
pub(super) fn excuse(watch: &Watch, waited: Waited, tempo: Tempo) -> Option<Duration> {
    let Waited {
        from,
        until,
        bounded,
    } = waited;
    let stall = watch.between(from, until);
    if stall > tempo.excuse(bounded) {
        return Some(stall);
    }
    // Many short waits for a processor make a program late too, although none of them is a stall. A step without a bound
    // of the case has much more time than a peer needs.
    let pressure = watch.pressure(from, until);
    let much = until.saturating_duration_since(from) / if bounded { 4 } else { 2 };
    (pressure > much).then_some(pressure)
}

/// The time of a failed case without a late step, if it took longer than it waits on purpose by more than `slack`. Then the
/// suite was late with its own steps, and a correct peer may have given up: the steps of a case leave a peer that waits
/// for 8 seconds one second only. `ended` is the end of the case.
pub(super) fn overtime(
    judged: &Judged,
    planned: Duration,
    slack: Duration,
    ended: Instant,
) -> Option<Waited> {
    let took = judged.took;
    let late = judged.verdict.is_red(true) && took > planned + slack;
    late.then(|| Waited {
        from: ended.checked_sub(took).unwrap_or(ended),
        until: ended,
        bounded: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Unjudged, Verdict};

    #[test]
    fn a_failed_case_that_took_longer_than_planned_may_be_excused() {
        let judged = |verdict, took| Judged {
            verdict,
            took: Duration::from_millis(took),
            ..Judged::unjudged(
                "x".to_owned(),
                String::new(),
                Unjudged::Harness(String::new()),
            )
        };
        let (planned, slack) = (Duration::from_secs(7), Duration::from_millis(500));
        let now = Instant::now();
        let found = |verdict, took| overtime(&judged(verdict, took), planned, slack, now);
        assert!(found(Verdict::Fail, 7_500).is_none());
        assert!(found(Verdict::Pass, 8_500).is_none());
        for verdict in [Verdict::Fail, Verdict::Blocked] {
            let waited = found(verdict, 8_500).unwrap();
            assert_eq!(waited.until, now);
            assert_eq!(now - waited.from, Duration::from_millis(8_500));
            assert!(waited.bounded);
        }
    }
}
