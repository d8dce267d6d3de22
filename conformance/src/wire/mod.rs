//! Connections: bytes in and out, plain or TLS, with times. Nothing here knows what the bytes mean.

mod inbox;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::notation::ast::Transport;
pub(crate) use inbox::{End, Inbox, State};
pub(crate) use tls::Tls;

/// One connection. It is read all the time, so that a reset cannot destroy what came before it.
#[derive(Debug)]
pub(crate) struct Connection {
    /// What has arrived.
    pub(crate) inbox: Arc<Inbox>,
    orders: mpsc::UnboundedSender<Order>,
    tasks: [JoinHandle<()>; 2],
    socket: socket2::Socket,
    /// When the last order was carried out; `None` before the first.
    pub(crate) last_sent: Option<Instant>,
    /// The time that bytes may need which are sent while the case goes on.
    behind: Duration,
}

/// A write that was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The peer has closed or reset the connection.
    #[error("the connection is broken: {0}")]
    Broken(io::Error),
    /// The peer does not read.
    #[error("the peer did not take the bytes in time")]
    Stuck,
}

impl Connection {
    /// Connects, and makes the TLS handshake if asked to.
    ///
    /// # Errors
    /// When either fails or takes longer than `limit`.
    pub(crate) async fn open(
        to: SocketAddr,
        transport: Transport,
        tls: &Tls,
        limit: Duration,
    ) -> io::Result<Self> {
        let work = async {
            let stream = TcpStream::connect(to).await?;
            match transport {
                Transport::Plain => Self::start(stream),
                Transport::Tls => {
                    let socket = duplicate(&stream)?;
                    let stream = tls.connect(stream).await?;
                    Ok(Self::drive(stream, socket))
                }
            }
        };
        timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Takes over a connection that the client has opened.
    ///
    /// # Errors
    /// When the TLS handshake fails or takes longer than `limit`.
    pub(crate) async fn accept(
        stream: TcpStream,
        transport: Transport,
        tls: &Tls,
        limit: Duration,
    ) -> io::Result<Self> {
        match transport {
            Transport::Plain => Self::start(stream),
            Transport::Tls => {
                let socket = duplicate(&stream)?;
                let handshake = timeout(limit, tls.accept(stream)).await;
                let stream = handshake.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
                Ok(Self::drive(stream, socket))
            }
        }
    }

    /// Sends segments, each on its own, and waits until the system has taken them.
    pub(crate) async fn send(
        &mut self,
        segments: Vec<Vec<u8>>,
        limit: Duration,
    ) -> Result<(), WriteError> {
        self.order(|done| Order::Send(segments, done), limit).await
    }

    /// Sends a byte that means nothing; its failure tells that the connection has ended in both directions.
    pub(crate) async fn probe(&mut self, limit: Duration) -> Result<(), WriteError> {
        let before = self.last_sent;
        let outcome = self.send(vec![b"\n".to_vec()], limit).await;
        // It is no act of the case.
        self.last_sent = before;
        outcome
    }

    /// Sends bytes while the case goes on.
    pub(crate) fn send_behind(&mut self, bytes: Vec<u8>) {
        let (done, _) = oneshot::channel();
        self.behind += transfer(bytes.len());
        self.last_sent = Some(Instant::now());
        let _ = self.orders.send(Order::Send(vec![bytes], done));
    }

    /// Ends our direction.
    pub(crate) async fn shutdown(&mut self, limit: Duration) -> Result<(), WriteError> {
        self.order(Order::Shutdown, limit).await
    }

    /// Closes both directions in an orderly way.
    pub(crate) async fn close(mut self, limit: Duration) {
        // A connection that the peer has broken already is closed as well as it can be.
        let _ = self.shutdown(limit).await;
    }

    /// Aborts the connection: the peer sees a reset.
    pub(crate) fn reset(self) -> io::Result<()> {
        self.socket.set_linger(Some(Duration::ZERO))
    }

    async fn order(
        &mut self,
        make: impl FnOnce(Done) -> Order,
        limit: Duration,
    ) -> Result<(), WriteError> {
        let (done, outcome) = oneshot::channel();
        let broken = || WriteError::Broken(io::ErrorKind::BrokenPipe.into());
        self.last_sent = Some(Instant::now());
        self.orders.send(make(done)).map_err(|_| broken())?;
        let limit = limit + std::mem::take(&mut self.behind);
        let outcome = timeout(limit, outcome)
            .await
            .map_err(|_| WriteError::Stuck)?;
        outcome.map_err(|_| broken())?.map_err(WriteError::Broken)
    }

    fn start(stream: TcpStream) -> io::Result<Self> {
        let socket = duplicate(&stream)?;
        Ok(Self::drive(stream, socket))
    }

    fn drive<S: AsyncRead + AsyncWrite + Send + 'static>(
        stream: S,
        socket: socket2::Socket,
    ) -> Self {
        // A segment of a case has to leave as a segment.
        let _ = socket.set_tcp_nodelay(true);
        let (reader, writer) = split(stream);
        let inbox = Arc::new(Inbox::default());
        let (orders, queue) = mpsc::unbounded_channel();
        let tasks = [
            tokio::spawn(read_all(reader, Arc::clone(&inbox))),
            tokio::spawn(write_all(writer, queue)),
        ];
        Self {
            inbox,
            orders,
            tasks,
            socket,
            last_sent: None,
            behind: Duration::ZERO,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// How long so many bytes may take on a slow machine: 1 MB in a second.
pub(crate) fn transfer(bytes: usize) -> Duration {
    Duration::from_micros(u64::try_from(bytes).unwrap_or(u64::MAX))
}

type Done = oneshot::Sender<io::Result<()>>;

#[derive(Debug)]
enum Order {
    Send(Vec<Vec<u8>>, Done),
    Shutdown(Done),
}

/// For the options of the socket, which is owned by two tasks.
fn duplicate(stream: &TcpStream) -> io::Result<socket2::Socket> {
    socket2::SockRef::from(stream).try_clone()
}

async fn read_all(mut reader: impl AsyncRead + Unpin, inbox: Arc<Inbox>) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) => return inbox.end(End::Eof),
            Ok(n) => {
                if !inbox.push(&buffer[..n]) {
                    return;
                }
            }
            // TLS without close_notify: the TCP connection has ended all the same.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return inbox.end(End::Eof);
            }
            Err(error) => return inbox.end(broken(&error)),
        }
    }
}

/// Bytes that are no TLS are not the end of a connection, even if TLS can read no further.
fn broken(error: &io::Error) -> End {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    match cause {
        None | Some(rustls::Error::AlertReceived(_)) => End::Broken(error.to_string()),
        Some(_) => End::Garbled(error.to_string()),
    }
}

async fn write_all(mut writer: impl AsyncWrite + Unpin, mut queue: mpsc::UnboundedReceiver<Order>) {
    while let Some(order) = queue.recv().await {
        let (outcome, done) = match order {
            Order::Send(segments, done) => (send_segments(&mut writer, segments).await, done),
            Order::Shutdown(done) => (writer.shutdown().await, done),
        };
        let _ = done.send(outcome);
    }
}

async fn send_segments(
    writer: &mut (impl AsyncWrite + Unpin),
    segments: Vec<Vec<u8>>,
) -> io::Result<()> {
    for segment in segments {
        writer.write_all(&segment).await?;
        writer.flush().await?;
    }
    Ok(())
}
