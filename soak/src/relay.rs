//! A TCP relay between client and server that injects faults.
//!
//! It delays all bytes and stalls some of them, which looks like a lost segment above TCP. It cuts connections by a
//! reset, and holds a connection at a chosen message. It can also break bytes on purpose, to test that the checks
//! detect it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::connections::{Known, Shared};
use crate::link::{Break, CHUNK, Cut, Link};
use crate::pump::pump;
use crate::services::listen;
use crate::talk::reset;

/// A running relay. Dropping it ends it and its connections.
#[derive(Debug)]
pub(crate) struct Relay {
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Relay {
    /// Starts a relay on any free port of `ip`.
    pub(crate) fn start(
        ip: IpAddr,
        to: SocketAddr,
        link: Link,
        fault: Option<Break>,
        seed: u64,
    ) -> io::Result<Self> {
        let listener = listen(ip)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(to, link, fault, seed));
        let task = tokio::spawn(accept(listener, shared.clone())).abort_handle();
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    /// Cuts connections by a reset in both directions; returns how many.
    pub(crate) fn cut(&self, what: Cut) -> usize {
        self.shared.cut(what)
    }

    /// How many control connections the relay has had.
    pub(crate) fn controls(&self) -> u64 {
        self.shared.controls()
    }

    /// From now on holds each message of a client that begins with `word`, and all bytes after it.
    pub(crate) fn hold(&self, word: &'static str) {
        self.shared.gate.send_replace(Some(word));
    }

    /// Sends on what is held, and holds nothing more.
    pub(crate) fn release(&self) {
        self.shared.gate.send_replace(None);
    }

    /// Waits until a message is held.
    pub(crate) async fn holds(&self) {
        let mut held = self.shared.held.subscribe();
        // It fails only without a sender, and `self` has one.
        let _ = held.wait_for(|count| *count > 0).await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut carried = JoinSet::new();
    let mut id = 0;
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                id += 1;
                carried.spawn(carry(id, tcp, shared.clone()));
            }
            // Descriptors are short. The next attempt may work.
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
        while carried.try_join_next().is_some() {}
    }
}

async fn carry(id: u64, mut client: TcpStream, shared: Arc<Shared>) {
    let token = CancellationToken::new();
    let _listed = shared.list(id, token.clone());
    // Nagle's algorithm would add delays.
    let _ = client.set_nodelay(true);
    let mut server = None;
    let whole = token
        .run_until_cancelled(one(id, &mut client, &mut server, &shared))
        .await;
    if whole != Some(true) {
        reset(&client);
        server.iter().for_each(reset);
    }
}

/// Carries one connection. The result is whether it ended in order.
async fn one(
    id: u64,
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    shared: &Shared,
) -> bool {
    if !shared.link.dials_late {
        match dial(shared.to).await {
            Ok(dialled) => {
                let server = server.insert(dialled);
                return pump(client, server, shared, Vec::new(), Known(id)).await;
            }
            Err(_) => return false,
        }
    }
    let mut first = vec![0; CHUNK];
    let Ok(count @ 1..) = client.read(&mut first).await else {
        return true;
    };
    first.truncate(count);
    Known(id).learn(shared, &first);
    sleep(shared.link.delay).await;
    match dial(shared.to).await {
        Ok(dialled) => pump(client, server.insert(dialled), shared, first, Known(id)).await,
        Err(_) => false,
    }
}

async fn dial(to: SocketAddr) -> io::Result<TcpStream> {
    const DIAL: Duration = Duration::from_secs(10);
    let tcp = timeout(DIAL, TcpStream::connect(to))
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}
