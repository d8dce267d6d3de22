//! Whether the peer's system has taken what was written to a connection.
//!
//! A reset destroys what is still under way. A case about bytes that came before a reset proves something only if these
//! bytes have come: on a busy machine a peer may not have read any of them after a fifth of a second.
//!
//! Linux tells it over netlink (`sock_diag(7)`), one connection at a time. The table in `/proc/net/tcp` has the same
//! figure, but each look at it costs as much as all connections of the machine.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::times::UNACKED_POLL;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::{Instant, sleep};

/// Waits until the peer's system has acknowledged everything, for so long at most. Where the system does not tell, it
/// does not wait.
pub(super) async fn settled(local: SocketAddr, peer: SocketAddr, limit: Duration) {
    let until = Instant::now() + limit;
    let Ok(kernel) = kernel() else { return };
    while Instant::now() < until {
        match waiting(&kernel, local, peer) {
            Ok(Some(bytes)) if bytes > 0 => sleep(UNACKED_POLL).await,
            _ => return,
        }
    }
}

/// What the kernel is asked through.
fn kernel() -> io::Result<Socket> {
    const NETLINK: i32 = 16;
    const SOCK_DIAG: i32 = 4;
    let protocol = Protocol::from(SOCK_DIAG);
    let socket = Socket::new(Domain::from(NETLINK), Type::RAW, Some(protocol))?;
    // It answers before the question has been sent, so nothing is ever waited for.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The bytes of a connection that are not acknowledged; `None` when there is no such connection.
fn waiting(mut kernel: &Socket, local: SocketAddr, peer: SocketAddr) -> io::Result<Option<u32>> {
    let ends = ends(local, peer);
    kernel.write_all(&question(local, &ends))?;
    let mut answer = [0; 512];
    let length = kernel.read(&mut answer)?;
    Ok(unacked(&answer[..length], &ends))
}

/// `struct nlmsghdr`, followed by `struct inet_diag_req_v2`.
fn question(local: SocketAddr, ends: &[u8; ENDS]) -> Vec<u8> {
    const LENGTH: u32 = 72;
    const REQUEST: u16 = 1;
    const TCP: u8 = 6;
    let family = if local.is_ipv4() { 2 } else { 10 };
    let mut bytes = Vec::new();
    bytes.extend(LENGTH.to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    // A number of the question, and of who asks.
    bytes.extend([0; 8]);
    bytes.extend([family, TCP, 0, 0]);
    // In every state.
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(ends);
    // On any interface, and without a cookie of an earlier answer.
    bytes.extend([0; 4]);
    bytes.extend([u8::MAX; 8]);
    bytes
}

/// The first fields of `struct inet_diag_sockid`: both ports, then both addresses, in the order of the network.
fn ends(local: SocketAddr, peer: SocketAddr) -> [u8; ENDS] {
    let mut bytes = [0; ENDS];
    let address = |ip| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    for (number, end) in [local, peer].into_iter().enumerate() {
        let (port, ip) = (2 * number, 4 + 16 * number);
        bytes[port..port + 2].copy_from_slice(&end.port().to_be_bytes());
        let address = address(end.ip());
        bytes[ip..ip + address.len()].copy_from_slice(&address);
    }
    bytes
}

/// What an answer says of the connection with these ends: `struct nlmsghdr`, followed by `struct inet_diag_msg`. Where a
/// connection is gone, the answer is an error, or about the listener that is left.
fn unacked(answer: &[u8], ends: &[u8; ENDS]) -> Option<u32> {
    const MESSAGE: usize = 16;
    const ID: usize = MESSAGE + 4;
    const WRITE_QUEUE: usize = ID + 48 + 8;
    let field = |from: usize, length: usize| answer.get(from..from + length);
    if field(4, 2)? != BY_FAMILY.to_ne_bytes() || field(ID, ENDS)? != ends {
        return None;
    }
    let queue = field(WRITE_QUEUE, 4)?.try_into().ok()?;
    Some(u32::from_ne_bytes(queue))
}

/// `SOCK_DIAG_BY_FAMILY`, the kind of both messages.
const BY_FAMILY: u16 = 20;

/// Two ports and two addresses.
const ENDS: usize = 36;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A writer whose bytes are not all taken, and who could read them.
    async fn stuck(address: &str) -> io::Result<(TcpListener, TcpStream, TcpStream)> {
        let listener = TcpListener::bind(address).await?;
        let writer = TcpStream::connect(listener.local_addr()?).await?;
        let (reader, _) = listener.accept().await?;
        let (local, peer) = (writer.local_addr()?, writer.peer_addr()?);
        settled(local, peer, Duration::from_secs(60)).await;
        // Until the systems take no more, and some of it is not acknowledged.
        while writer.try_write(&[7; 64 * 1024]).is_ok() {
            sleep(Duration::from_millis(1)).await;
        }
        Ok((listener, writer, reader))
    }

    #[tokio::test]
    async fn it_waits_for_who_reads_and_no_longer_than_the_limit() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (_listener, writer, mut reader) = stuck(address).await.unwrap();
            let (local, peer) = (writer.local_addr().unwrap(), writer.peer_addr().unwrap());
            let start = Instant::now();
            settled(local, peer, Duration::from_millis(100)).await;
            assert!(start.elapsed() >= Duration::from_millis(100), "{address}");
            let reading = tokio::spawn(async move {
                let mut bytes = vec![0; 64 * 1024];
                while reader.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
            });
            settled(local, peer, Duration::from_secs(60)).await;
            assert!(start.elapsed() < Duration::from_secs(60), "{address}");
            drop(writer);
            reading.await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_not_taken_is_told_of_that_connection_alone() {
        let (listener, writer, reader) = stuck("127.0.0.1:0").await.unwrap();
        let (local, peer) = (writer.local_addr().unwrap(), writer.peer_addr().unwrap());
        let kernel = kernel().unwrap();
        let bytes = waiting(&kernel, local, peer).unwrap();
        assert!(bytes.is_some_and(|bytes| bytes > 64 * 1024), "{bytes:?}");
        // The other end has written nothing.
        assert_eq!(waiting(&kernel, peer, local).unwrap(), Some(0));
        // Once both ends are gone, the listener is all that is left at that address.
        socket2::SockRef::from(&reader)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop((writer, reader));
        assert_eq!(waiting(&kernel, peer, local).unwrap(), None);
        drop(listener);
        assert_eq!(waiting(&kernel, peer, local).unwrap(), None);
    }
}
