//! Deadlines, in order.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

/// At most one deadline for each key.
#[derive(Debug, Clone)]
pub(crate) struct Timers<K> {
    by_time: BTreeSet<(Duration, K)>,
    by_key: BTreeMap<K, Duration>,
}

impl<K: Ord + Copy> Timers<K> {
    pub(crate) fn new() -> Self {
        Self {
            by_time: BTreeSet::new(),
            by_key: BTreeMap::new(),
        }
    }

    /// Sets or moves the deadline of `key`. `Duration::MAX` is "never": a driver that adds it to
    /// its own epoch would overflow.
    pub(crate) fn set(&mut self, key: K, at: Duration) {
        self.clear(key);
        if at == Duration::MAX {
            return;
        }
        self.by_key.insert(key, at);
        self.by_time.insert((at, key));
    }

    pub(crate) fn clear(&mut self, key: K) {
        if let Some(at) = self.by_key.remove(&key) {
            self.by_time.remove(&(at, key));
        }
    }

    pub(crate) fn is_set(&self, key: K) -> bool {
        self.by_key.contains_key(&key)
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// All deadlines in order, counted from `now`.
    #[cfg(feature = "model")]
    pub(crate) fn left(&self, now: Duration) -> impl Iterator<Item = (Duration, K)> {
        let all = self.by_time.iter();
        all.map(move |(at, key)| (at.saturating_sub(now), *key))
    }

    /// Takes one deadline that has been reached, the earliest first.
    pub(crate) fn take_due(&mut self, now: Duration) -> Option<K> {
        let (at, key) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.clear(key);
        Some(key)
    }
}
