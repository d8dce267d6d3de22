//! The open connections of a relay, and the state that they share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::link::{Break, Cut, Link};
use crate::stream::mix;

/// The kind of a connection, by its first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// ATH.
    Control,
    /// TRS.
    Data,
    /// Anything else, or no message yet.
    Other,
}

/// The state that all connections of a relay share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) to: SocketAddr,
    pub(crate) link: Link,
    pub(crate) fault: Option<Break>,
    seed: AtomicU64,
    open: Mutex<HashMap<u64, (Kind, CancellationToken)>>,
    controls: AtomicU64,
    /// Messages of clients that begin with this word are held.
    pub(crate) gate: watch::Sender<Option<&'static str>>,
    /// How many connections were held.
    pub(crate) held: watch::Sender<u64>,
}

impl Shared {
    /// The state of a relay to the address `to`, without connections.
    pub(crate) fn new(to: SocketAddr, link: Link, fault: Option<Break>, seed: u64) -> Self {
        Self {
            to,
            link,
            fault,
            seed: AtomicU64::new(seed),
            open: Mutex::default(),
            controls: AtomicU64::new(0),
            gate: watch::Sender::new(None),
            held: watch::Sender::new(0),
        }
    }

    /// Lists a connection until the result is dropped. [`cut`](Self::cut) cancels the token.
    pub(crate) fn list(&self, id: u64, token: CancellationToken) -> Listed<'_> {
        self.open().insert(id, (Kind::Other, token));
        Listed(self, id)
    }

    /// Cuts connections by a reset in both directions; returns how many.
    pub(crate) fn cut(&self, what: Cut) -> usize {
        let open = self.open();
        let wanted = |kind| what == Cut::All || kind == Kind::Control;
        let cut = open.values().filter(|(kind, _)| wanted(*kind));
        cut.map(|(_, token)| token.cancel()).count()
    }

    /// How many control connections the relay has had.
    pub(crate) fn controls(&self) -> u64 {
        self.controls.load(Ordering::Relaxed)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, (Kind, CancellationToken)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seed that was not used before.
    pub(crate) fn new_seed(&self) -> u64 {
        mix(self.seed.fetch_add(1, Ordering::Relaxed))
    }
}

/// A connection on the list. Dropping it removes the connection.
#[derive(Debug)]
pub(crate) struct Listed<'a>(&'a Shared, u64);

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.0.open().remove(&self.1);
    }
}

/// The number of a connection on the list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known(pub(crate) u64);

impl Known {
    /// Sets the kind of the connection by the first bytes of the client.
    pub(crate) fn learn(self, shared: &Shared, first: &[u8]) -> Kind {
        // The clients write a message as one piece, so the word is complete.
        let kind = match first.get(..3) {
            Some(b"ATH") => Kind::Control,
            Some(b"TRS") => Kind::Data,
            _ => Kind::Other,
        };
        if kind == Kind::Control {
            shared.controls.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(entry) = shared.open().get_mut(&self.0) {
            entry.0 = kind;
        }
        kind
    }
}
