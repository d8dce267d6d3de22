//! Whether the peer's system has taken what was written to a connection.
//!
//! A reset destroys what is still under way. A case about bytes that came before a reset proves something only if these
//! bytes have come: on a busy machine a peer may not have read any of them after a fifth of a second.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Waits until the peer's system has acknowledged everything, for so long at most. Only Linux tells; elsewhere, and on
/// IPv6, it does not wait.
pub(super) async fn settled(local: SocketAddr, peer: SocketAddr, limit: Duration) {
    const PAUSE: Duration = Duration::from_millis(10);
    let until = Instant::now() + limit;
    let (SocketAddr::V4(local), SocketAddr::V4(peer)) = (local, peer) else {
        return;
    };
    let shown = |addr: std::net::SocketAddrV4| {
        let bits = u32::from_ne_bytes(addr.ip().octets());
        format!("{bits:08X}:{:04X}", addr.port())
    };
    let connection = format!(" {} {} ", shown(local), shown(peer));
    while Instant::now() < until {
        let Ok(table) = std::fs::read_to_string("/proc/net/tcp") else {
            return;
        };
        match waiting(&table, &connection) {
            Some(bytes) if bytes > 0 => sleep(PAUSE).await,
            _ => return,
        }
    }
}

/// The bytes of a connection that are not acknowledged: the first half of the column `tx_queue:rx_queue`.
fn waiting(table: &str, connection: &str) -> Option<u64> {
    let line = table.lines().find(|line| line.contains(connection))?;
    let (_, rest) = line.split_once(connection)?;
    let queues = rest.split_whitespace().nth(1)?;
    u64::from_str_radix(queues.split(':').next()?, 16).ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn it_waits_for_who_reads_and_no_longer_than_the_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let writer = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (mut reader, _) = listener.accept().await.unwrap();
        let (local, peer) = (writer.local_addr().unwrap(), writer.peer_addr().unwrap());
        settled(local, peer, Duration::from_secs(60)).await;
        // Until the systems take no more, and some of it is not acknowledged.
        while writer.try_write(&[7; 64 * 1024]).is_ok() {
            sleep(Duration::from_millis(1)).await;
        }
        let start = Instant::now();
        settled(local, peer, Duration::from_millis(100)).await;
        assert!(start.elapsed() >= Duration::from_millis(100));
        let reading = tokio::spawn(async move {
            let mut bytes = vec![0; 64 * 1024];
            while reader.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
        });
        settled(local, peer, Duration::from_secs(60)).await;
        assert!(start.elapsed() < Duration::from_secs(60));
        drop(writer);
        reading.await.unwrap();
    }
}
