//! TCP as it is, or byte by byte.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

/// A TCP connection below TLS, or without it.
#[derive(Debug)]
pub(crate) struct Tcp {
    stream: TcpStream,
    drip: bool,
}

impl Tcp {
    /// With `drip`, every byte is written on its own, so that it leaves in a segment of its own.
    pub(super) fn new(stream: TcpStream, drip: bool) -> Self {
        // A segment of a case has to leave as a segment.
        let _ = stream.set_nodelay(true);
        // What the system keeps for us is not what the peer has taken.
        let _ = socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER);
        Self { stream, drip }
    }

    /// For the options of the socket, which is owned by two tasks later.
    pub(super) fn socket(&self) -> io::Result<socket2::Socket> {
        socket2::SockRef::from(&self.stream).try_clone()
    }
}

const SEND_BUFFER: usize = 128 << 10;

/// Bytes in a segment, as on an Ethernet.
///
/// The segments of loopback are so long that systems give such connections buffers of several MiB; then it would take
/// many more to see that a peer does not read on.
const SEGMENT: u32 = 1460;

/// Keeps segments short. For a socket that listens, it holds for what is accepted.
pub(crate) fn with_short_segments<S: std::os::fd::AsFd>(socket: &S) {
    // Where it cannot be had, some cases need more patience, and no more.
    let _ = socket2::SockRef::from(socket).set_tcp_mss(SEGMENT);
}

/// Connects a socket with short segments.
pub(super) async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = match to {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    with_short_segments(&socket);
    socket.connect(to).await
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = match bytes.get(..1) {
            Some(first) if self.drip => first,
            _ => bytes,
        };
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.drip {
            // TLS asks for this without having asked whether it is of use.
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(cx, first.map_or(&[], |slice| slice));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        !self.drip
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn however_it_is_written_to_only_one_byte_leaves_at_a_time() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let slices = [b"".as_slice(), b"abc", b"def"].map(IoSlice::new);
        for (drip, all) in [(true, 1), (false, 6)] {
            let mut tcp = Tcp::new(connect(address).await.unwrap(), drip);
            assert_eq!(tcp.write(b"abcdef").await.unwrap(), all);
            assert_eq!(tcp.write_vectored(&slices).await.unwrap(), all);
            assert_eq!(tcp.write_vectored(&[]).await.unwrap(), 0);
        }
    }
}
