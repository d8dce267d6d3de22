//! Stands between clients and a server: relays every byte at once, and reports what it has seen.

mod backlog;
mod clock;
mod relay;
mod witness;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

pub use backlog::Backlog;
pub use clock::{FairClock, ticks};
use netroxy_specification::notation::ast::Transport;
use relay::{abort, relay};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use witness::Witness;
pub use witness::{Event, Seen};

use crate::recording::{Kind, What};
use crate::times::{ACCEPT_PAUSE, TAP_CONNECT};

/// Relays until `stop`, then resets the open connections.
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
            // No descriptor is free, or the client has reset its connection already.
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
    // Each segment is sent at once.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    witness
        .tell(What::Open(Kind::Control(Transport::Plain)))
        .await;
    relay(client, server, &witness).await;
    witness.tell(What::Gone).await;
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::recording::{End, Sender};

    #[tokio::test]
    async fn a_tap_that_is_behind_reports_until_when_it_held_up_a_connection() {
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
        // Now the test takes no events, and the queue holds one.
        let mut behind = Duration::ZERO;
        // While the tap is behind, the time goes on.
        while behind == Duration::ZERO || backlog.held_up() <= behind {
            assert!(started.elapsed() < Duration::from_secs(20));
            client.write_all(b"SRQ\n").await.unwrap();
            tokio::task::yield_now().await;
            behind = backlog.held_up();
        }
        drop(client);
        // The waiting events come, up to the end.
        while let Some(Seen::Event(event)) = queue.recv().await {
            if event.what == What::Ended(Sender::Opener, End::Fin) {
                break;
            }
        }
        let over = backlog.held_up();
        assert!(over >= behind && over <= started.elapsed());
        stop.cancel();
        tap.await.unwrap();
    }
}
