//! Listening sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Mutex;
use std::task::{Poll, ready};
use std::time::Duration;
use std::{fmt, io};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::stream::tune;

/// The longest queue of connections that are not yet accepted. The system may allow less.
const BACKLOG: i32 = 4096;
/// Whether accepted connections inherit the options of their listener. That saves five system calls for each
/// connection.
const INHERITS: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bind {
    /// All addresses, IPv6 and IPv4.
    Any,
    /// One address.
    Ip(IpAddr),
}

impl Bind {
    /// Binds `port` there and listens. Port 0 means any free port.
    ///
    /// # Errors
    ///
    /// If the port is in use, or this machine does not have the address.
    pub fn listen(self, port: u16) -> io::Result<TcpListener> {
        let socket = match self {
            Self::Ip(ip) => bound(ip, port, false)?,
            // A machine without IPv6 has only IPv4 addresses.
            Self::Any => match bound(Ipv6Addr::UNSPECIFIED.into(), port, true) {
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    bound(Ipv4Addr::UNSPECIFIED.into(), port, false)?
                }
                bound => bound?,
            },
        };
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    }
}

/// Binds `port` at all places. An address of a family that the machine does not have is skipped.
///
/// # Errors
///
/// If the port is in use at one place, if this machine does not have an address, or if all places are skipped.
pub fn listen_on_all(places: &[Bind], port: u16) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    let mut missing = io::ErrorKind::AddrNotAvailable.into();
    for place in places {
        match place.listen(port) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_of_no_family(&error) => missing = error,
            Err(error) => return Err(error),
        }
    }
    if listeners.is_empty() {
        return Err(missing);
    }
    Ok(listeners)
}

#[cfg(unix)]
fn is_of_no_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

#[cfg(not(unix))]
fn is_of_no_family(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
}

/// The error for a text that is no address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an IP address of this machine; \"\" and \"0.0.0.0\" are all addresses")]
pub struct InvalidBind;

impl FromStr for Bind {
    type Err = InvalidBind;

    /// An empty text, `0.0.0.0` and `::` are all addresses, IPv6 included. The original also reads the first two so.
    fn from_str(text: &str) -> Result<Self, InvalidBind> {
        if ["", "0.0.0.0", "::"].contains(&text) {
            return Ok(Self::Any);
        }
        text.parse().map(Self::Ip).map_err(|_| InvalidBind)
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("all addresses"),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

fn bound(ip: IpAddr, port: u16, dual_stack: bool) -> io::Result<Socket> {
    let addr = SocketAddr::new(ip, port);
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Without it, old connections in TIME_WAIT would keep the port in use.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(!dual_stack)?;
    }
    if INHERITS {
        tune(&socket)?;
    }
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// A listener that can be closed while a task accepts from it.
#[derive(Debug)]
pub struct Closable(Mutex<Option<TcpListener>>);

impl Closable {
    /// Wraps a listener from [`Bind::listen`].
    #[must_use]
    pub fn new(listener: TcpListener) -> Self {
        Self(Mutex::new(Some(listener)))
    }

    /// Frees the port before it returns. It does not wake a task in [`accept`](Self::accept): the caller cancels that
    /// task.
    pub fn close(&self) {
        self.slot().take();
    }

    /// Waits for the next connection, which is [tuned](tune). `None` means that the listener was closed. If descriptors
    /// or memory are short, it tries again every 50 ms.
    pub async fn accept(&self) -> Option<(TcpStream, SocketAddr)> {
        const PAUSE: Duration = Duration::from_millis(50);
        let mut warned = false;
        loop {
            let next = std::future::poll_fn(|cx| match self.slot().as_ref() {
                Some(listener) => Poll::Ready(Some(ready!(listener.poll_accept(cx)))),
                None => Poll::Ready(None),
            });
            match next.await? {
                Ok((tcp, peer)) => {
                    if !INHERITS && let Err(error) = tune(&tcp) {
                        debug!(%error, "a connection broke when it was accepted");
                        continue;
                    }
                    // On a dual-stack socket an IPv4 user has an IPv6 address.
                    return Some((tcp, SocketAddr::new(peer.ip().to_canonical(), peer.port())));
                }
                // The user closed the connection before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if !std::mem::replace(&mut warned, true) {
                        warn!(%error, "cannot accept connections; trying again every 50 ms");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<TcpListener>> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
