//! Connections of the suite, plain or TLS. They send and receive bytes and note the times; they do not parse messages.

mod authority;
mod drip;
mod inbox;
mod listener;
mod silent;
mod tls;
mod unacked;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use drip::Tcp;
pub(crate) use drip::with_short_segments;
pub use inbox::End;
pub(crate) use inbox::{Inbox, State};
pub(crate) use listener::Listener;
use netroxy_specification::noise::Noise;
use netroxy_specification::notation::ast::Transport;
pub(crate) use silent::SilentTarget;
pub use tls::Tls;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::descriptors::Noted as _;
use crate::times::CLOSE_ARRIVAL;

/// One connection. A task reads it unless it is paused, so that a reset cannot destroy bytes that arrived earlier.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The bytes that have arrived.
    pub(crate) inbox: Arc<Inbox>,
    orders: mpsc::UnboundedSender<Order>,
    tasks: Tasks,
    paused: watch::Sender<bool>,
    progress: Arc<Progress>,
    socket: socket2::Socket,
    /// The agreed version of TLS; `None` without TLS.
    version: Option<rustls::ProtocolVersion>,
    /// When the last order was given; `None` before the first.
    pub(crate) last_sent: Option<Instant>,
    /// Extra time for the next order, because noise is sent before it.
    noise_time: Duration,
}

/// Sends bytes on a connection that belong to no step of the case.
#[derive(Debug)]
pub(crate) struct Aside {
    orders: mpsc::UnboundedSender<Order>,
    progress: Arc<Progress>,
}

impl Aside {
    /// Sends a segment; false if the connection has ended.
    pub(crate) fn send(&self, bytes: Vec<u8>) -> bool {
        let (done, _) = oneshot::channel();
        let wanted = &self.progress.wanted;
        wanted.fetch_add(bytes.len(), Ordering::Relaxed);
        self.orders.send(Order::Send(vec![bytes], done)).is_ok()
    }
}

/// A write that was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The peer has closed or reset the connection.
    #[error("the connection is broken: {0}")]
    Broken(io::Error),
    /// The peer did not read the bytes in time.
    #[error("the peer did not take the bytes in time")]
    Stuck,
}

