//! How many spares are wanted.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Users who connect within this time are one crowd. A dial takes less on most networks.
const AT_ONCE: Duration = Duration::from_secs(1);
/// The length of a slot. Only its largest crowd counts.
const SLOT: Duration = Duration::from_secs(10);
/// How many slots are remembered: a minute.
const SLOTS: usize = 6;
/// For how many slots a crowd counts in full. After that it counts half, a quarter and an eighth.
const IN_FULL: usize = 3;

/// The largest crowd of users of the last minute. Older crowds count less.
pub(super) struct Demand {
    most: usize,
    /// When the last users connected, at most `most` of them.
    last: VecDeque<Instant>,
    /// The largest crowd of each slot, the current slot first.
    crowds: [usize; SLOTS],
    /// When the current slot began.
    slot: Instant,
}

impl Demand {
    /// Wants at most `most` spares.
    pub(super) fn new(most: usize, now: Instant) -> Self {
        Self {
            most,
            last: VecDeque::new(),
            crowds: [0; SLOTS],
            slot: now,
        }
    }

    /// A user has connected.
    pub(super) fn user(&mut self, now: Instant) {
        self.move_on(now);
        self.last.push_back(now);
        while self.last.len() > self.most
            || self
                .last
                .front()
                .is_some_and(|at| now.saturating_duration_since(*at) >= AT_ONCE)
        {
            self.last.pop_front();
        }
        let [crowd, ..] = &mut self.crowds;
        *crowd = self.last.len().max(*crowd);
    }

    /// How many spares are wanted now.
    pub(super) fn wanted(&mut self, now: Instant) -> usize {
        self.move_on(now);
        let aged =
            |(age, crowd): (usize, &usize)| crowd.div_ceil(1 << (age + 1).saturating_sub(IN_FULL));
        let crowds = self.crowds.iter().enumerate();
        crowds.map(aged).max().unwrap_or(0)
    }

    /// When fewer are wanted if no user connects; `None` if none are wanted.
    pub(super) fn changes(&self) -> Option<Instant> {
        let is_over = self.crowds.iter().all(|crowd| *crowd == 0);
        (!is_over).then(|| self.slot + SLOT)
    }

    fn move_on(&mut self, now: Instant) {
        if self.changes().is_none() {
            self.slot = now;
        }
        for _ in 0..SLOTS {
            if now < self.slot + SLOT {
                return;
            }
            self.slot += SLOT;
            self.crowds.rotate_right(1);
            let [crowd, ..] = &mut self.crowds;
            *crowd = 0;
        }
        self.slot = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A demand of at most 16, and its start.
    fn demand() -> (Demand, Instant) {
        let now = Instant::now();
        (Demand::new(16, now), now)
    }

    #[test]
    fn without_users_no_spares_are_wanted() {
        let (mut demand, start) = demand();
        assert_eq!(demand.wanted(start), 0);
        assert_eq!(demand.wanted(start + Duration::from_secs(3600)), 0);
        assert_eq!(demand.changes(), None);
    }

    #[test]
    fn for_users_one_after_the_other_one_spare_is_wanted() {
        let (mut demand, start) = demand();
        for minute in 0..10 {
            let at = start + Duration::from_secs(50 * minute);
            demand.user(at);
            assert_eq!(demand.wanted(at), 1);
            assert_eq!(demand.wanted(at + Duration::from_secs(49)), 1);
        }
    }

    #[test]
    fn a_crowd_counts_less_with_time_and_not_after_a_minute() {
        let (mut demand, start) = demand();
        for ms in 0..13 {
            demand.user(start + Duration::from_millis(ms));
        }
        let wanted = [0, 29, 31, 41, 51, 59, 60, 61]
            .map(|secs| demand.wanted(start + Duration::from_secs(secs)));
        assert_eq!(wanted, [13, 13, 7, 4, 2, 2, 0, 0]);
        assert_eq!(demand.changes(), None);
    }

    #[test]
    fn a_crowd_is_the_users_of_one_second_and_is_bounded() {
        let (mut demand, start) = demand();
        for n in 0..100 {
            demand.user(start + Duration::from_millis(400 * n));
        }
        let now = start + Duration::from_secs(40);
        assert_eq!(demand.wanted(now), 3);
        for _ in 0..1000 {
            demand.user(now);
        }
        assert_eq!(demand.wanted(now), 16);
        assert!(demand.last.len() <= 16);
    }

    #[test]
    fn a_user_after_a_long_time_without_users_counts_for_a_minute() {
        let (mut demand, start) = demand();
        demand.user(start);
        let later = start + Duration::from_secs(1000);
        demand.user(later);
        assert_eq!(demand.wanted(later + Duration::from_secs(55)), 1);
        assert_eq!(demand.wanted(later + Duration::from_secs(61)), 0);
    }
}
