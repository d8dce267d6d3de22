//! A TCP relay between client and server that injects faults.
//!
//! It delays what it carries, stalls some of it (which is what a lost segment looks like above TCP), cuts connections
//! by a reset, and holds a connection at a chosen message. It can also break what it carries on purpose, to show that
//! the checks find it.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{pump::pump, services::listen, talk::reset};

/// The most that is read at a time.
pub(crate) const CHUNK: usize = 16 * 1024;

/// What the relay does to what it carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Delay of each chunk, each way.
    pub(crate) delay: Duration,
    /// The most that is added to it by chance.
    pub(crate) jitter: Duration,
    /// So many chunks in 1,000 are stalled.
    pub(crate) stalls: u16,
    /// For at least this time, and up to three times as long.
    pub(crate) stall: Duration,
    /// Connect to the server when the first bytes are due there, as on a long way; else at once.
    pub(crate) dials_late: bool,
}

impl Weather {
    /// No faults.
    pub(crate) const CALM: Self = Self {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        stalls: 0,
        stall: Duration::ZERO,
        dials_late: false,
    };
    /// A long way that loses 1 % of the chunks.
    pub(crate) const ROUGH: Self = Self {
        delay: Duration::from_millis(25),
        jitter: Duration::from_millis(10),
        stalls: 10,
        stall: Duration::from_millis(200),
        dials_late: true,
    };
}

/// How the relay breaks what the server sends to the client on data connections, for tests of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Break {
    /// One byte is changed.
    Byte,
    /// The stream ends early and in order.
    End,
    /// Some users never leave.
    Leak,
}

/// Which connections are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The control connection.
    Control,
    /// All of them.
    All,
}

/// What a connection is, by its first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// ATH.
    Control,
    /// TRS.
    Data,
    /// Anything else, and what has not said anything yet.
    Other,
}

/// A running relay. It ends, with its connections, when this is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    /// Where to connect.
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// What all connections of a relay share.
#[derive(Debug)]
pub(crate) struct Shared {
    to: SocketAddr,
    pub(crate) weather: Weather,
    pub(crate) fault: Option<Break>,
    seed: AtomicU64,
    open: Mutex<HashMap<u64, (Kind, CancellationToken)>>,
    controls: AtomicU64,
    /// Client messages that begin with this word are held.
    pub(crate) gate: watch::Sender<Option<&'static str>>,
    /// How many connections were held.
    pub(crate) held: watch::Sender<u64>,
}

impl Relay {
    /// Starts a relay on any free port of `ip`.
    pub(crate) fn start(
        ip: IpAddr,
        to: SocketAddr,
        weather: Weather,
        fault: Option<Break>,
        seed: u64,
    ) -> io::Result<Self> {
        let listener = listen(ip)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            to,
            weather,
            fault,
            seed: AtomicU64::new(seed),
            open: Mutex::default(),
            controls: AtomicU64::new(0),
            gate: watch::Sender::new(None),
            held: watch::Sender::new(0),
        });
        let task = tokio::spawn(accept(listener, shared.clone())).abort_handle();
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    /// Cuts connections by a reset in both directions; returns how many.
    pub(crate) fn cut(&self, what: Cut) -> usize {
        let open = self.shared.open();
        let wanted = |kind| what == Cut::All || kind == Kind::Control;
        let cut = open.values().filter(|(kind, _)| wanted(*kind));
        cut.map(|(_, token)| token.cancel()).count()
    }

    /// How many control connections there have been.
    pub(crate) fn controls(&self) -> u64 {
        self.shared.controls.load(Ordering::Relaxed)
    }

    /// From now on holds each message of a client that begins with `word`, and all after it.
    pub(crate) fn hold(&self, word: &'static str) {
        self.shared.gate.send_replace(Some(word));
    }

    /// Holds nothing more.
    pub(crate) fn release(&self) {
        self.shared.gate.send_replace(None);
    }

    /// Waits until a message is held.
    pub(crate) async fn holds(&self) {
        let mut held = self.shared.held.subscribe();
        // It fails when there is no sender, and there is one as long as `self`.
        let _ = held.wait_for(|count| *count > 0).await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, (Kind, CancellationToken)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seed that was not used before.
    pub(crate) fn new_seed(&self) -> u64 {
        crate::stream::mix(self.seed.fetch_add(1, Ordering::Relaxed))
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut carried = JoinSet::new();
    let mut id = 0;
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                id += 1;
                carried.spawn(carry(id, tcp, shared.clone()));
            }
            // Descriptors are short: the next round may go better.
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
        while carried.try_join_next().is_some() {}
    }
}

/// Takes a connection off the list when it ends.
struct Listed<'a>(&'a Shared, u64);

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.0.open().remove(&self.1);
    }
}

async fn carry(id: u64, mut client: TcpStream, shared: Arc<Shared>) {
    let token = CancellationToken::new();
    shared.open().insert(id, (Kind::Other, token.clone()));
    let _listed = Listed(&shared, id);
    // Nagle's algorithm would add delays that no one asked for.
    let _ = client.set_nodelay(true);
    let mut server = None;
    let whole = token
        .run_until_cancelled(one(id, &mut client, &mut server, &shared))
        .await;
    if whole != Some(true) {
        reset(&client);
        server.iter().for_each(reset);
    }
}

/// Carries one connection; whether it ended in order.
async fn one(
    id: u64,
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    shared: &Shared,
) -> bool {
    if !shared.weather.dials_late {
        match dial(shared.to).await {
            Ok(dialled) => {
                let server = server.insert(dialled);
                return pump(client, server, shared, Vec::new(), Known(id)).await;
            }
            Err(_) => return false,
        }
    }
    let mut first = vec![0; CHUNK];
    let Ok(count @ 1..) = client.read(&mut first).await else {
        return true;
    };
    first.truncate(count);
    Known(id).learn(shared, &first);
    sleep(shared.weather.delay).await;
    match dial(shared.to).await {
        Ok(dialled) => pump(client, server.insert(dialled), shared, first, Known(id)).await,
        Err(_) => false,
    }
}

async fn dial(to: SocketAddr) -> io::Result<TcpStream> {
    const DIAL: Duration = Duration::from_secs(10);
    let tcp = timeout(DIAL, TcpStream::connect(to))
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

/// The number of a connection on the list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known(u64);

impl Known {
    /// Notes the kind of the connection, by the first bytes of the client.
    pub(crate) fn learn(self, shared: &Shared, first: &[u8]) -> Kind {
        // Our clients write a message as one piece, so the word is whole.
        let kind = match first.get(..3) {
            Some(b"ATH") => Kind::Control,
            Some(b"TRS") => Kind::Data,
            _ => Kind::Other,
        };
        if kind == Kind::Control {
            shared.controls.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(entry) = shared.open().get_mut(&self.0) {
            entry.0 = kind;
        }
        kind
    }
}
