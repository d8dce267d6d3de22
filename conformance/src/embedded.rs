//! Peers inside this program.
//!
//! Each runs in a thread and a runtime of its own, so that ending it ends all that it has started, as with a process.

use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::dispatcher;

use netroxy_broken::Manner;

use crate::descriptors::Noted as _;
use crate::notation::ast::Side;
use crate::reference;

/// Which peer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breed {
    /// The one that everything is measured against.
    Reference,
    /// The one that breaks a rule when it is told to.
    Broken(Manner),
}

impl Breed {
    /// Its name and version, as reports show what was judged.
    pub(crate) fn version(self, side: Side) -> String {
        let (name, version) = match self {
            Self::Reference => reference::version(side),
            Self::Broken(_) => ("netroxy-broken", netroxy_broken::VERSION),
        };
        format!("{name} {version}, embedded")
    }
}

/// Where a peer tells once whether it could start.
pub(crate) type Started = oneshot::Sender<Result<(), String>>;

/// A peer that runs in a thread. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Embedded {
    stop: CancellationToken,
    thread: JoinHandle<()>,
    /// Says nothing; it closes when the peer is gone.
    gone: oneshot::Receiver<()>,
    _directory: TempDir,
}

impl Embedded {
    /// Starts a peer from the configuration file in `directory`.
    ///
    /// # Errors
    /// What the peer has against its configuration.
    pub(crate) async fn start(
        breed: Breed,
        side: Side,
        directory: TempDir,
    ) -> Result<Self, String> {
        let stop = CancellationToken::new();
        let (started, outcome) = oneshot::channel();
        let (alive, gone) = oneshot::channel();
        let (folder, stopped) = (directory.path().to_owned(), stop.clone());
        // The log goes where that of the caller goes.
        let log = dispatcher::get_default(Clone::clone);
        let body = move || {
            let _alive: oneshot::Sender<()> = alive;
            dispatcher::with_default(&log, || run(breed, side, &folder, stopped, started));
        };
        let thread = thread::Builder::new()
            .name(format!("embedded-{side}"))
            .spawn(body)
            .noted()
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        let outcome = outcome.await;
        outcome.unwrap_or_else(|_| Err("its thread has ended".to_owned()))?;
        Ok(Self {
            stop,
            thread,
            gone,
            _directory: directory,
        })
    }

    /// Why it is no longer running, if it is not.
    pub(crate) fn ended(&self) -> Option<String> {
        self.thread
            .is_finished()
            .then(|| "its thread has ended".to_owned())
    }

    /// Ends it without a warning, and waits until it is gone.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let _ = timeout(PATIENCE, &mut self.gone).await;
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Tasks end where they wait, which is soon.
const PATIENCE: Duration = Duration::from_secs(2);

fn run(breed: Breed, side: Side, folder: &Path, stop: CancellationToken, started: Started) {
    let runtime = match runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .noted()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(format!("cannot start a runtime: {error}")));
            return;
        }
    };
    // A peer that is started again binds the port that it has just closed.
    crate::ports::await_forks();
    runtime.block_on(stop.run_until_cancelled(async {
        match breed {
            Breed::Reference => reference::run(side, folder, started).await,
            Breed::Broken(manner) => broken(side, folder, manner, started).await,
        }
    }));
}

async fn broken(side: Side, folder: &Path, manner: Manner, started: Started) {
    match side {
        Side::Server => match netroxy_broken::Server::bind(folder, manner).await {
            Ok(server) => {
                let _ = started.send(Ok(()));
                server.run().await;
            }
            Err(error) => drop(started.send(Err(error.to_string()))),
        },
        Side::Client => match netroxy_broken::Client::load(folder, manner) {
            Ok(client) => {
                let _ = started.send(Ok(()));
                client.run().await;
            }
            Err(error) => drop(started.send(Err(error.to_string()))),
        },
    }
}
