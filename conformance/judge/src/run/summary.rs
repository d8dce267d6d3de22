//! The facts of a whole run, apart from its verdicts.

use std::fmt;
use std::time::Duration;

use super::canary::Ready;
use super::order::Order;
use crate::times::{RoundTrips, Tempo};

/// What is known of a subject before its first case.
#[derive(Debug, Clone)]
pub struct Start {
    /// How long it took until a login had succeeded on every transport.
    pub ready: Duration,
    /// The round trips that were measured then.
    pub trips: RoundTrips,
    /// The deadlines that follow from them.
    pub tempo: Tempo,
    /// The order of its cases.
    pub order: Order,
}

/// How a run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every case has been run.
    Complete,
    /// The user has stopped it.
    Interrupted,
    /// It has stopped at the first failure, as the order says.
    FailFast,
}

/// The run as a whole.
#[derive(Debug, Clone)]
pub struct Summary {
    /// How it has ended.
    pub ended: Ended,
    /// From the first case to the last.
    pub wall: Duration,
    /// How many cases were run, skipped ones not counted.
    pub played: usize,
    /// The ids of the cases that took longest, and how long; ten at most.
    pub slowest: Vec<(String, Duration)>,
    /// How many were played once more because the machine stood still.
    pub retried: usize,
    /// The longest time for which the machine stood still.
    pub longest_stall: Duration,
}

impl Start {
    /// Computes the deadlines from what was measured.
    pub fn new(ready: &Ready, scale: f64, order: Order) -> Self {
        let trips = ready.all_trips();
        Self {
            ready: ready.after,
            tempo: Tempo::measured(scale, &trips).with_effort(ready.effort),
            trips,
            order,
        }
    }
}

impl Summary {
    /// Nothing has been run yet.
    pub fn begin() -> Self {
        Self {
            ended: Ended::Complete,
            wall: Duration::ZERO,
            played: 0,
            slowest: Vec::new(),
            retried: 0,
            longest_stall: Duration::ZERO,
        }
    }

    /// Cases a second.
    pub(crate) fn pace(&self) -> f64 {
        let played = u32::try_from(self.played).unwrap_or(u32::MAX);
        f64::from(played) / self.wall.as_secs_f64().max(f64::EPSILON)
    }

    /// Notes a case that has been run.
    pub fn note(&mut self, id: &str, took: Duration, retried: bool) {
        self.played += 1;
        self.retried += usize::from(retried);
        let place = self.slowest.partition_point(|(_, other)| *other >= took);
        if place < SLOWEST {
            self.slowest.insert(place, (id.to_owned(), took));
            self.slowest.truncate(SLOWEST);
        }
    }
}

/// Such as `ready in 12 ms  round trip 0.21 ms, p99 0.80 ms  deadline 2.0 s  seed 0x5eed`.
impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deadline = self.tempo.at_once().as_secs_f64();
        let (ready, trips) = (self.ready.as_millis(), &self.trips);
        write!(f, "ready in {ready} ms  {trips}  deadline {deadline:.1} s")?;
        if let Some(seed) = self.order.seed {
            write!(f, "  seed {seed:#x}")?;
        }
        if self.order.repeat > 1 {
            write!(f, "  each {} times", self.order.repeat)?;
        }
        Ok(())
    }
}

/// Such as `13.1 s, 13.0 cases in a second; longest stall 3 ms; retried 1 for stalls`.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wall, pace) = (self.wall.as_secs_f64(), self.pace());
        let stall = self.longest_stall.as_millis();
        write!(
            f,
            "{wall:.1} s, {pace:.1} cases in a second; longest stall {stall} ms"
        )?;
        if self.retried > 0 {
            write!(f, "; retried {} for stalls", self.retried)?;
        }
        match self.ended {
            Ended::Complete => Ok(()),
            Ended::Interrupted => f.write_str("; interrupted"),
            Ended::FailFast => f.write_str("; stopped at the first failure"),
        }
    }
}

/// How many of the slowest cases a summary names.
const SLOWEST: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_ten_are_named_in_order() {
        let mut summary = Summary::begin();
        for took in [3, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 2] {
            let took = Duration::from_secs(took);
            summary.note(&took.as_secs().to_string(), took, took.as_secs() > 9);
        }
        let named = summary.slowest.iter().map(|(id, _)| id.as_str());
        let named = named.collect::<Vec<_>>().join(" ");
        assert_eq!(named, "11 10 9 8 7 6 5 4 3 2");
        assert_eq!((summary.played, summary.retried), (12, 2));
        summary.wall = Duration::from_secs(8);
        summary.ended = Ended::Interrupted;
        let text =
            "8.0 s, 1.5 cases in a second; longest stall 0 ms; retried 2 for stalls; interrupted";
        assert_eq!(summary.to_string(), text);
        summary.retried = 0;
        summary.ended = Ended::Complete;
        let text = "8.0 s, 1.5 cases in a second; longest stall 0 ms";
        assert_eq!(summary.to_string(), text);
    }

    #[test]
    fn a_start_shows_the_measured_times_and_the_order_of_the_run() {
        let trips = RoundTrips::new([1, 2, 3].map(Duration::from_millis).to_vec());
        let ready = Ready {
            effort: Duration::ZERO,
            after: Duration::from_millis(12),
            trips: vec![(
                netroxy_specification::notation::ast::Transport::Plain,
                trips,
            )],
        };
        let start = |order| Start::new(&ready, 1.0, order).to_string();
        let text = "ready in 12 ms  round trip 2.00 ms, p99 3.00 ms  deadline 2.0 s";
        assert_eq!(start(Order::default()), text);
        let order = Order {
            seed: Some(0x5eed),
            repeat: 3,
            fail_fast: false,
        };
        assert_eq!(start(order), format!("{text}  seed 0x5eed  each 3 times"));
        assert_eq!((order.rounds(), Order::default().rounds()), (3, 1));
        let none = RoundTrips::default().to_string();
        assert_eq!(none, "round trip not measured");
    }
}
