//! Data connections that are opened before their users connect.
//!
//! For each user the client has to dial the server, TLS handshake included, before it can send TRS. Protocol v0.3
//! lets a client open the connection earlier: to the server it is like any other new connection until TRS arrives. So
//! a client keeps some connections on which nothing was sent, and a tunnel takes one of them. On a WAN the user is
//! served one round trip earlier, over TLS two or three.
//!
//! *Number.* As many as users have connected within one second lately, see [`Demand`]; none while no users connect.
//! The setting `spareConnections` and the limit of descriptors bound it.
//!
//! *Age.* A server closes a connection on which it receives nothing, after 8 seconds at the earliest
//! (`auth.deadline-floor`). So a spare is replaced after [`FRESH`], and is not used after [`LIFE`]. Both count
//! from the beginning of its dial. The oldest spare is taken first.
//!
//! *Broken spares.* The [keeper](keep) reads all spares. It closes a spare on which anything arrives, an end included.
//! Before a tunnel uses a spare, it asks the system once more. If TRS cannot be written, the tunnel takes the next
//! spare, and at last dials, so no tunnel fails because of a bad spare. One case remains: the server closes while TRS
//! is under way. Then the user waits until the server's time limit for users, because a second TRS could take the user
//! of another tunnel (`tunnel.one-trs`). The short life of a spare makes this rare.
//!
//! *Pauses.* After a dial that failed, or a spare that the server closed, no spare is opened for a second, then
//! two, and so on up to a minute. A spare that was used makes the next pause a second again. If no descriptor is left,
//! spares are closed first. Another task replaces a spare after TRS was sent on it, so its user does not wait. While
//! more than half of the spares are left, those that were taken are replaced together, every [`REST`].
//!
//! Spares belong to one login and one configuration, and are closed when either ends.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::{fmt, io};

use netroxy_net::descriptors;
use netroxy_net::stream::Stream;
use netroxy_proto::{RemotePort, Token};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::dial::Server;
use crate::refusal::send_trs;
use crate::seldom::Seldom;

mod demand;
use demand::Demand;

/// The age at which a spare is replaced.
const FRESH: Duration = Duration::from_secs(4);
/// The age at which a spare is closed.
const LIFE: Duration = Duration::from_secs(5);
/// How long the keeper rests while enough spares are left. To wake it for one spare costs the user who took it more
/// time than it saves the next user.
const REST: Duration = Duration::from_millis(10);
/// How long no spare is opened after the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How long no spare is opened after many failures in a row.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The spares of a login. They are closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Spares {
    pool: Arc<Pool>,
    stop: DropGuard,
}

impl Spares {
    /// Keeps at most `most` spares, from the first user on.
    pub(crate) fn new(server: Arc<Server>, most: usize) -> Self {
        let pool = Arc::new(Pool {
            server,
            state: Mutex::new(State {
                idle: VecDeque::new(),
                demand: Demand::new(most, Instant::now()),
                pause: Pause::default(),
                rest: None,
                dialling: 0,
                has_ended: false,
            }),
            changed: Notify::new(),
            closing: TaskTracker::new(),
            failures: Seldom::default(),
        });
        let stop = CancellationToken::new();
        tokio::spawn(keep(pool.clone(), stop.clone()));
        Self {
            pool,
            stop: stop.drop_guard(),
        }
    }

    /// What a tunnel takes spares from.
    pub(crate) fn pool(&self) -> Arc<Pool> {
        self.pool.clone()
    }

    /// How many are open now.
    pub(crate) fn count(&self) -> usize {
        self.pool.state().idle.len()
    }

    /// Closes all spares in order, and waits until they are closed.
    pub(crate) async fn end(self) {
        drop(self.stop);
        self.pool.end();
        self.pool.closing.close();
        self.pool.closing.wait().await;
    }
}

/// What the tunnels and the keeper share.
pub(crate) struct Pool {
    server: Arc<Server>,
    state: Mutex<State>,
    /// A spare was taken, or a user connected and there was none.
    changed: Notify,
    closing: TaskTracker,
    failures: Seldom,
}

struct State {
    /// The oldest one first.
    idle: VecDeque<Spare>,
    demand: Demand,
    pause: Pause,
    /// Until when the keeper rests, if it does.
    rest: Option<Instant>,
    /// How many are being opened.
    dialling: usize,
    /// No spare is kept any more.
    has_ended: bool,
}