impl Connection {
    /// Connects, and makes the TLS handshake if `transport` is TLS. With `drip`, every byte leaves in its own segment.
    ///
    /// # Errors
    /// If the connection or the handshake fails, or both together take longer than `limit`.
    pub(crate) async fn open(
        to: SocketAddr,
        transport: Transport,
        tls: &Tls,
        limit: Duration,
        drip: bool,
    ) -> io::Result<Self> {
        let work = async {
            let stream = Tcp::new(drip::connect(to).await.noted()?, drip);
            let socket = stream.socket().noted()?;
            match transport {
                Transport::Plain => Ok(Self::drive(stream, socket, None)),
                Transport::Tls => {
                    let stream = Box::pin(tls.connect(stream)).await?;
                    let version = stream.get_ref().1.protocol_version();
                    Ok(Self::drive(stream, socket, version))
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
    /// If the TLS handshake fails or takes longer than `limit`.
    pub(crate) async fn accept(
        stream: TcpStream,
        transport: Transport,
        tls: &Tls,
        limit: Duration,
        drip: bool,
    ) -> io::Result<Self> {
        let stream = Tcp::new(stream, drip);
        let socket = stream.socket().noted()?;
        match transport {
            Transport::Plain => Ok(Self::drive(stream, socket, None)),
            Transport::Tls => {
                let handshake = timeout(limit, Box::pin(tls.accept(stream))).await;
                let stream = handshake.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
                let version = stream.get_ref().1.protocol_version();
                Ok(Self::drive(stream, socket, version))
            }
        }
    }

    /// Makes the TLS handshake of a client on a plain connection on which no byte has arrived yet.
    ///
    /// # Errors
    /// If it fails or takes longer than `limit`.
    pub(crate) async fn handshake(self, tls: &Tls, limit: Duration) -> io::Result<Self> {
        // The tasks hold the other handle of the socket.
        self.tasks.end().await;
        let stream = TcpStream::from_std(self.socket.into())?;
        let stream = Tcp::new(stream, false);
        let socket = stream.socket()?;
        let handshake = timeout(limit, Box::pin(tls.connect(stream))).await;
        let stream = handshake.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        let version = stream.get_ref().1.protocol_version();
        Ok(Self::drive(stream, socket, version))
    }

    /// Whether both sides have agreed on TLS 1.2.
    pub(crate) fn is_tls12(&self) -> bool {
        self.version == Some(rustls::ProtocolVersion::TLSv1_2)
    }

    /// Sends each segment with a write of its own, and waits at most `limit` until the system has taken them.
    pub(crate) async fn send(
        &mut self,
        segments: Vec<Vec<u8>>,
        limit: Duration,
    ) -> Result<(), WriteError> {
        self.will_send(segments.iter().map(Vec::len).sum());
        self.order(|done| Order::Send(segments, done), limit).await
    }

    /// Sends an LF. If that fails, the connection has ended in both directions.
    pub(crate) async fn probe(&mut self, limit: Duration) -> Result<(), WriteError> {
        let before = self.last_sent;
        let outcome = self.send(vec![b"\n".to_vec()], limit).await;
        // The probe is no step of the case.
        self.last_sent = before;
        outcome
    }

    /// A handle that sends bytes independently of the steps.
    pub(crate) fn aside(&self) -> Aside {
        Aside {
            orders: self.orders.clone(),
            progress: Arc::clone(&self.progress),
        }
    }

    /// Sends noise in the background, without waiting until it is sent.
    pub(crate) fn send_in_background(&mut self, bytes: u32, seed: u32) {
        let count = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.noise_time += transfer(count);
        self.will_send(count);
        self.last_sent = Some(Instant::now());
        let _ = self.orders.send(Order::Noise(Noise::new(bytes, seed)));
    }

    /// Ends the suite's direction in an orderly way.
    pub(crate) async fn shutdown(&mut self, limit: Duration) -> Result<(), WriteError> {
        self.order(Order::Shutdown, limit).await
    }

    /// Ends the suite's direction by a FIN alone, after all bytes were sent: on TLS, without close_notify.
    pub(crate) async fn cut(&mut self, limit: Duration) -> Result<(), WriteError> {
        self.order(|done| Order::Send(Vec::new(), done), limit)
            .await?;
        let outcome = self.socket.shutdown(std::net::Shutdown::Write);
        outcome.map_err(WriteError::Broken)
    }

    /// Stops reading until [`resume`](Self::resume) is called.
    ///
    /// The system still receives bytes into its buffer, so this makes the buffer small. The peer's buffers can hold
    /// more: 10 MB with the defaults of Linux.
    pub(crate) fn pause(&self) {
        // If that fails, the peer can send more bytes before it has to stop.
        let _ = self.socket.set_recv_buffer_size(PAUSED_BUFFER);
        self.paused.send_replace(true);
    }

    /// Continues to read after [`pause`](Self::pause).
    pub(crate) fn resume(&self) {
        self.paused.send_replace(false);
    }

    /// Whether reading is paused.
    pub(crate) fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// How many bytes the system has taken, and how many bytes were ordered.
    pub(crate) fn progress(&self) -> (usize, usize) {
        let load = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (load(&self.progress.taken), load(&self.progress.wanted))
    }

    /// Closes both directions in an orderly way, and waits at most [`CLOSE_ARRIVAL`] until all sent bytes have arrived.
    pub(crate) async fn close(mut self, limit: Duration) {
        // This fails if the peer has broken the connection. The connection is closed then too.
        let _ = self.shutdown(limit).await;
        self.tasks.end().await;
        // With this option the close waits until the peer has acknowledged everything, or this time has passed.
        let _ = self.socket.set_linger(Some(CLOSE_ARRIVAL));
        let socket = self.socket;
        let _ = tokio::task::spawn_blocking(move || drop(socket)).await;
    }

    /// Waits until the peer's system has acknowledged what was sent, see [`unacked`]. Does not wait if less than 32 KiB
    /// were sent in all, because a system takes them at once.
    pub(crate) async fn settled(&self, limit: Duration) {
        const BULK: usize = 32 * 1024;
        if self.progress.wanted.load(Ordering::Relaxed) < BULK {
            return;
        }
        let ends = (self.socket.local_addr(), self.socket.peer_addr());
        let (Ok(local), Ok(peer)) = ends else { return };
        if let (Some(local), Some(peer)) = (local.as_socket(), peer.as_socket()) {
            unacked::settled(local, peer, limit).await;
        }
    }

    /// Aborts the connection by a reset.
    pub(crate) async fn reset(self) -> io::Result<()> {
        self.socket.set_linger(Some(Duration::ZERO))?;
        self.tasks.end().await;
        Ok(())
    }

    fn will_send(&self, bytes: usize) {
        self.progress.wanted.fetch_add(bytes, Ordering::Relaxed);
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
        let limit = limit + std::mem::take(&mut self.noise_time);
        let outcome = timeout(limit, outcome)
            .await
            .map_err(|_| WriteError::Stuck)?;
        outcome.map_err(|_| broken())?.map_err(WriteError::Broken)
    }

    fn drive<S: AsyncRead + AsyncWrite + Send + 'static>(
        stream: S,
        socket: socket2::Socket,
        version: Option<rustls::ProtocolVersion>,
    ) -> Self {
        let (reader, writer) = split(stream);
        let inbox = Arc::new(Inbox::default());
        let (orders, queue) = mpsc::unbounded_channel();
        let (paused, pauses) = watch::channel(false);
        let progress = Arc::new(Progress::default());
        let tasks = Tasks([
            tokio::spawn(read_all(reader, Arc::clone(&inbox), pauses)),
            tokio::spawn(write_all(writer, queue, Arc::clone(&progress))),
        ]);
        Self {
            inbox,
            orders,
            tasks,
            paused,
            progress,
            socket,
            version,
            last_sent: None,
            noise_time: Duration::ZERO,
        }
    }
}

/// The receive buffer of a paused connection, in bytes.
const PAUSED_BUFFER: usize = 64 << 10;

/// Counts the bytes that a connection sends.
#[derive(Debug, Default)]
struct Progress {
    /// The bytes that the system has taken.
    taken: AtomicUsize,
    /// The bytes that were ordered.
    wanted: AtomicUsize,
}

/// The tasks that read and write a connection. They end with it.
#[derive(Debug)]
struct Tasks([JoinHandle<()>; 2]);

impl Tasks {
    /// Ends both tasks, and waits until they have dropped their halves of the stream.
    async fn end(mut self) {
        for task in &mut self.0 {
            task.abort();
            // The error only reports the abort.
            let _ = task.await;
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// How long a transfer may take on a slow machine: 1 s for 1 MB.
pub(crate) fn transfer(bytes: usize) -> Duration {
    Duration::from_micros(u64::try_from(bytes).unwrap_or(u64::MAX))
}

type Done = oneshot::Sender<io::Result<()>>;

#[derive(Debug)]
enum Order {
    Send(Vec<Vec<u8>>, Done),
    /// Noise, which is made while it is sent: most of it is never needed if the peer does not read.
    Noise(Noise),
    Shutdown(Done),
}

async fn read_all(
    mut reader: impl AsyncRead + Unpin,
    inbox: Arc<Inbox>,
    mut pauses: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        // An error means that the connection was dropped.
        if pauses.wait_for(|paused| !paused).await.is_err() {
            return;
        }
        let read = tokio::select! {
            biased;
            _ = pauses.changed() => continue,
            read = reader.read(&mut buffer) => read,
        };
        match read {
            Ok(0) => return inbox.end(End::Eof),
            Ok(n) => {
                if !inbox.push(&buffer[..n]) {
                    return;
                }
            }
            // TLS without close_notify: the TCP connection has ended too.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return inbox.end(End::Cut);
            }
            Err(error) => return inbox.end(broken(&error)),
        }
    }
}

/// The end after a read error. After bytes that are no TLS the TCP connection is still open, but the suite can read no
/// more.
fn broken(error: &io::Error) -> End {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    match cause {
        None | Some(rustls::Error::AlertReceived(_)) => End::Broken(error.to_string()),
        Some(_) => End::Garbled(error.to_string()),
    }
}

async fn write_all(
    mut writer: impl AsyncWrite + Unpin,
    mut queue: mpsc::UnboundedReceiver<Order>,
    progress: Arc<Progress>,
) {
    while let Some(order) = queue.recv().await {
        let (outcome, done) = match order {
            Order::Send(segments, done) => {
                let sent = send_segments(&mut writer, segments, &progress).await;
                (sent, done)
            }
            Order::Noise(noise) => {
                // If this fails, the next order fails too, and the receiver misses bytes.
                let _ = send_noise(&mut writer, noise, &progress).await;
                continue;
            }
            Order::Shutdown(done) => (writer.shutdown().await, done),
        };
        let _ = done.send(outcome);
    }
}

async fn send_segments(
    writer: &mut (impl AsyncWrite + Unpin),
    segments: Vec<Vec<u8>>,
    progress: &Progress,
) -> io::Result<()> {
    for segment in segments {
        send_piece(writer, &segment, progress).await?;
        writer.flush().await?;
    }
    Ok(())
}

async fn send_noise(
    writer: &mut (impl AsyncWrite + Unpin),
    mut noise: Noise,
    progress: &Progress,
) -> io::Result<()> {
    while let Some(piece) = noise.next_piece() {
        send_piece(writer, piece, progress).await?;
    }
    writer.flush().await
}

async fn send_piece(
    writer: &mut (impl AsyncWrite + Unpin),
    mut rest: &[u8],
    progress: &Progress,
) -> io::Result<()> {
    while !rest.is_empty() {
        let count = writer.write(rest).await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        progress.taken.fetch_add(count, Ordering::Relaxed);
        rest = rest.get(count..).unwrap_or_default();
    }
    Ok(())
}
