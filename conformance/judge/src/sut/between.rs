//! What the client and the server of a pair say to each other, seen by a relay that stands between them.

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

/// A relay between two programs. It carries bytes, ends and resets as they come, and keeps what it has seen.
#[derive(Debug)]
pub struct Between {
    /// Where the client reaches the server.
    address: SocketAddr,
    started: Instant,
    state: State,
    transport: Transport,
    _port: Lease,
}

#[derive(Debug)]
enum State {
    /// It listens, and leads nowhere yet.
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
    /// A relay that leads nowhere yet.
    ///
    /// # Errors
    /// When there is no port for it.
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

    /// Leads to that server from now on, and tells where the client finds it. The remote port `probe` is not of the case.
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
            // It leads somewhere already.
            state => self.state = state,
        }
        self.address
    }

    /// Looks no longer, and breaks off what is open. What the programs do when they are ended is no part of a case.
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
                // Neither panics; if one did, what it has seen would be missing.
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

    /// What was said.
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

/// Events that wait to be kept; each holds at most 64 KiB.
const QUEUED: usize = 64;

#[cfg(test)]
mod tests;
