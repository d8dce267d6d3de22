//! The reference peers inside this program. The only module that may know our protocol crates.
//!
//! They read the same configuration files as any other judged program, so a manifest describes them too.

use std::error::Error;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::embedded::Started;
use crate::notation::ast::Side;

/// Runs a reference peer from the configuration file in `folder`; `started` learns what it has against it.
pub(crate) async fn run(side: Side, folder: &Path, started: Started) {
    match side {
        Side::Server => match server(&folder.join("server_config.json")).await {
            Ok(server) => {
                let _ = started.send(Ok(()));
                server.run(CancellationToken::new()).await;
            }
            Err(error) => drop(started.send(Err(chain(&*error)))),
        },
        Side::Client => match netroxy_client::Config::load(&folder.join("client_config.json")) {
            Ok((config, _)) => {
                let _ = started.send(Ok(()));
                netroxy_client::Client::new(config)
                    .run(CancellationToken::new())
                    .await;
            }
            Err(error) => drop(started.send(Err(chain(&error)))),
        },
    }
}

/// The name and the version of the reference peer of a side.
pub(crate) fn version(side: Side) -> (&'static str, &'static str) {
    match side {
        Side::Server => ("netroxy-server", netroxy_server::VERSION),
        Side::Client => ("netroxy-client", netroxy_client::VERSION),
    }
}

/// Closes what the reference peers keep for the next tunnels when they have ended.
pub(crate) fn close_kept() {
    // The client has the same ones: they are of the process.
    netroxy_server::close_kept_pipes();
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
