//! TCP, either as usual or byte by byte.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

/// A TCP connection, with or without TLS on top.
#[derive(Debug)]
pub(crate) struct Tcp {
    stream: TcpStream,
    drip: bool,
}

impl Tcp {
    /// With `drip`, each write sends one byte, so that every byte is sent in a segment of its own.
    pub(super) fn new(stream: TcpStream, drip: bool) -> Self {
        // The system has to send each segment of a case at once.
        let _ = stream.set_nodelay(true);
        // The buffer is small, because bytes in it count as taken by the peer.
        let _ = socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER);
        Self { stream, drip }
    }

    /// Another handle of the socket, for its options: two tasks own the stream.
    pub(super) fn socket(&self) -> io::Result<socket2::Socket> {
        socket2::SockRef::from(&self.stream).try_clone()
    }
}

/// The send buffer of a socket, in bytes.
const SEND_BUFFER: usize = 128 << 10;

/// The maximum segment size in bytes, as on Ethernet.
///
/// With the long segments of loopback, systems give a connection buffers of several MiB. The suite would then have to
/// send many more bytes to detect that a peer does not read.
const SEGMENT: u32 = 1460;

/// Keeps segments short. A listener passes the option on to the connections that it accepts.
pub(crate) fn with_short_segments<S: std::os::fd::AsFd>(socket: &S) {
    // If that fails, some cases take longer.
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
            // The TLS library calls this although `is_write_vectored` is false.
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
    async fn with_drip_each_write_sends_one_byte() {
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
