//! TLS handshakes. A handshake takes work and memory, so the number of handshakes at a time is bounded.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use netroxy_net::stream::Stream;
use netroxy_net::tls_server::{explained, refused_certificate};
use netroxy_net::tls_stream::{self, TlsStream};
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long a handshake may hold its permit. The server's work takes much less; the rest is time of the peer.
const PERMIT_TIME: Duration = Duration::from_secs(1);

/// Makes a handshake with a permit of `permits`. A peer gets a permit after its first byte has arrived. A slow
/// handshake loses its permit after [`PERMIT_TIME`] and goes on without it, so slow peers do not delay others.
/// There is no timeout here: the caller sets one.
///
/// # Errors
///
/// If the stream breaks, or if the peer does not make a handshake that the configuration accepts.
pub(crate) async fn shake_hands(
    permits: &Semaphore,
    config: Arc<ServerConfig>,
    tcp: TcpStream,
) -> io::Result<TlsStream> {
    // `readable` may return before a byte has arrived.
    tcp.peek(&mut [0]).await?;
    let permit = permits.acquire().await.map_err(io::Error::other)?;
    let mut shaking = pin!(tls_stream::accept(config, tcp));
    let shaken = timeout(PERMIT_TIME, &mut shaking).await;
    drop(permit);
    let shaken = match shaken {
        Ok(done) => done,
        Err(_) => shaking.await,
    };
    match shaken {
        Ok(stream) => Ok(stream),
        Err((error, tcp)) => {
            // A client with TLS 1.3 may have sent data already. Unread bytes would turn the close into a reset,
            // and the client would lose the alert with the reason.
            if refused_certificate(&error).is_some() {
                Stream::Plain(tcp).close().await;
            }
            Err(explained(error))
        }
    }
}