/// An open connection on which nothing was sent.
struct Spare {
    stream: Stream,
    /// The beginning of the dial: the server cannot have accepted the connection earlier.
    since: Instant,
}

/// What the keeper is to do next.
struct Turn {
    /// How many spares to open.
    dial: usize,
    /// When to look again.
    again: Option<Instant>,
}

impl Pool {
    /// A data connection on which TRS was sent: a spare if there is one, else a new one.
    pub(crate) async fn open(&self, port: RemotePort, token: &Token) -> io::Result<Stream> {
        let wanted = {
            let (mut state, now) = (self.state(), Instant::now());
            state.demand.user(now);
            state.demand.wanted(now)
        };
        let opened = self.open_any(port, token).await;
        // Not earlier: the keeper must not delay the tunnel that has taken the spare.
        let state = self.state();
        if state.rest.is_none() || !are_enough(state.idle.len(), wanted) {
            self.changed.notify_one();
        }
        drop(state);
        opened
    }

    async fn open_any(&self, port: RemotePort, token: &Token) -> io::Result<Stream> {
        while let Some(mut data) = self.take().await {
            if send_trs(&mut data, port, token).await.is_ok() {
                self.state().pause.over();
                return Ok(data);
            }
            self.failed("the server has closed it");
        }
        let mut data = self.make_room(|| self.server.dial()).await?;
        send_trs(&mut data, port, token).await?;
        Ok(data)
    }

    /// Calls `dial`. If no descriptor is left, closes all spares and calls it once more.
    pub(crate) async fn make_room<F>(&self, dial: impl Fn() -> F) -> io::Result<Stream>
    where
        F: Future<Output = io::Result<Stream>>,
    {
        match dial().await {
            Err(error) if descriptors::are_exhausted(&error) && self.give_up() => dial().await,
            dialled => dialled,
        }
    }

