//! Stands between clients and a server: passes on every byte as it comes, and tells what it has seen.

mod backlog;
mod relay;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use backlog::Backlog;
use netroxy_specification::notation::ast::Transport;
use relay::relay;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::recording::{Kind, What};
use crate::times::{ACCEPT_PAUSE, TAP_CONNECT, TAP_TICK};

/// Something that the tap has seen.
#[derive(Debug)]
pub enum Seen {
    /// Something has happened on a connection.
    Event(Event),
    /// A client has connected and cannot be served, for this reason.
    Unserved(SocketAddr, String),
}

/// Something that has happened on a connection.
#[derive(Debug)]
pub struct Event {
    /// Since the start.
    pub at: Duration,
    /// Such as `c1`.
    pub connection: String,
    /// What has happened.
    pub what: What,
    /// How far the tap is behind on this connection, now and not when it happened.
    pub backlog: Arc<Backlog>,
}

/// Tells what is seen. Who relays waits while nobody takes it, so that memory stays bounded.
#[derive(Debug, Clone)]
struct Witness {
    started: Instant,
    connection: String,
    seen: mpsc::Sender<Seen>,
    backlog: Arc<Backlog>,
}

impl Witness {
    async fn tell(&self, what: What) {
        let event = Event {
            at: self.started.elapsed(),
            connection: self.connection.clone(),
            what,
            backlog: Arc::clone(&self.backlog),
        };
        // Nobody listens when the tap ends.
        let _ = self.seen.send(Seen::Event(event)).await;
    }
}

/// Relays until `stop`, then breaks off what is open.
pub async fn tap(
    listener: TcpListener,
    to: SocketAddr,
    started: Instant,
    seen: mpsc::Sender<Seen>,
    stop: CancellationToken,
) {
    let mut relays = JoinSet::new();
    let mut number = 0_u64;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = relays.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((client, from)) = accepted else {
            // No descriptor is free, or the client has gone already.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        number += 1;
        let witness = Witness {
            started,
            connection: format!("c{number}"),
            seen: seen.clone(),
            backlog: Arc::new(Backlog::new(started)),
        };
        relays.spawn(async move { serve(client, from, to, witness).await });
    }
    relays.shutdown().await;
}

async fn serve(client: TcpStream, from: SocketAddr, to: SocketAddr, witness: Witness) {
    let server = match timeout(TAP_CONNECT, TcpStream::connect(to)).await {
        Ok(Ok(server)) => server,
        failed => {
            let why = match failed {
                Ok(Err(error)) => error.to_string(),
                _ => format!("no connection in {} s", TAP_CONNECT.as_secs()),
            };
            let _ = witness.seen.send(Seen::Unserved(from, why)).await;
            return abort(client);
        }
    };
    // Bytes go on as they come.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    witness
        .tell(What::Open(Kind::Control(Transport::Plain)))
        .await;
    relay(client, server, &witness).await;
    witness.tell(What::Gone).await;
}

/// Ends a connection by a reset.
fn abort(stream: TcpStream) {
    // Where the option cannot be set, the peer sees an end all the same.
    let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
}

/// A clock that stands still while the program has no processor: what it cannot see cannot be late.
#[derive(Debug)]
pub struct FairClock {
    lost: Duration,
    last: Duration,
}

impl FairClock {
    /// Nothing has been seen yet.
    pub fn start() -> Self {
        Self {
            lost: Duration::ZERO,
            last: Duration::ZERO,
        }
    }

    /// Looks at the time, which is `real`.
    pub fn tick(&mut self, real: Duration) -> Duration {
        let gap = real.saturating_sub(self.last);
        self.last = self.last.max(real);
        // As much as a tick may be late on a machine that is busy.
        self.lost += gap.saturating_sub(TAP_TICK * 4);
        real.saturating_sub(self.lost)
    }

    /// What the clock shows at a moment near the last look.
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn a_tap_that_is_behind_knows_it() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, mut queue) = mpsc::channel(1);
        let (started, stop) = (Instant::now(), CancellationToken::new());
        let to = server.local_addr().unwrap();
        let tap = tokio::spawn(tap(listener, to, started, seen, stop.clone()));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"SRQ\n").await.unwrap();
        let mut backlogs = Vec::new();
        for _ in 0..2 {
            if let Some(Seen::Event(event)) = queue.recv().await {
                backlogs.push(event.backlog);
            }
        }
        let backlog = backlogs.pop().unwrap();
        assert_eq!(backlog.held_up(), Duration::ZERO);
        // Now nobody takes what is seen, and the queue holds one event.
        let mut behind = Duration::ZERO;
        // While it is behind, that goes on with the time.
        while behind == Duration::ZERO || backlog.held_up() <= behind {
            assert!(started.elapsed() < Duration::from_secs(20));
            client.write_all(b"SRQ\n").await.unwrap();
            tokio::task::yield_now().await;
            behind = backlog.held_up();
        }
        drop(client);
        // What was waiting comes, up to the end.
        while let Some(Seen::Event(event)) = queue.recv().await {
            if event.what
                == What::Ended(crate::recording::Sender::Opener, crate::recording::End::Fin)
            {
                break;
            }
        }
        let over = backlog.held_up();
        assert!(over >= behind && over <= started.elapsed());
        stop.cancel();
        tap.await.unwrap();
    }
}
