//! The targets of the tunnels: one sends and checks bytes, one refuses connections, and two do not answer.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use crate::talk::{End, GREETING, Manner, Order, Plan, When, opening, streams};

/// How long the silent target keeps a connection.
const SILENCE: Duration = Duration::from_secs(5);

/// The ends that services saw, by the number of the tunnel.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    by_id: HashMap<u64, End>,
    nameless: Vec<End>,
}

impl Ledger {
    /// Removes the end of a tunnel that the service saw; `None` if the tunnel has not ended.
    pub(crate) fn take(&self, id: u64) -> Option<End> {
        self.seen().by_id.remove(&id)
    }

    /// Removes the ends of connections whose plan did not arrive. Connections without any byte are not stored.
    pub(crate) fn take_nameless(&self) -> Vec<End> {
        std::mem::take(&mut self.seen().nameless)
    }

    /// Removes all ends that were not taken.
    pub(crate) fn take_rest(&self) -> Vec<(u64, End)> {
        self.seen().by_id.drain().collect()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Running services. Dropping this ends them.
#[derive(Debug)]
pub(crate) struct Services {
    /// Sends a greeting, reads a plan and follows it.
    pub(crate) talker: SocketAddr,
    /// Refuses connections.
    pub(crate) refuser: SocketAddr,
    /// Never accepts a connection, because its queue is full. An attempt to connect lasts until the client's time-out.
    pub(crate) full: SocketAddr,
    /// Accepts connections, and sends nothing.
    pub(crate) silent: SocketAddr,
    /// The ends that the talker saw.
    pub(crate) ledger: Arc<Ledger>,
    tasks: Vec<AbortHandle>,
    _held: Vec<Socket>,
}

impl Services {
    /// Starts all of them on free ports of an address of this machine.
    pub(crate) async fn start(ip: IpAddr) -> io::Result<Self> {
        let ledger = Arc::new(Ledger::default());
        let talker = listen(ip)?;
        let silent = listen(ip)?;
        let refuser = bound(ip)?;
        let (full, queued) = full(ip).await?;
        let address = |socket: &Socket| {
            let address = socket.local_addr()?.as_socket();
            address.ok_or_else(|| io::Error::other("a socket without an address"))
        };
        let mut held = vec![refuser, full];
        let (refuser, full) = (address(&held[0])?, address(&held[1])?);
        held.extend(queued);
        let services = Self {
            talker: talker.local_addr()?,
            silent: silent.local_addr()?,
            refuser,
            full,
            tasks: vec![
                tokio::spawn(accept(talker, {
                    let ledger = ledger.clone();
                    move |tcp| talk(tcp, ledger.clone())
                }))
                .abort_handle(),
                tokio::spawn(accept(silent, keep_silent)).abort_handle(),
            ],
            ledger,
            _held: held,
        };
        Ok(services)
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// A socket with a port and no listener.
fn bound(ip: IpAddr) -> io::Result<Socket> {
    let address = SocketAddr::new(ip, 0);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A listener on any free port.
pub(crate) fn listen(ip: IpAddr) -> io::Result<TcpListener> {
    let socket = bound(ip)?;
    socket.set_nonblocking(true)?;
    socket.listen(4096)?;
    TcpListener::from_std(socket.into())
}

/// A listener whose queue is full, and the connections in it.
async fn full(ip: IpAddr) -> io::Result<(Socket, Vec<Socket>)> {
    let listener = bound(ip)?;
    listener.listen(0)?;
    let address = listener
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::other("a socket without an address"))?;
    let mut queued = Vec::new();
    for _ in 0..16 {
        match timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            Ok(tcp) => queued.push(Socket::from(tcp?.into_std()?)),
            Err(_) => return Ok((listener, queued)),
        }
    }
    Err(io::Error::other(
        "the system takes more connections than a queue of length 0 holds: soak cannot make a target that does not answer",
    ))
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut served = JoinSet::new();
    loop {
        // It fails if descriptors are short. The next attempt may work.
        if let Ok((tcp, _)) = listener.accept().await {
            served.spawn(serve(tcp));
        } else {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while served.try_join_next().is_some() {}
    }
}

async fn talk(mut tcp: TcpStream, ledger: Arc<Ledger>) {
    let opened = async {
        // If the user has already closed, the next read ends.
        let _ = tcp.write_all(&GREETING).await;
        // No deadline: a tunnel may be idle before it is used.
        let first = tcp.peek(&mut [0]).await;
        first.map_err(|e| End::Aborted(e.kind()))?;
        opening::<{ Plan::SIZE }>(&mut tcp).await
    };
    let plan = match opened.await {
        Ok(bytes) => Plan::decode(&bytes).ok_or(End::Fault(crate::talk::Fault::Opening)),
        Err(end) => Err(end),
    };
    match plan {
        Ok(plan) => {
            let end = streams(tcp, manner(&plan)).await;
            ledger.seen().by_id.insert(plan.id, end);
        }
        Err(End::Empty) => {}
        Err(end) => ledger.seen().nameless.push(end),
    }
}

fn manner(plan: &Plan) -> Manner {
    Manner {
        outgoing: plan.download(),
        incoming: plan.upload(),
        when: match plan.order {
            Order::Both | Order::ServiceFirst => When::Now,
            Order::UserFirst => When::Last,
            Order::Echo => When::Echo,
        },
        resets: plan.service_resets,
        seed: plan.seed.rotate_left(9),
    }
}

async fn keep_silent(tcp: TcpStream) {
    // Only a reset ends the wait earlier.
    let broken = async {
        while let Ok(ready) = tcp.ready(Interest::ERROR).await {
            if ready.is_error() {
                return;
            }
        }
    };
    let _ = timeout(SILENCE, broken).await;
    // A close with unread input would be a reset, so the input is read.
    let mut tcp = tcp;
    let mut waste = [0; 4096];
    while let Ok(Ok(1..)) = timeout(Duration::from_millis(10), tcp.read(&mut waste)).await {}
}
