//! Peers inside the program that judges.
//!
//! The judge depends on no crate of a peer: a program implements [`Peer`] and [`Peers`]. Each peer runs in a thread and
//! a runtime of its own, so that all its tasks end with it, as with a process.

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use netroxy_specification::notation::ast::Side;
use tempfile::TempDir;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::dispatcher;

use crate::descriptors::Noted as _;
use crate::times::EMBEDDED_END;

/// A peer that reads the same configuration files as the program of a peer.
pub trait Peer: fmt::Debug + Send + Sync {
    /// The peer's name and version, as reports show them.
    fn version(&self) -> String;

    /// Whether the peer answers as late as the rules allow.
    fn is_slow(&self) -> bool {
        false
    }

    /// The id of the recommendation, a SHOULD, that the peer does not follow on purpose.
    fn leaves_out(&self) -> Option<&'static str> {
        None
    }

    /// Runs the peer from the configuration files in `folder` until the future is dropped. It sends once to `started`:
    /// that it runs, or what is wrong with its configuration.
    fn run<'a>(&'a self, folder: &'a Path, started: Started) -> Running<'a>;
}

/// A running peer. Dropping the future ends it.
pub type Running<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// The channel to which a peer sends once whether it has started.
pub type Started = oneshot::Sender<Result<(), NotStarted>>;

/// Why an embedded peer did not start.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotStarted(pub String);

/// The peers that a program carries.
pub trait Peers {
    /// The reference peer of a side. All other peers are compared with it.
    fn reference(&self, side: Side) -> Arc<dyn Peer>;
}

/// The peers of a program that carries none: each start fails.
#[derive(Debug, Clone, Copy)]
pub struct NoPeers;

impl Peers for NoPeers {
    fn reference(&self, _: Side) -> Arc<dyn Peer> {
        Arc::new(*self)
    }
}

impl Peer for NoPeers {
    fn version(&self) -> String {
        "none, embedded".to_owned()
    }

    fn run<'a>(&'a self, _: &'a Path, started: Started) -> Running<'a> {
        Box::pin(async move {
            let _ = started.send(Err(NotStarted("this program carries no peers".to_owned())));
        })
    }
}

/// A peer that runs in a thread. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Embedded {
    stop: CancellationToken,
    thread: JoinHandle<()>,
    /// Receives no value: the channel closes when the peer has ended.
    gone: oneshot::Receiver<()>,
    _directory: TempDir,
}

impl Embedded {
    /// Starts a peer from the configuration files in `directory`.
    ///
    /// # Errors
    /// If the thread cannot be started, or the peer reports an error in its configuration.
    pub(crate) async fn start(peer: Arc<dyn Peer>, directory: TempDir) -> Result<Self, NotStarted> {
        let stop = CancellationToken::new();
        let (started, outcome) = oneshot::channel();
        let (alive, gone) = oneshot::channel();
        let (folder, stopped) = (directory.path().to_owned(), stop.clone());
        // The thread logs to the log of the caller.
        let log = dispatcher::get_default(Clone::clone);
        let body = move || {
            let _alive: oneshot::Sender<()> = alive;
            dispatcher::with_default(&log, || run(&*peer, &folder, &stopped, started));
        };
        let thread = thread::Builder::new()
            .name("embedded-peer".to_owned())
            .spawn(body)
            .noted()
            .map_err(|error| NotStarted(format!("cannot start a thread: {error}")))?;
        let outcome = outcome.await;
        outcome.unwrap_or_else(|_| Err(NotStarted("its thread has ended".to_owned())))?;
        Ok(Self {
            stop,
            thread,
            gone,
            _directory: directory,
        })
    }

    /// Why the peer has ended; `None` while it runs.
    pub(crate) fn ended(&self) -> Option<String> {
        self.thread
            .is_finished()
            .then(|| "its thread has ended".to_owned())
    }

    /// Ends the peer without a warning, and waits at most [`EMBEDDED_END`] until it has ended.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let _ = timeout(EMBEDDED_END, &mut self.gone).await;
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn run(peer: &dyn Peer, folder: &Path, stop: &CancellationToken, started: Started) {
    let runtime = match runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .noted()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(NotStarted(format!("cannot start a runtime: {error}"))));
            return;
        }
    };
    runtime.block_on(stop.run_until_cancelled(peer.run(folder, started)));
}
