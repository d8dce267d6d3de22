//! Peers inside the program that judges.
//!
//! The judge does not know them: a program implements [`Peer`] and [`Peers`]. Each peer runs in a thread and a runtime of
//! its own, so that ending it ends all that it has started, as with a process.

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

/// A peer that reads the same configuration files as a program of its own.
pub trait Peer: fmt::Debug + Send + Sync {
    /// Its name and version, as reports show what was judged.
    fn version(&self) -> String;

    /// Whether it answers as late as the rules allow.
    fn is_slow(&self) -> bool {
        false
    }

    /// The id of the recommendation, a SHOULD, that it does not follow on purpose.
    fn leaves_out(&self) -> Option<&'static str> {
        None
    }

    /// Runs it from the configuration files in `folder` until the future is dropped. `started` is told once that it
    /// runs, or what is wrong with its configuration.
    fn run<'a>(&'a self, folder: &'a Path, started: Started) -> Running<'a>;
}

/// A peer that runs.
pub type Running<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Where a peer tells once whether it has started.
pub type Started = oneshot::Sender<Result<(), NotStarted>>;

/// Why an embedded peer did not start.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotStarted(pub String);

/// The peers that a program carries.
pub trait Peers {
    /// The peer that all others are compared with.
    fn reference(&self, side: Side) -> Arc<dyn Peer>;
}

/// For a program that carries no peers: none of its peers starts.
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
    /// It carries no value; it closes when the peer has ended.
    gone: oneshot::Receiver<()>,
    _directory: TempDir,
}

impl Embedded {
    /// Starts a peer from the configuration files in `directory`.
    ///
    /// # Errors
    /// What the peer says is wrong with its configuration.
    pub(crate) async fn start(peer: Arc<dyn Peer>, directory: TempDir) -> Result<Self, NotStarted> {
        let stop = CancellationToken::new();
        let (started, outcome) = oneshot::channel();
        let (alive, gone) = oneshot::channel();
        let (folder, stopped) = (directory.path().to_owned(), stop.clone());
        // Its log goes where that of the caller goes.
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

    /// Why it no longer runs, if it does not.
    pub(crate) fn ended(&self) -> Option<String> {
        self.thread
            .is_finished()
            .then(|| "its thread has ended".to_owned())
    }

    /// Ends it without a warning, and waits until it has ended.
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
    // A peer that is started again binds the port that it has just closed.
    crate::ports::await_forks();
    runtime.block_on(stop.run_until_cancelled(peer.run(folder, started)));
}
