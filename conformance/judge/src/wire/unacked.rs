//! Waits until the peer's system has acknowledged the bytes that were written to a connection.
//!
//! A reset destroys bytes that have not arrived. So a case about bytes before a reset is valid only if these bytes have
//! arrived. On a busy machine that can take more than 200 ms.
//!
//! Linux reports the number of unacknowledged bytes of a connection over netlink (`sock_diag(7)`). `/proc/net/tcp`
//! has the same number, but each read of it lists all connections of the machine.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::{Instant, sleep};

use crate::times::UNACKED_POLL;

/// Waits until the peer's system has acknowledged everything, or `limit` has passed. Returns at once if the number of
/// unacknowledged bytes cannot be read.
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

/// Opens a netlink socket for requests to the kernel.
fn kernel() -> io::Result<Socket> {
    const NETLINK: i32 = 16;
    const SOCK_DIAG: i32 = 4;
    let protocol = Protocol::from(SOCK_DIAG);
    let socket = Socket::new(Domain::from(NETLINK), Type::RAW, Some(protocol))?;
    // The kernel answers before the write returns, so no read has to wait.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// How many bytes of a connection are not acknowledged; `None` if there is no such connection.
fn waiting(mut kernel: &Socket, local: SocketAddr, peer: SocketAddr) -> io::Result<Option<u32>> {
    let ends = ends(local, peer);
    kernel.write_all(&question(local, &ends))?;
    let mut answer = [0; 512];
    let length = kernel.read(&mut answer)?;
    Ok(unacked(&answer[..length], &ends))
}

/// The request about a connection: `struct nlmsghdr`, followed by `struct inet_diag_req_v2`.
fn question(local: SocketAddr, ends: &[u8; ENDS]) -> Vec<u8> {
    const LENGTH: u32 = 72;
    const REQUEST: u16 = 1;
    const TCP: u8 = 6;
    let family = if local.is_ipv4() { 2 } else { 10 };
    let mut bytes = Vec::new();
    bytes.extend(LENGTH.to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    // The sequence number and the port of the sender are 0.
    bytes.extend([0; 8]);
    bytes.extend([family, TCP, 0, 0]);
    // The connection may be in any state.
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(ends);
    // It may be on any interface. There is no cookie of an earlier answer.
    bytes.extend([0; 4]);
    bytes.extend([u8::MAX; 8]);
    bytes
}

/// The first fields of `struct inet_diag_sockid`: both ports, then both addresses, in network byte order.
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

/// Reads the unacknowledged bytes from the answer: `struct nlmsghdr`, followed by `struct inet_diag_msg`. `None` if the
/// connection with these ends has ended: then the answer is an error, or describes the listener.
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

/// The size of two ports and two addresses, in bytes.
const ENDS: usize = 36;

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A listener, a writer with unacknowledged bytes, and a reader that does not read yet.
    async fn stuck(address: &str) -> io::Result<(TcpListener, TcpStream, TcpStream)> {
        let listener = TcpListener::bind(address).await?;
        let writer = TcpStream::connect(listener.local_addr()?).await?;
        let (reader, _) = listener.accept().await?;
        let (local, peer) = (writer.local_addr()?, writer.peer_addr()?);
        settled(local, peer, Duration::from_secs(60)).await;
        // Writes until the buffers are full. After that some bytes are not acknowledged.
        while writer.try_write(&[7; 64 * 1024]).is_ok() {
            sleep(Duration::from_millis(1)).await;
        }
        Ok((listener, writer, reader))
    }

    #[tokio::test]
    async fn settled_waits_for_the_reader_at_most_as_long_as_the_limit() {
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
    async fn unacknowledged_bytes_are_counted_for_one_connection() {
        let (listener, writer, reader) = stuck("127.0.0.1:0").await.unwrap();
        let (local, peer) = (writer.local_addr().unwrap(), writer.peer_addr().unwrap());
        let kernel = kernel().unwrap();
        let bytes = waiting(&kernel, local, peer).unwrap();
        assert!(bytes.is_some_and(|bytes| bytes > 64 * 1024), "{bytes:?}");
        // The other end has written nothing.
        assert_eq!(waiting(&kernel, peer, local).unwrap(), Some(0));
        // After both ends are closed, only the listener has that address.
        socket2::SockRef::from(&reader)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop((writer, reader));
        assert_eq!(waiting(&kernel, peer, local).unwrap(), None);
        drop(listener);
        assert_eq!(waiting(&kernel, peer, local).unwrap(), None);
    }
}
