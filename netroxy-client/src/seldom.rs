//! Warnings of which one in 10 seconds is logged.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time in which one warning is logged.
const EVERY: Duration = Duration::from_secs(10);

/// Says which of many equal warnings to log.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    shown: Option<Instant>,
    kept_back: u64,
}

impl Seldom {
    /// `Some` if a warning is to be logged now: how many were kept back since the last one. `None` keeps it back.
    pub(crate) fn show(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let too_early = state
            .shown
            .is_some_and(|shown| now.saturating_duration_since(shown) < EVERY);
        if too_early {
            state.kept_back = state.kept_back.saturating_add(1);
            return None;
        }
        state.shown = Some(now);
        Some(std::mem::take(&mut state.kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_ten_seconds_is_shown_and_the_others_are_counted() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        let at = |secs| seldom.show(start + Duration::from_secs(secs));
        let shown = [0, 1, 5, 9, 10, 11, 30].map(at);
        assert_eq!(shown, [Some(0), None, None, None, Some(3), None, Some(1)]);
    }
}
