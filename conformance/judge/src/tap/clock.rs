//! The clock of the live judge.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::times::TAP_TICK;

/// A clock that stands still while this program gets no CPU time, so that no peer is reported as late for that.
#[derive(Debug)]
pub struct FairClock {
    lost: Duration,
    last: Duration,
}

impl FairClock {
    /// At zero.
    pub fn start() -> Self {
        Self {
            lost: Duration::ZERO,
            last: Duration::ZERO,
        }
    }

    /// What the clock shows at the time `real`, which it notes.
    pub fn tick(&mut self, real: Duration) -> Duration {
        let gap = real.saturating_sub(self.last);
        self.last = self.last.max(real);
        // A tick may be three ticks late on a busy machine.
        self.lost += gap.saturating_sub(TAP_TICK * 4);
        real.saturating_sub(self.lost)
    }

    /// What the clock shows at a time near the last tick.
    pub fn at(&self, real: Duration) -> Duration {
        real.saturating_sub(self.lost)
    }
}

/// Ticks for a [`FairClock`].
pub fn ticks() -> tokio::time::Interval {
    let mut ticks = interval(TAP_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}
