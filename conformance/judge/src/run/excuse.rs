//! Whether a case may have failed only because the machine, or the suite itself, was slow. Such a case is played once
//! more.

use std::time::{Duration, Instant};

use super::stall::Watch;
use crate::player::Waited;
use crate::times::{PATIENCE, Tempo};
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
    // Many short waits for a processor make a program late too, although none of them is a stall.
    let pressure = watch.pressure(from, until);
    (bounded && pressure > until.saturating_duration_since(from) / 4).then_some(pressure)
}

/// The time of a failed case without a late step, if it took so much longer than it waits on purpose that a peer may have
/// given up: no rule makes a peer wait longer than [`PATIENCE`] for what the suite has to do. `ended` is its end.
pub(super) fn overtime(judged: &Judged, planned: Duration, ended: Instant) -> Option<Waited> {
    let took = judged.took;
    let late = judged.verdict.is_red(true) && took > planned + PATIENCE.time();
    late.then(|| Waited {
        from: ended.checked_sub(took).unwrap_or(ended),
        until: ended,
        bounded: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Reason, Verdict};

    #[test]
    fn a_failed_case_that_took_longer_than_a_peer_waits_may_be_excused() {
        let judged = |verdict, took| Judged {
            verdict,
            took: Duration::from_secs(took),
            ..Judged::unjudged("x".to_owned(), String::new(), Reason::Hangs(String::new()))
        };
        let planned = Duration::from_secs(3);
        let now = Instant::now();
        let found = |verdict, took| overtime(&judged(verdict, took), planned, now);
        assert!(found(Verdict::Fail, 11).is_none());
        assert!(found(Verdict::Pass, 12).is_none());
        for verdict in [Verdict::Fail, Verdict::Blocked] {
            let waited = found(verdict, 12).unwrap();
            assert_eq!(waited.until, now);
            assert_eq!(now - waited.from, Duration::from_secs(12));
            assert!(waited.bounded);
        }
    }
}
