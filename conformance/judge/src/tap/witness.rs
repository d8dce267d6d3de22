//! What the tap sees, passed on to the judge and the recording.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::backlog::Backlog;
use crate::recording::What;

/// What the tap sees.
#[derive(Debug)]
pub enum Seen {
    /// An event on a connection.
    Event(Event),
    /// A client has connected, and the tap could not connect it to the server, for this reason.
    Unserved(SocketAddr, String),
}

/// An event on a connection.
#[derive(Debug)]
pub struct Event {
    /// Since the start of the tap.
    pub at: Duration,
    /// Such as `c1`.
    pub connection: String,
    /// What has happened.
    pub what: What,
    /// How far the tap is behind on this connection: at the time of reading, not of the event.
    pub backlog: Arc<Backlog>,
}

/// Passes on the events of one connection. While the queue is full the relay waits, so that memory stays bounded.
#[derive(Debug, Clone)]
pub(super) struct Witness {
    pub(super) started: Instant,
    pub(super) connection: String,
    pub(super) seen: mpsc::Sender<Seen>,
    pub(super) backlog: Arc<Backlog>,
}

impl Witness {
    pub(super) async fn tell(&self, what: What) {
        let event = Event {
            at: self.started.elapsed(),
            connection: self.connection.clone(),
            what,
            backlog: Arc::clone(&self.backlog),
        };
        // The receiver is gone when the tap ends.
        let _ = self.seen.send(Seen::Event(event)).await;
    }
}
