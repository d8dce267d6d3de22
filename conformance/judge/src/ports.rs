//! Leases of ports that no other program on this machine uses.
//!
//! A UDP socket on the same port number marks a port as leased for other runs of this program. The judged program can
//! still bind the port, because TCP and UDP have separate ports.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Instant;

use tokio::time::sleep;

use crate::descriptors::{Noted as _, is_shortage};
use crate::times::{PORT_POLL, PORT_RELEASE};

/// A port that belongs to this run until the value is dropped.
#[derive(Debug)]
pub struct Lease {
    port: u16,
    _held: UdpSocket,
}

impl Lease {
    /// Leases a free port. The search begins at a random port.
    ///
    /// # Errors
    /// If no port of the range is free, or no file descriptor is left.
    pub fn take() -> io::Result<Self> {
        for _ in 0..WIDTH {
            match Self::try_port(next()).noted() {
                Ok(lease) => return Ok(lease),
                // The next port would need a descriptor too.
                Err(error) if is_shortage(&error) => return Err(error),
                Err(_) => {}
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("no free port in {FIRST}..{}", FIRST + WIDTH),
        ))
    }

    /// The number of the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until a program can listen on the port again, or [`PORT_RELEASE`] has passed.
    ///
    /// A process that is being started has a copy of each listener of this program. The system closes the copies during
    /// the exec, and lets this program go on before that. So the port of a listener that was closed here can be in use
    /// for a moment, although no program listens on it.
    pub(crate) async fn released(&self) {
        let until = Instant::now() + PORT_RELEASE;
        while !self.is_released() && Instant::now() < until {
            sleep(PORT_POLL).await;
        }
    }

    fn is_released(&self) -> bool {
        let _not_forking = FORKING.read().unwrap_or_else(PoisonError::into_inner);
        TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).is_ok()
    }

    fn try_port(port: u16) -> io::Result<Self> {
        let _not_forking = FORKING.read().unwrap_or_else(PoisonError::into_inner);
        let held = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
        // Without IPv6 the port has to be free on IPv4.
        match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse || is_shortage(&error) => {
                return Err(error);
            }
            Err(_) => drop(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?),
        }
        Ok(Self { port, _held: held })
    }
}

/// A lock that is held for writing while a program is started.
///
/// Between its fork and its exec a new process owns a copy of every socket. So a socket that tests a port here would
/// stay open until the exec, and the program that gets the port could not bind it.
pub(crate) static FORKING: RwLock<()> = RwLock::new(());

/// The first port of the range. The range is below the ports that systems use for outgoing connections.
const FIRST: u16 = 20_000;
/// The number of ports in the range.
const WIDTH: u16 = 12_000;

static STEPS: AtomicU16 = AtomicU16::new(0);
static START: std::sync::OnceLock<u16> = std::sync::OnceLock::new();

fn next() -> u16 {
    let start = *START.get_or_init(|| {
        let mut bytes = [0; 2];
        // Without random bytes two runs begin at the same port. Their leases still differ, because of the UDP sockets.
        let _ = getrandom::fill(&mut bytes);
        u16::from_le_bytes(bytes) % WIDTH
    });
    let step = STEPS.fetch_add(1, Ordering::Relaxed) % WIDTH;
    FIRST + (start + step) % WIDTH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leased_port_is_free_for_tcp_and_is_leased_once() {
        let lease = Lease::take().unwrap();
        assert!(Lease::try_port(lease.port()).is_err());
        assert!(TcpListener::bind((Ipv4Addr::UNSPECIFIED, lease.port())).is_ok());
    }

    #[tokio::test]
    async fn a_port_is_released_when_the_last_copy_of_its_listener_is_closed() {
        let lease = Lease::take().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, lease.port())).unwrap();
        let copy = listener.try_clone().unwrap();
        drop(listener);
        assert!(!lease.is_released());
        let closes = async {
            sleep(PORT_POLL * 5).await;
            drop(copy);
        };
        tokio::join!(closes, lease.released());
        assert!(lease.is_released());
    }
}
