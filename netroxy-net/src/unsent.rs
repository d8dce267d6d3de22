//! How many bytes of a connection the peer has not taken yet.
//!
//! The system gives this number by a call that no safe library has. This is the only unsafe code of the project.

use tokio::net::TcpStream;

/// How many written bytes of a connection the peer's system has not acknowledged; 0 if the system does not say.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[allow(unsafe_code, reason = "no safe library has this call")]
pub(crate) fn bytes(tcp: &TcpStream) -> usize {
    use std::os::fd::AsRawFd;

    let mut count: libc::c_int = 0;
    // SAFETY: the descriptor is open, because `tcp` is borrowed for as long as the call takes, and
    // is a socket, for which TIOCOUTQ writes one `int` to the address that it is given. That
    // address is of a live and aligned `c_int` that nothing else refers to.
    let outcome = unsafe { libc::ioctl(tcp.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
    match outcome {
        0 => usize::try_from(count).unwrap_or(0),
        _ => 0,
    }
}

/// How many written bytes of a connection the peer's system has not acknowledged; 0 if the system does not say.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn bytes(_: &TcpStream) -> usize {
    0
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::time::{Duration, sleep};

    use super::bytes;
    use crate::test_tcp::pair;

    #[tokio::test]
    async fn bytes_are_counted_until_the_peer_has_read_them() {
        let (writer, mut reader) = pair().await;
        assert_eq!(bytes(&writer), 0);
        let mut written = 0;
        // More than the system of the receiver accepts.
        while let Ok(count) = writer.try_write(&[7; 64 * 1024]) {
            written += count;
            sleep(Duration::from_millis(1)).await;
        }
        assert!(bytes(&writer) > 0);
        let mut read = vec![0; written];
        reader.read_exact(&mut read).await.unwrap();
        while bytes(&writer) > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
}
