//! A relay between the client and the server of a pair that records what they send to each other.

mod talk;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use netroxy_specification::notation::ast::Transport;
pub use talk::{Kind, Talk};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::ports::Lease;
use crate::tap::tap;

/// A relay between two programs. It passes on bytes, ends and resets in their order, and records them.
#[derive(Debug)]
pub struct Between {
    /// The address that the client connects to.
    address: SocketAddr,
    started: Instant,
    state: State,
    transport: Transport,
    _port: Lease,
}

#[derive(Debug)]
enum State {
    /// It listens, and has no server yet.
    Idle(TcpListener),
    Relaying {
        /// Dropping it ends the relay.
        stop: DropGuard,
        relay: JoinHandle<()>,
        keeper: JoinHandle<Talk>,
    },
    Over(Talk),
}

impl Between {
    /// A relay that listens, and has no server yet.
    ///
    /// # Errors
    /// If no port is free or the relay cannot listen on it.
    pub(crate) async fn new(transport: Transport) -> io::Result<Self> {
        let port = Lease::take()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.port())).await?;
        Ok(Self {
            address: listener.local_addr()?,
            started: Instant::now(),
            state: State::Idle(listener),
            transport,
            _port: port,
        })
    }

    /// Relays to `server` from now on, and returns the address for the client. The mapping of the remote port `probe`
    /// belongs to the suite, not to the case. A relay that has a server already keeps it.
    pub(super) fn lead_to(&mut self, server: SocketAddr, probe: u16) -> SocketAddr {
        let new = || Talk::new(self.started, self.transport, server).with_probe(probe);
        match std::mem::replace(&mut self.state, State::Over(new())) {
            State::Idle(listener) => {
                let (seen, mut queue) = mpsc::channel(QUEUED);
                let stop = CancellationToken::new();
                let relay = tap(listener, server, self.started, seen, stop.clone());
                let mut talk = new();
                let keeper = async move {
                    while let Some(seen) = queue.recv().await {
                        talk.see(seen);
                    }
                    talk
                };
                self.state = State::Relaying {
                    stop: stop.drop_guard(),
                    relay: tokio::spawn(relay),
                    keeper: tokio::spawn(keeper),
                };
            }
            state => self.state = state,
        }
        self.address
    }

    /// Stops the recording and breaks off open connections. The end of the programs is not part of a case.
    pub(crate) async fn cease(&mut self) {
        let empty = Talk::new(self.started, self.transport, self.address);
        let state = std::mem::replace(&mut self.state, State::Over(empty));
        self.state = match state {
            State::Relaying {
                stop,
                relay,
                keeper,
            } => {
                drop(stop);
                // Neither task panics. If the keeper did, the record would be empty.
                let _ = relay.await;
                match keeper.await {
                    Ok(talk) => State::Over(talk),
                    Err(_) => return,
                }
            }
            State::Idle(_) => return,
            State::Over(talk) => State::Over(talk),
        };
    }

    /// Stops the relay and returns the record.
    pub(crate) async fn talk(mut self) -> Talk {
        self.cease().await;
        match self.state {
            State::Over(talk) => talk,
            State::Idle(_) | State::Relaying { .. } => {
                Talk::new(self.started, self.transport, self.address)
            }
        }
    }
}

/// The most events that wait to be recorded. Each holds at most 64 KiB.
const QUEUED: usize = 64;

#[cfg(test)]
mod tests;
