//! Whether another client uses the name of this one (specification, section 7.6).
//!
//! A server ends a login when the same user logs in with the same client name. Two machines with a copied
//! configuration end each other's logins for ever. The server gives no reason, so a client can detect this only by
//! brief logins in a row.

use std::time::{Duration, Instant};

/// A login that the server ends within this time is brief.
const BRIEF: Duration = Duration::from_secs(20);

/// Counts brief logins in a row.
#[derive(Debug, Default)]
pub(crate) struct Evictions {
    since: Option<Instant>,
    in_a_row: u32,
}

impl Evictions {
    /// A login has begun.
    pub(crate) fn begun(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// The server has ended the control connection. Returns the number of brief logins in a row if the likely cause is
    /// to be logged now: after the third one, and after each ten more.
    pub(crate) fn ended(&mut self, now: Instant) -> Option<u32> {
        let since = self.since.take()?;
        if now.saturating_duration_since(since) >= BRIEF {
            self.in_a_row = 0;
            return None;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        (self.in_a_row % 10 == 3).then_some(self.in_a_row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_brief_login_in_a_row_and_each_tenth_after_it_is_reported() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut evictions = Evictions::default();
        let mut login = |lasts: Duration| {
            evictions.begun(start);
            evictions.ended(start + lasts)
        };
        assert_eq!(
            [login(second), login(second), login(second)],
            [None, None, Some(3)]
        );
        assert_eq!((4..13).filter_map(|_| login(second)).count(), 0);
        assert_eq!(login(second), Some(13));
        assert_eq!(login(BRIEF), None);
        assert_eq!([login(second), login(second)], [None, None]);
        assert_eq!(login(second), Some(3));
    }

    #[test]
    fn a_connection_without_a_login_is_not_a_brief_login() {
        let now = Instant::now();
        let mut evictions = Evictions::default();
        assert_eq!(
            [
                evictions.ended(now),
                evictions.ended(now),
                evictions.ended(now)
            ],
            [None; 3]
        );
    }
}