    /// Closes all spares at once, because no descriptor is left. Returns whether there were any.
    fn give_up(&self) -> bool {
        let mut state = self.state();
        state.pause.begin(Instant::now());
        let spares = std::mem::take(&mut state.idle);
        drop(state);
        let had_any = !spares.is_empty();
        for mut spare in spares {
            // On TLS this writes close_notify; a socket on which nothing was written accepts it at once.
            let _ =
                Pin::new(&mut spare.stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
        had_any
    }

    /// The oldest spare that the server has probably not closed.
    async fn take(&self) -> Option<Stream> {
        let now = Instant::now();
        loop {
            let mut spare = self.state().idle.pop_front()?;
            if now.saturating_duration_since(spare.since) >= LIFE {
                self.close(spare.stream);
            } else if spare.is_quiet().await {
                return Some(spare.stream);
            } else {
                self.discard(spare);
            }
        }
    }

    fn discard(&self, spare: Spare) {
        self.close(spare.stream);
        self.failed("the server has closed it");
    }

    /// Closes spares that are too old, and returns how many are missing.
    fn turn(&self, now: Instant) -> Turn {
        let mut state = self.state();
        let is_old = |spare: &Spare| now.saturating_duration_since(spare.since) >= LIFE;
        while let Some(old) = state.idle.pop_front_if(|spare| is_old(spare)) {
            // The server kept it open for its whole life.
            state.pause.over();
            self.close(old.stream);
        }
        let wanted = state.demand.wanted(now);
        let is_fresh = |spare: &&Spare| now.saturating_duration_since(spare.since) < FRESH;
        let fresh = state.idle.iter().filter(is_fresh).count();
        let missing = wanted.saturating_sub(fresh + state.dialling);
        let pause = state.pause.until.filter(|until| *until > now);
        let can_rest = missing > 0 && are_enough(fresh, wanted);
        let rest = can_rest.then(|| state.rest.unwrap_or(now + REST));
        state.rest = rest.filter(|until| *until > now);
        let dial = if pause.is_some() || state.rest.is_some() {
            0
        } else {
            missing
        };
        state.dialling += dial;
        let oldest = state.idle.front().map(|spare| spare.since + LIFE);
        let oldest_fresh = state.idle.iter().find(is_fresh);
        let replace = oldest_fresh
            .filter(|_| wanted > 0)
            .map(|spare| spare.since + FRESH);
        let resume = pause.filter(|_| missing > 0);
        Turn {
            dial,
            again: [oldest, replace, resume, state.rest, state.demand.changes()]
                .into_iter()
                .flatten()
                .min(),
        }
    }

    /// A dial for a spare has ended.
    fn dialled(&self, since: Instant, dialled: io::Result<Stream>, now: Instant) {
        let mut state = self.state();
        state.dialling = state.dialling.saturating_sub(1);
        match dialled {
            Ok(stream) if state.has_ended => self.close(stream),
            Ok(stream) if now.saturating_duration_since(since) < FRESH => {
                let spare = Spare { stream, since };
                let at = state.idle.partition_point(|other| other.since <= since);
                state.idle.insert(at, spare);
            }
            Ok(stream) => {
                drop(state);
                self.close(stream);
                self.failed(format_args!(
                    "connecting to the server takes more than {} s",
                    FRESH.as_secs()
                ));
            }
            Err(error) => {
                drop(state);
                self.failed(error);
            }
        }
    }

    /// Ready when a spare has broken and was closed.
    fn poll_broken(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        let is_broken = |spare: &mut Spare| !spare.poll_quiet(cx);
        let Some(at) = state.idle.iter_mut().position(is_broken) else {
            return Poll::Pending;
        };
        let broken = state.idle.remove(at);
        drop(state);
        broken.into_iter().for_each(|spare| self.discard(spare));
        Poll::Ready(())
    }

    fn failed(&self, why: impl fmt::Display) {
        let now = Instant::now();
        self.state().pause.begin(now);
        if let Some(kept_back) = self.failures.show(now.into_std()) {
            info!(
                server = %self.server,
                kept_back,
                "no spare connection: {why}; data connections are opened when users connect"
            );
        }
    }

    fn close(&self, stream: Stream) {
        self.closing.spawn(stream.close());
    }

    fn end(&self) {
        let mut state = self.state();
        state.has_ended = true;
        for spare in std::mem::take(&mut state.idle) {
            self.close(spare.stream);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Spare {
    /// Whether nothing has arrived, as far as TLS has read. If so, the waker is called when something arrives.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0];
        let mut byte = ReadBuf::new(&mut byte);
        Pin::new(&mut self.stream)
            .poll_read(cx, &mut byte)
            .is_pending()
    }

    /// Whether nothing has arrived, asked of the system now.
    async fn is_quiet(&mut self) -> bool {
        // TLS 1.3 sends tickets after its handshake, in a few pieces. They are no message of the server.
        const PIECES: usize = 8;
        for _ in 0..PIECES {
            if self.nothing_arrived() {
                return true;
            }
            // The socket is readable, so this ends at once.
            if matches!(self.stream, Stream::Plain(_))
                || self.stream.tcp().readable().await.is_err()
                || !self.poll_quiet(&mut Context::from_waker(Waker::noop()))
            {
                return false;
            }
        }
        false
    }

    fn nothing_arrived(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let peeked = SockRef::from(self.stream.tcp()).peek(&mut byte);
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Opens, replaces and closes spares until `stop` is cancelled.
async fn keep(pool: Arc<Pool>, stop: CancellationToken) {
    let mut dials = JoinSet::new();
    let keeping = async {
        loop {
            let Turn { dial, again } = pool.turn(Instant::now());
            for _ in 0..dial {
                let server = pool.server.clone();
                dials.spawn(async move { (Instant::now(), server.dial().await) });
            }
            tokio::select! {
                () = pool.changed.notified() => {}
                () = poll_fn(|cx| pool.poll_broken(cx)) => {}
                Some(Ok((since, dialled))) = dials.join_next() => {
                    pool.dialled(since, dialled, Instant::now());
                }
                () = due(again) => {}
            }
        }
    };
    stop.run_until_cancelled(keeping).await;
    pool.end();
}

/// Whether enough spares are left for the next users although some are missing.
fn are_enough(left: usize, wanted: usize) -> bool {
    left * 2 > wanted
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The time after a failure in which no spare is opened.
#[derive(Default)]
struct Pause {
    until: Option<Instant>,
    /// The length of the last pause.
    last: Duration,
}

impl Pause {
    /// A dial or a spare has failed. A failure during a pause does not prolong it.
    fn begin(&mut self, now: Instant) {
        if self.until.is_none_or(|until| until <= now) {
            self.last = (self.last * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            self.until = Some(now + self.last);
        }
    }

    /// A spare was good: the next pause is short again.
    fn over(&mut self) {
        self.last = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests;
