//! A port on which connections are taken as they come.

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

/// Where connections go, with the time of each.
pub(super) type Accepted = mpsc::Sender<(TcpStream, Instant)>;

/// A port on which connections are taken and queued in the order of their arrival.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    queue: mpsc::Receiver<(TcpStream, Instant)>,
    /// The first in the queue, when somebody has looked for it.
    front: Option<(TcpStream, Instant)>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Listens on loopback.
    ///
    /// # Errors
    /// When the port is taken.
    pub(crate) async fn bind(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .noted()?;
        with_short_segments(&listener);
        let address = listener.local_addr()?;
        Ok(Self::of(address, |sender| async move {
            loop {
                let Ok((stream, _)) = listener.accept().await.noted() else {
                    // It has been aborted already, or there is no descriptor for it yet: the next one may be taken.
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                if sender.send((stream, Instant::now())).await.is_err() {
                    return;
                }
            }
        }))
    }

    /// Whose connections are handed over by a task.
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

    /// The next connection and when it was made, if one comes in time.
    pub(crate) async fn next(&mut self, limit: Duration) -> Option<(TcpStream, Instant)> {
        match self.front.take() {
            Some(front) => Some(front),
            None => timeout(limit, self.queue.recv()).await.ok().flatten(),
        }
    }

    /// Does not listen for a while; connections that wait to be taken are dropped.
    ///
    /// # Errors
    /// When somebody else has taken the port meanwhile.
    pub(crate) async fn down(&mut self, pause: Duration) -> io::Result<()> {
        self.task.abort();
        // That it was cancelled is what was wanted.
        let _ = (&mut self.task).await;
        sleep(pause).await;
        *self = Self::bind(self.address.port()).await?;
        Ok(())
    }

    /// Whether a connection has come or comes in time; it stays in the queue.
    pub(crate) async fn visited(&mut self, limit: Duration) -> bool {
        self.front = self.next(limit).await;
        self.front.is_some()
    }
}

/// Whoever connects more often without being answered waits.
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
    async fn a_listener_that_is_down_refuses_until_it_is_back() {
        let mut listener = Listener::bind(0).await.unwrap();
        let address = listener.address;
        assert!(TcpStream::connect(address).await.is_ok());
        let refused = tokio::spawn(async move {
            // It has been told to go before; until it has gone, it accepts.
            while TcpStream::connect(address).await.is_ok() {}
        });
        listener.down(Duration::from_millis(200)).await.unwrap();
        assert!(refused.is_finished());
        assert!(TcpStream::connect(address).await.is_ok());
        assert!(listener.visited(Duration::from_secs(5)).await);
    }
}
