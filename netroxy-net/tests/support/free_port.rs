//! A port for a test of any crate here, which takes this file in by its path.

use std::{
    net::{Ipv6Addr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// A port that nobody listens on.
///
/// It lies below the ports that systems hand out. One of those may go to any connection between here and its use: even
/// to the very one that tries whether somebody listens there, which then meets itself.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = process::id().wrapping_mul(101);
    (0..WIDTH)
        .map(|_| start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % WIDTH)
        .map(|offset| FIRST + u16::try_from(offset).unwrap())
        .find(|port| TcpListener::bind((Ipv6Addr::UNSPECIFIED, *port)).is_ok())
        .expect("a free port")
}

/// The conformance suite takes its ports from 20,000 up.
const FIRST: u16 = 10_240;
const WIDTH: u32 = 9_000;
