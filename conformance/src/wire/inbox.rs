//! What has arrived on a connection, with the time of the last arrival.

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
pub(crate) enum End {
    /// In an orderly way.
    Eof,
    /// By a reset, or by a TLS alert.
    Broken(String),
    /// The peer has not ended it: it sent bytes that are no TLS.
    Garbled(String),
}

/// A look at an [`Inbox`].
#[derive(Debug, Default)]
pub(crate) struct State {
    bytes: Vec<u8>,
    taken: usize,
    /// How many bytes had arrived when.
    arrivals: Vec<(usize, Instant)>,
    /// Set once.
    pub(crate) end: Option<End>,
    /// When it ended.
    ended: Option<Instant>,
}

impl Inbox {
    /// Looks at what is there, and waits for more until `look` finds what it wants or `until` has passed.
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
                // What arrived at the very end counts.
                return look(&mut self.lock());
            }
        }
    }

    /// Looks once.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.lock())
    }

    /// Adds bytes; false when nobody wants that many.
    pub(super) fn push(&self, bytes: &[u8]) -> bool {
        let mut state = self.lock();
        state.bytes.extend_from_slice(bytes);
        let arrived = (state.bytes.len(), Instant::now());
        state.arrivals.push(arrived);
        let accepted = state.unread().len() <= LIMIT;
        drop(state);
        self.changed.notify_one();
        accepted
    }

    pub(super) fn end(&self, end: End) {
        let mut state = self.lock();
        state.ended = Some(Instant::now());
        state.end = Some(end);
        drop(state);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What no step has read yet.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// When the next `count` bytes were complete; for none of them, when the connection ended.
    pub(crate) fn came(&self, count: usize) -> Option<Instant> {
        if count == 0 {
            return self.ended;
        }
        let wanted = self.taken + count;
        let found = self.arrivals.partition_point(|(total, _)| *total < wanted);
        self.arrivals.get(found).map(|(_, at)| *at)
    }

    /// Marks the next bytes as read.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let end = (self.taken + count).min(self.bytes.len());
        let bytes = self.bytes[self.taken..end].to_vec();
        self.taken = end;
        bytes
    }
}

/// A peer that sends more than any case asks for is not listened to any longer.
const LIMIT: usize = 64 << 20;
