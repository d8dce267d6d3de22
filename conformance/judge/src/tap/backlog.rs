//! How far a tap is behind. Bytes that wait for the tap are not late through their sender.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::recording::Sender;

/// The backlog of one connection, in both directions.
#[derive(Debug)]
pub struct Backlog {
    started: Instant,
    /// Since when each direction has not been read to its end, in microseconds since the start, plus 1; or 0.
    since: [AtomicU64; 2],
    /// When the latest backlog of more than [`NOTICED`] was over, in microseconds since the start.
    over: AtomicU64,
}

impl Backlog {
    /// No backlog. Times count from `started`.
    pub fn new(started: Instant) -> Self {
        Self {
            started,
            since: [AtomicU64::new(0), AtomicU64::new(0)],
            over: AtomicU64::new(0),
        }
    }

    /// For tests: what the acceptor sends has waited since the start.
    pub fn waiting(started: Instant) -> Self {
        let backlog = Self::new(started);
        backlog.of(Sender::Acceptor).store(1, Ordering::Relaxed);
        backlog
    }

    /// Bytes were read, and those that follow wait.
    pub(super) fn begin(&self, sender: Sender) {
        let now = self.now().saturating_add(1);
        // An earlier beginning counts.
        let _ = self
            .of(sender)
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// All bytes that have come were relayed, and the next ones are read when they come.
    pub(super) fn end(&self, sender: Sender) {
        let since = self.of(sender).swap(0, Ordering::Relaxed);
        let now = self.now();
        if since > 0 && now.saturating_sub(since) > NOTICED {
            self.over.fetch_max(now, Ordering::Relaxed);
        }
    }

    /// Until when this connection was held up, or is held up, since the start; zero if it never was.
    pub fn held_up(&self) -> Duration {
        let now = self.now();
        let waits = self.since.iter().any(|since| {
            let since = since.load(Ordering::Relaxed);
            since > 0 && now.saturating_sub(since) > NOTICED
        });
        let until = match waits {
            true => now,
            false => self.over.load(Ordering::Relaxed),
        };
        Duration::from_micros(until)
    }

    fn of(&self, sender: Sender) -> &AtomicU64 {
        let [opener, acceptor] = &self.since;
        match sender {
            Sender::Opener => opener,
            Sender::Acceptor => acceptor,
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// A backlog of at most so many microseconds is not noted: all deadlines are much longer.
const NOTICED: u64 = 50_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_lasts_from_its_beginning_until_all_bytes_are_relayed() {
        let ago = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        assert_eq!(Backlog::new(ago).held_up(), Duration::ZERO);
        let long = Backlog::waiting(ago);
        long.begin(Sender::Acceptor);
        assert!(long.held_up() >= Duration::from_secs(10));
        long.end(Sender::Opener);
        assert!(long.held_up() >= Duration::from_secs(10));
        long.end(Sender::Acceptor);
        let over = long.held_up();
        assert!(over >= Duration::from_secs(10));
        long.begin(Sender::Opener);
        long.end(Sender::Opener);
        assert_eq!(long.held_up(), over);
    }
}
