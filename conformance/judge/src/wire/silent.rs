//! A target that never answers.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::listener::Listener;
use crate::descriptors::Noted as _;
use crate::times::LOOPBACK_CONNECT;

/// A port on which no connection is accepted and whose queue is full, so that the system answers no SYN.
#[derive(Debug)]
pub(crate) struct SilentTarget {
    listener: TcpListener,
    queue: Vec<TcpStream>,
}

impl SilentTarget {
    /// Listens on loopback and fills the queue.
    ///
    /// # Errors
    /// If the port is taken, or the queue is not full after [`LONGEST`] connections.
    pub(crate) async fn bind(port: u16) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let socket = TcpSocket::new_v4().noted()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(1)?;
        let mut queue = Vec::new();
        while queue.len() < LONGEST {
            match timeout(LOOPBACK_CONNECT, TcpStream::connect(address)).await {
                Ok(stream) => queue.push(stream.noted()?),
                Err(_) => {
                    return Ok(Self { listener, queue });
                }
            }
        }
        Err(io::Error::other(
            "a listener that nobody serves is never full",
        ))
    }
}

impl SilentTarget {
    /// Begins to accept after `pause`. Connections that peers have tried to open until then are accepted too.
    pub(crate) fn accept_after(self, pause: Duration) -> Listener {
        let Self { listener, queue } = self;
        let address = listener.local_addr();
        let own: Vec<_> = queue
            .iter()
            .filter_map(|one| one.local_addr().ok())
            .collect();
        let address = address.unwrap_or_else(|_| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        Listener::of(address, |sender| async move {
            tokio::time::sleep(pause).await;
            while let Ok((stream, from)) = listener.accept().await {
                let now = Instant::now();
                if !own.contains(&from) && sender.send((stream, now)).await.is_err() {
                    return;
                }
            }
            drop(queue);
        })
    }
}

/// How many connections fill a queue at most. A system may make the queue longer than asked.
const LONGEST: usize = 1024;
