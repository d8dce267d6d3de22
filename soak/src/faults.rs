//! When connections were cut, and so which ends of tunnels have a cause.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::link::Cut;

/// How long after a cut a port may have no listener, for targets that send no greeting.
const RETURN: Duration = Duration::from_secs(15);

/// The cuts of a run.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    cuts: Vec<(Instant, Cut)>,
    /// For each cut, by its index: when the first user came who was served after it, and how long after the cut the
    /// first greeting came.
    served: BTreeMap<usize, (Instant, Duration)>,
}

impl Faults {
    /// Stores a cut. Call it before the cut.
    pub(crate) fn cut(&self, what: Cut) {
        self.inner().cuts.push((Instant::now(), what));
    }

    /// Stores that a user who came at `start` was greeted after `wait`.
    pub(crate) fn served(&self, start: Instant, wait: Duration) {
        let mut inner = self.inner();
        let before = inner.cuts.partition_point(|(at, _)| *at <= start);
        let Some(last) = before.checked_sub(1) else {
            return;
        };
        let cut = inner.cuts[last].0;
        let back = (start + wait).saturating_duration_since(cut);
        let known = inner.served.entry(last).or_insert((start, back));
        known.0 = known.0.min(start);
        known.1 = known.1.min(back);
    }

    /// Whether a tunnel from `start` to `end` may be aborted.
    pub(crate) fn may_abort(&self, start: Instant, end: Instant) -> bool {
        self.inner()
            .cuts
            .iter()
            .any(|(at, what)| *what == Cut::All && (start..=end).contains(at))
    }

    /// Whether a user of the talker may be refused, who came at `start` and was refused at `end`. That is so if the
    /// login was cut in this time, or if no user who came before `start` was served since the last cut.
    pub(crate) fn may_refuse(&self, start: Instant, end: Instant) -> bool {
        let inner = self.inner();
        let before = inner.cuts.partition_point(|(at, _)| *at <= start);
        if inner.cuts[before..]
            .first()
            .is_some_and(|(at, _)| *at <= end)
        {
            return true;
        }
        before
            .checked_sub(1)
            .is_some_and(|last| match inner.served.get(&last) {
                Some((served, _)) => *served > start,
                None => true,
            })
    }

    /// Whether a port whose target never sends may have had no listener from `start` to `end`.
    pub(crate) fn may_have_no_port(&self, start: Instant, end: Instant) -> bool {
        let near = |at: Instant| at <= end && at + RETURN >= start;
        self.inner().cuts.iter().any(|(at, _)| near(*at))
    }

    /// The time from each cut to the first greeting, if there was one.
    pub(crate) fn returns(&self) -> Vec<Duration> {
        self.inner()
            .served
            .values()
            .map(|(_, back)| *back)
            .collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_cause_only_around_a_cut() {
        let faults = Faults::default();
        let second = Duration::from_secs(1);
        let begin = Instant::now();
        assert!(!faults.may_refuse(begin, begin + second));
        faults.cut(Cut::Control);
        let cut = faults.inner().cuts[0].0;
        assert!(faults.may_refuse(begin, cut + second), "cut meanwhile");
        assert!(
            faults.may_refuse(cut + second, cut + second * 2),
            "no user served yet"
        );
        faults.served(cut + second * 2, second / 2);
        assert!(
            faults.may_refuse(cut + second, cut + second * 3),
            "came before the first user who was served"
        );
        assert!(
            !faults.may_refuse(cut + second * 3, cut + second * 4),
            "other users were served before"
        );
        assert_eq!(faults.returns(), [second * 5 / 2]);
    }

    #[test]
    fn an_abort_has_a_cause_only_when_all_was_cut() {
        let faults = Faults::default();
        let second = Duration::from_secs(1);
        let begin = Instant::now();
        faults.cut(Cut::Control);
        assert!(!faults.may_abort(begin, Instant::now()));
        faults.cut(Cut::All);
        let end = Instant::now();
        assert!(faults.may_abort(begin, end));
        assert!(
            !faults.may_abort(end + second, end + second * 2),
            "came later"
        );
    }
}
