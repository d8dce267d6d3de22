//! The peers that this program carries: the reference peers, and the broken peers, which can break a rule.
//!
//! Only this module uses the crates of peers. All peers read the same configuration files, so manifests describe them.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use netroxy_broken::{Bug, Manner};
use netroxy_judge::embedded::{NotStarted, Peer, Peers, Running, Started};
use netroxy_judge::manifest::{Manifest, ManifestError, Place};
use netroxy_specification::nearest::nearest;
use netroxy_specification::notation::ast::Side;
use tokio_util::sync::CancellationToken;

/// The peers of this program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Carried;

impl Peers for Carried {
    fn reference(&self, side: Side) -> Arc<dyn Peer> {
        Arc::new(Reference(side))
    }
}

/// Loads a manifest: a file, a built-in one by its name, or a peer with a bug, such as `broken-server:crowd-lost`.
///
/// # Errors
/// If there is no such bug, or the manifest cannot be read, is malformed, or names a variable of the environment that
/// is not set.
pub(crate) fn manifest(argument: &str) -> Result<Manifest, ManifestError> {
    for side in [Side::Server, Side::Client] {
        let rest = argument
            .strip_prefix("broken-")
            .and_then(|rest| rest.strip_prefix(&side.to_string()));
        match rest.map(|rest| rest.strip_prefix(':').ok_or(rest)) {
            Some(Err("")) => return broken(side, Manner::Good),
            Some(Ok(manner)) => return broken(side, named(argument, side, manner)?),
            Some(Err(_)) | None => {}
        }
    }
    Manifest::load(argument, &Carried)
}

/// The manifest of the reference peer of a side.
///
/// # Errors
/// If the built-in manifest is damaged.
pub(crate) fn reference(side: Side) -> Result<Manifest, ManifestError> {
    Manifest::reference(side, &Carried)
}

/// The manifest of a broken peer of a side with this manner.
///
/// # Errors
/// If the built-in manifest of the reference is damaged.
pub(crate) fn broken(side: Side, manner: Manner) -> Result<Manifest, ManifestError> {
    let name = match manner {
        Manner::Good => format!("broken-{side}"),
        _ => format!("broken-{side}:{manner}"),
    };
    let peer = Arc::new(Broken { side, manner });
    Ok(reference(side)?.with_peer(&name, peer))
}

/// The manner with this name.
///
/// # Errors
/// If there is no such manner, or a peer of that side cannot have it.
fn named(argument: &str, side: Side, name: &str) -> Result<Manner, ManifestError> {
    let wrong = |message: String, hint: Option<String>| ManifestError {
        file: argument.to_owned(),
        place: Place::default(),
        message,
        hint,
    };
    let of_side = |bug: &Bug| fits(Manner::Bad(*bug), side);
    let names: Vec<String> = Bug::ALL
        .iter()
        .copied()
        .filter(of_side)
        .map(Bug::name)
        .collect();
    match Manner::named(name) {
        Some(manner) if fits(manner, side) => Ok(manner),
        Some(_) => Err(wrong(
            format!("a {side} cannot have the bug `{name}`"),
            None,
        )),
        None => {
            let meant = nearest(name, names.iter().map(String::as_str));
            let hint = meant.unwrap_or_else(|| {
                "`netroxy-conformance selftest --list` shows them all".to_owned()
            });
            Err(wrong(format!("there is no bug `{name}`"), Some(hint)))
        }
    }
}

/// Whether a peer of that side can have this manner.
pub(crate) fn fits(manner: Manner, side: Side) -> bool {
    use netroxy_broken::Side as Of;
    let of = match manner {
        Manner::Good | Manner::Drips | Manner::Slow | Manner::Tls12 => Of::Both,
        Manner::WaitsForMrs | Manner::MapsInAnyOrder | Manner::OpensAhead => Of::Client,
        Manner::NoListenerForClosed | Manner::PortsElsewhere | Manner::OneAtATime => Of::Server,
        Manner::Bad(bug) => bug.side(),
    };
    match of {
        Of::Both => true,
        Of::Server => side == Side::Server,
        Of::Client => side == Side::Client,
    }
}

/// A reference peer.
#[derive(Debug)]
struct Reference(Side);

impl Peer for Reference {
    fn version(&self) -> String {
        let (name, version) = match self.0 {
            Side::Server => ("netroxy-server", netroxy_server::VERSION),
            Side::Client => ("netroxy-client", netroxy_client::VERSION),
        };
        embedded(name, version)
    }

    fn run<'a>(&'a self, folder: &'a Path, started: Started) -> Running<'a> {
        match self.0 {
            Side::Server => Box::pin(async move {
                match server(&folder.join("server_config.json")).await {
                    Ok(server) => {
                        let _ = started.send(Ok(()));
                        server.run(CancellationToken::new()).await;
                    }
                    Err(error) => drop(started.send(Err(NotStarted(chain(&*error))))),
                }
            }),
            Side::Client => Box::pin(async move {
                match netroxy_client::Config::load(&folder.join("client_config.json")) {
                    Ok((config, _)) => {
                        let _ = started.send(Ok(()));
                        let client = netroxy_client::Client::new(config);
                        client.run(CancellationToken::new()).await;
                    }
                    Err(error) => drop(started.send(Err(NotStarted(chain(&error))))),
                }
            }),
        }
    }
}

/// A peer whose manner decides whether and how it breaks a rule.
#[derive(Debug)]
struct Broken {
    side: Side,
    manner: Manner,
}

impl Peer for Broken {
    fn version(&self) -> String {
        embedded("netroxy-broken", netroxy_broken::VERSION)
    }

    fn is_slow(&self) -> bool {
        self.manner == Manner::Slow
    }

    fn leaves_out(&self) -> Option<&'static str> {
        self.manner.leaves_out()
    }

    fn run<'a>(&'a self, folder: &'a Path, started: Started) -> Running<'a> {
        match self.side {
            Side::Server => Box::pin(async move {
                match netroxy_broken::Server::bind(folder, self.manner).await {
                    Ok(server) => {
                        let _ = started.send(Ok(()));
                        server.run().await;
                    }
                    Err(error) => drop(started.send(Err(NotStarted(error.to_string())))),
                }
            }),
            Side::Client => Box::pin(async move {
                match netroxy_broken::Client::load(folder, self.manner) {
                    Ok(client) => {
                        let _ = started.send(Ok(()));
                        client.run().await;
                    }
                    Err(error) => drop(started.send(Err(NotStarted(error.to_string())))),
                }
            }),
        }
    }
}

async fn server(file: &Path) -> Result<netroxy_server::Server, Box<dyn Error>> {
    let (config, _) = netroxy_server::Config::load(file)?;
    Ok(netroxy_server::Server::bind(config).await?)
}

fn embedded(name: &str, version: &str) -> String {
    format!("{name} {version}, embedded")
}

/// The messages of an error and of all its causes, separated by colons.
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
