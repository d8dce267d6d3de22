//! A target that never answers.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::descriptors::Noted as _;

/// A port whose queue is full and from which nobody takes a connection: it answers no SYN.
#[derive(Debug)]
pub(crate) struct SilentTarget {
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl SilentTarget {
    /// Listens on loopback and fills the queue.
    ///
    /// # Errors
    /// When the port is taken, or the queue has no end.
    pub(crate) async fn bind(port: u16) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let socket = TcpSocket::new_v4().noted()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(1)?;
        let mut queue = Vec::new();
        while queue.len() < LONGEST {
            match timeout(PATIENCE, TcpStream::connect(address)).await {
                Ok(stream) => queue.push(stream.noted()?),
                Err(_) => {
                    return Ok(Self {
                        _listener: listener,
                        _queue: queue,
                    });
                }
            }
        }
        Err(io::Error::other(
            "a listener that nobody serves is never full",
        ))
    }
}

/// Systems may round the length of a queue up.
const LONGEST: usize = 1024;

/// A connection on loopback takes no time, unless it is not answered.
const PATIENCE: Duration = Duration::from_millis(150);
