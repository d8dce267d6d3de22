//! A free port for a test. Tests of several crates include this file by its path.

use std::net::{Ipv6Addr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// A port on which no program listens.
///
/// It is below the ports that systems give to outgoing connections. A port from there could be taken between this call
/// and its use, even by a connection to this very port, which would then be connected to itself.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = process::id().wrapping_mul(101);
    (0..WIDTH)
        .map(|_| start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % WIDTH)
        .map(|offset| FIRST + u16::try_from(offset).unwrap())
        .find(|port| TcpListener::bind((Ipv6Addr::UNSPECIFIED, *port)).is_ok())
        .expect("a free port")
}

/// The lowest port. The conformance suite uses ports from 20,000 up.
const FIRST: u16 = 10_240;
const WIDTH: u32 = 9_000;
