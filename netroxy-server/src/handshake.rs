//! Turns for TLS handshakes: a handshake takes work and memory, so not all are made at once.

use std::{io, pin::pin, sync::Arc, time::Duration};

use netroxy_net::{
    stream::Stream,
    tls_server::{explained, refused_certificate},
    tls_stream::{self, TlsStream},
};
use rustls::ServerConfig;
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};

/// A handshake keeps its turn for so long at most. The work is done in much less, the rest is the
/// peer's time.
const TURN: Duration = Duration::from_secs(1);

/// Shakes hands when it is its turn. A peer does not get a turn before its first byte has come, and
/// one that takes its time goes on beside the others: peers that stand still hold nobody up. There
/// is no time-out, which the caller has.
///
/// # Errors
///
/// When the stream breaks, and when the peer does not speak TLS as it is wanted.
pub(crate) async fn shake_hands(
    turns: &Semaphore,
    config: Arc<ServerConfig>,
    tcp: TcpStream,
) -> io::Result<TlsStream> {
    // `readable` alone may end before anything has come.
    tcp.peek(&mut [0]).await?;
    let turn = turns.acquire().await.map_err(io::Error::other)?;
    let mut shaking = pin!(tls_stream::accept(config, tcp));
    let shaken = timeout(TURN, &mut shaking).await;
    drop(turn);
    let shaken = match shaken {
        Ok(done) => done,
        Err(_) => shaking.await,
    };
    match shaken {
        Ok(stream) => Ok(stream),
        Err((error, tcp)) => {
            // A client with TLS 1.3 has spoken already, and unread bytes would make a reset of the
            // close, which destroys the alert that says why.
            if refused_certificate(&error).is_some() {
                Stream::Plain(tcp).close().await;
            }
            Err(explained(error))
        }
    }
}
