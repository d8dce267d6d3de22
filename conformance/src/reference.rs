//! The reference peers inside this program. The only module that may know our protocol crates.
//!
//! They read the same configuration files as any other judged program, so a manifest describes them too. Each runs in
//! a thread and a runtime of its own, so that ending it ends all that it has started, as with a process.

use std::error::Error;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::dispatcher;

use crate::notation::ast::Side;

/// A reference peer that runs in a thread. Dropping it ends it.
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
    pub(crate) async fn start(side: Side, directory: TempDir) -> Result<Self, String> {
        let stop = CancellationToken::new();
        let (started, outcome) = oneshot::channel();
        let (alive, gone) = oneshot::channel();
        let (folder, stopped) = (directory.path().to_owned(), stop.clone());
        // The log goes where that of the caller goes.
        let log = dispatcher::get_default(Clone::clone);
        let body = move || {
            let _alive: oneshot::Sender<()> = alive;
            dispatcher::with_default(&log, || run(side, &folder, stopped, started));
        };
        let thread = thread::Builder::new()
            .name(format!("reference-{side}"))
            .spawn(body)
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

fn run(
    side: Side,
    folder: &Path,
    stop: CancellationToken,
    started: oneshot::Sender<Result<(), String>>,
) {
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(chain(&error)));
            return;
        }
    };
    runtime.block_on(stop.run_until_cancelled(async {
        match side {
            Side::Server => match server(&folder.join("server_config.json")).await {
                Ok(server) => {
                    let _ = started.send(Ok(()));
                    server.run(CancellationToken::new()).await;
                }
                Err(error) => drop(started.send(Err(chain(&*error)))),
            },
            Side::Client => {
                match netroxy_client::Config::load(&folder.join("client_config.json")) {
                    Ok((config, _)) => {
                        let _ = started.send(Ok(()));
                        netroxy_client::Client::new(config)
                            .run(CancellationToken::new())
                            .await;
                    }
                    Err(error) => drop(started.send(Err(chain(&error)))),
                }
            }
        }
    }));
}

async fn server(file: &Path) -> Result<netroxy_server::Server, Box<dyn Error>> {
    let (config, _) = netroxy_server::Config::load(file)?;
    Ok(netroxy_server::Server::bind(config).await?)
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
