//! A port on which the suite accepts each connection at once.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::with_short_segments;
use crate::descriptors::Noted as _;
use crate::times::ACCEPT_PAUSE;

/// The channel for accepted connections, with the time of each.
pub(super) type Accepted = mpsc::Sender<(TcpStream, Instant)>;

/// A port on which connections are accepted and queued in the order of their arrival.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    queue: mpsc::Receiver<(TcpStream, Instant)>,
    /// The first connection of the queue, after [`visited`](Self::visited) has looked for it.
    front: Option<(TcpStream, Instant)>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Listens on loopback.
    ///
    /// # Errors
    /// If the port is taken.
    pub(crate) async fn bind(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .noted()?;
        with_short_segments(&listener);
        let address = listener.local_addr()?;
        Ok(Self::of(address, |sender| async move {
            loop {
                let Ok((stream, _)) = listener.accept().await.noted() else {
                    // The peer has already aborted this connection, or no descriptor is free. The next try may succeed.
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                if sender.send((stream, Instant::now())).await.is_err() {
                    return;
                }
            }
        }))
    }

    /// A listener whose connections come from the task `accept`.
    pub(super) fn of<F>(address: SocketAddr, accept: impl FnOnce(Accepted) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, queue) = mpsc::channel(QUEUED);
        Self {
            address,
            queue,
            front: None,
            task: tokio::spawn(accept(sender)),
        }
    }

    /// The next connection and the time at which it was accepted; `None` if none comes within `limit`.
    pub(crate) async fn next(&mut self, limit: Duration) -> Option<(TcpStream, Instant)> {
        match self.front.take() {
            Some(front) => Some(front),
            None => timeout(limit, self.queue.recv()).await.ok().flatten(),
        }
    }

    /// Stops listening for `pause`, then listens again. Queued connections are dropped.
    ///
    /// # Errors
    /// If another program has bound the port during the pause.
    pub(crate) async fn down(&mut self, pause: Duration) -> io::Result<()> {
        self.task.abort();
        // The error only reports the abort.
        let _ = (&mut self.task).await;
        sleep(pause).await;
        *self = Self::bind(self.address.port()).await?;
        Ok(())
    }

    /// Whether a connection is queued, or comes within `limit`. It stays in the queue.
    pub(crate) async fn visited(&mut self, limit: Duration) -> bool {
        self.front = self.next(limit).await;
        self.front.is_some()
    }
}

/// How many accepted connections the queue holds. The listener accepts no more while the queue is full.
const QUEUED: usize = 256;

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_listener_that_is_down_refuses_connections() {
        let mut listener = Listener::bind(0).await.unwrap();
        let address = listener.address;
        assert!(TcpStream::connect(address).await.is_ok());
        let refused = tokio::spawn(async move {
            // The listener accepts until its task has ended.
            while TcpStream::connect(address).await.is_ok() {}
        });
        listener.down(Duration::from_millis(200)).await.unwrap();
        assert!(refused.is_finished());
        assert!(TcpStream::connect(address).await.is_ok());
        assert!(listener.visited(Duration::from_secs(5)).await);
    }
}
