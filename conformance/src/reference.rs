//! The reference peers inside this program. The only module that may know our protocol crates.
//!
//! They read the same configuration files as any other judged program, so a manifest describes them too.

use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::notation::ast::Role;

/// A reference peer that runs as a task. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Embedded {
    stop: CancellationToken,
    task: JoinHandle<()>,
    _directory: TempDir,
}

impl Embedded {
    /// Starts a peer from the configuration file in `directory`.
    ///
    /// # Errors
    /// What the peer has against its configuration.
    pub(crate) async fn start(role: Role, directory: TempDir) -> Result<Self, String> {
        let stop = CancellationToken::new();
        let task = match role {
            Role::Server => {
                let file = directory.path().join("server_config.json");
                let (config, _) =
                    netroxy_server::Config::load(&file).map_err(|error| chain(&error))?;
                let server = netroxy_server::Server::bind(config)
                    .await
                    .map_err(|error| chain(&error))?;
                tokio::spawn(server.run(stop.clone()))
            }
            Role::Client => {
                let file = directory.path().join("client_config.json");
                let (config, _) =
                    netroxy_client::Config::load(&file).map_err(|error| chain(&error))?;
                let client = netroxy_client::Client::new(config);
                let stop = stop.clone();
                tokio::spawn(async move { client.run(stop).await })
            }
        };
        Ok(Self {
            stop,
            task,
            _directory: directory,
        })
    }

    /// Why it is no longer running, if it is not.
    pub(crate) fn ended(&self) -> Option<String> {
        self.task
            .is_finished()
            .then(|| "its task has ended".to_owned())
    }

    /// Ends it, and waits a moment for its orderly end.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        // Open tunnels may take longer; dropping aborts them.
        let _ = timeout(GRACE, &mut self.task).await;
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

const GRACE: Duration = Duration::from_millis(200);

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
