//! The bytes that have arrived on a connection, with their times.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

/// The receiving side of a connection.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    changed: Notify,
}

/// How the peer's direction has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// In an orderly way: without TLS by a FIN, with TLS by close_notify.
    Eof,
    /// With TLS, by a FIN without close_notify.
    Cut,
    /// By a reset, or by a TLS alert.
    Broken(String),
    /// The peer has not ended it: it sent bytes that are no TLS.
    Garbled(String),
    /// The peer has not ended it: it sent more than the suite reads.
    Flooded,
}

impl End {
    /// Whether the peer has closed its direction.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Eof | Self::Cut | Self::Broken(_) => true,
            Self::Garbled(_) | Self::Flooded => false,
        }
    }
}

/// The content of an [`Inbox`].
#[derive(Debug, Default)]
pub(crate) struct State {
    bytes: Vec<u8>,
    /// How many of `bytes` were taken.
    taken: usize,
    /// How many bytes arrived before `bytes`. They were taken and then removed.
    removed: usize,
    /// For each arrival: the number of all bytes up to then, and the time.
    arrivals: Vec<(usize, Instant)>,
    /// How the direction has ended.
    pub(crate) end: Option<End>,
    /// When it ended.
    ended: Option<Instant>,
    /// Whether all bytes are discarded.
    discards: bool,
}

impl Inbox {
    /// Calls `look` now and after each change until it returns a value or `until` has passed.
    pub(crate) async fn wait<T>(
        &self,
        until: Instant,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        loop {
            let changed = self.changed.notified();
            if let Some(found) = look(&mut self.lock()) {
                return Some(found);
            }
            if tokio::time::timeout_at(until.into(), changed)
                .await
                .is_err()
            {
                // Bytes that arrived at the last moment count.
                return look(&mut self.lock());
            }
        }
    }

    /// Waits until there are unread bytes, or the direction has ended.
    pub(crate) async fn first_sign(&self) {
        loop {
            let changed = self.changed.notified();
            if self.look(|state| state.end.is_some() || !state.unread().is_empty()) {
                return;
            }
            changed.await;
        }
    }

    /// Calls `look` once.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.lock())
    }

    /// Adds bytes; false if more than [`LIMIT`] bytes are unread then.
    pub(crate) fn push(&self, bytes: &[u8]) -> bool {
        let mut state = self.lock();
        if state.discards {
            return true;
        }
        state.add(bytes);
        let accepted = state.unread().len() <= LIMIT;
        if !accepted {
            state.cut_flood();
        }
        drop(state);
        self.changed.notify_waiters();
        accepted
    }

    /// Discards all unread and all later bytes. The end of the direction is still noted.
    pub(crate) fn discard_all(&self) {
        let mut state = self.lock();
        state.discards = true;
        let unread = state.unread().len();
        state.take(unread);
    }

    pub(crate) fn end(&self, end: End) {
        let mut state = self.lock();
        state.ended = Some(Instant::now());
        state.end = Some(end);
        drop(state);
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, bytes: &[u8]) {
        // Taken bytes are removed in blocks, so that a long connection uses bounded memory.
        if self.taken > KEPT {
            self.bytes.drain(..self.taken);
            self.removed += self.taken;
            self.taken = 0;
            let removed = self.removed;
            self.arrivals.retain(|(total, _)| *total > removed);
        }
        self.bytes.extend_from_slice(bytes);
        let arrived = (self.removed + self.bytes.len(), Instant::now());
        self.arrivals.push(arrived);
    }

    /// Ends the reading, and keeps only the beginning of the unread bytes.
    fn cut_flood(&mut self) {
        self.bytes.truncate(self.taken + KEPT);
        self.bytes.shrink_to_fit();
        self.end = Some(End::Flooded);
    }

    /// When the first bytes arrived that are not removed.
    pub(crate) fn first_arrival(&self) -> Option<Instant> {
        self.arrivals.first().map(|(_, at)| *at)
    }

    /// The bytes that no step has taken.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// The number of the next byte that no step has taken, counted from the first byte of the connection.
    pub(crate) fn position(&self) -> usize {
        self.removed + self.taken
    }

    /// The bytes from this position on, taken or not, without the removed ones.
    pub(crate) fn since(&self, position: usize) -> &[u8] {
        let from = position.saturating_sub(self.removed);
        self.bytes.get(from..).unwrap_or_default()
    }

    /// When the last of the next `count` bytes arrived; for 0 bytes, when the direction ended.
    pub(crate) fn came(&self, count: usize) -> Option<Instant> {
        if count == 0 {
            return self.ended;
        }
        let wanted = self.removed + self.taken + count;
        let found = self.arrivals.partition_point(|(total, _)| *total < wanted);
        self.arrivals.get(found).map(|(_, at)| *at)
    }

    /// Takes the next bytes.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let end = (self.taken + count).min(self.bytes.len());
        let bytes = self.bytes[self.taken..end].to_vec();
        self.taken = end;
        bytes
    }

    /// Takes the next bytes without returning them.
    pub(crate) fn skip(&mut self, count: usize) {
        self.taken = (self.taken + count).min(self.bytes.len());
    }
}

/// The suite stops reading after more unread bytes than this. A case can require 64 MiB.
const LIMIT: usize = 65 << 20;

/// How many taken bytes may stay in memory, and how many unread bytes of a flood are kept.
const KEPT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_bytes_are_removed_and_the_times_stay_right() {
        let inbox = Inbox::default();
        let mut read = 0;
        for round in 0..100_u8 {
            assert!(inbox.push(&[round; 4096]));
            read += inbox.look(|state| {
                assert_eq!(state.unread(), [round; 4096]);
                assert!(state.came(1) <= state.came(4096) && state.came(4096).is_some());
                assert_eq!(state.came(4097), None);
                state.take(4096).len()
            });
        }
        assert_eq!(read, 409_600);
        let held = inbox.look(|state| (state.bytes.len(), state.arrivals.len()));
        assert!(held.0 <= KEPT + 2 * 4096 && held.1 <= 20, "{held:?}");
    }

    #[test]
    fn a_flood_ends_the_reading_and_is_truncated() {
        let inbox = Inbox::default();
        let chunk = vec![b'x'; 1 << 20];
        let taken = std::iter::repeat_with(|| inbox.push(&chunk)).take_while(|more| *more);
        assert_eq!(taken.count(), 65);
        let held = inbox.look(|state| (state.bytes.capacity(), state.end.clone()));
        assert_eq!(held, (KEPT, Some(End::Flooded)));
    }
}
