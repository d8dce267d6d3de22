//! The subject of a run: one program, a pair of a server and a client, or a server that already runs.

use std::net::SocketAddr;
use std::time::Duration;

use netroxy_specification::notation::ast::{Role, Side, Transport};

use crate::manifest::Manifest;
use crate::shell::{PASSWORD, assigned, handed_on, quoted};
use crate::times::STILL;

/// The subject that the suite judges.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A program that is started for every case.
    Started(Manifest),
    /// A server that already runs.
    Running(Running),
    /// A server and a client that are started for every case, in this order.
    Pair(Box<(Manifest, Manifest)>),
}

/// A server that the suite did not start.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its port without TLS.
    pub plain: SocketAddr,
    /// Its port with TLS, if it has one.
    pub tls: Option<SocketAddr>,
    /// The name of a login that it accepts.
    pub username: String,
    /// The password of that login.
    pub password: String,
}

/// A program that is judged, alone or with another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Whether it is the server or the client.
    pub side: Side,
    /// The name in its manifest.
    pub name: String,
    /// The command that starts it, or the address where it already runs.
    pub runs: String,
}

impl Subject {
    /// The role that is judged.
    pub fn role(&self) -> Role {
        match self {
            Self::Started(manifest) => manifest.role.into(),
            Self::Running(_) => Role::Server,
            Self::Pair(_) => Role::Pair,
        }
    }

    /// The names of the server and the client of a pair.
    pub fn programs(&self) -> Option<(&str, &str)> {
        match self {
            Self::Pair(pair) => Some((&pair.0.name, &pair.1.name)),
            Self::Started(_) | Self::Running(_) => None,
        }
    }

    /// Its programs, for reports.
    pub fn parts(&self) -> Vec<Part> {
        let started = |manifest: &Manifest| Part {
            side: manifest.role,
            name: manifest.name.clone(),
            runs: manifest.runs(),
        };
        match self {
            Self::Started(manifest) => vec![started(manifest)],
            Self::Running(running) => vec![Part {
                side: Side::Server,
                name: self.name(),
                runs: match running.tls {
                    Some(tls) => format!("at {}, with TLS at {tls}", running.plain),
                    None => format!("at {}", running.plain),
                },
            }],
            Self::Pair(pair) => vec![started(&pair.0), started(&pair.1)],
        }
    }

    /// Its name in reports.
    pub fn name(&self) -> String {
        match self {
            Self::Started(manifest) => manifest.name.clone(),
            Self::Running(running) => running.plain.to_string(),
            Self::Pair(pair) => format!("{} with {}", pair.1.name, pair.0.name),
        }
    }

    pub(crate) fn speaks(&self, transport: Transport) -> bool {
        match self {
            Self::Started(manifest) => manifest.transports.contains(&transport),
            Self::Running(running) => transport == Transport::Plain || running.tls.is_some(),
            Self::Pair(pair) => [&pair.0, &pair.1]
                .iter()
                .all(|manifest| manifest.transports.contains(&transport)),
        }
    }

    /// The duration of `still` for this subject: longer than each of its deadlines.
    pub(crate) fn still(&self) -> Duration {
        match self {
            Self::Started(manifest) => manifest.still,
            Self::Running(_) => STILL,
            Self::Pair(pair) => pair.0.still.max(pair.1.still),
        }
    }

    /// Whether it is an embedded peer that answers as late as the rules allow.
    pub(crate) fn is_slow(&self) -> bool {
        let slow = |manifest: &Manifest| manifest.peer().is_some_and(|peer| peer.is_slow());
        match self {
            Self::Started(manifest) => slow(manifest),
            Self::Running(_) => false,
            Self::Pair(pair) => slow(&pair.0) || slow(&pair.1),
        }
    }

    /// Whether its client does not connect again after its connection ends.
    pub(crate) fn runs_once(&self) -> bool {
        match self {
            Self::Started(manifest) => !manifest.reconnects,
            Self::Running(_) => false,
            Self::Pair(pair) => !pair.1.reconnects,
        }
    }

    /// Why the suite does not use this transport; `None` if it does.
    pub fn silent_on(&self, transport: Transport) -> Option<String> {
        if self.speaks(transport) {
            return None;
        }
        let unclaimed = |manifest: &Manifest| {
            let (name, role) = (&manifest.name, manifest.role);
            format!(
                "the manifest of the {role} {name} does not name {transport} in its `transports`"
            )
        };
        Some(match self {
            Self::Running(_) => format!("no {transport} address was given (--tls-addr)"),
            Self::Started(_) => {
                format!("its manifest does not name {transport} in its `transports`")
            }
            Self::Pair(pair) => {
                let mut sides = [&pair.0, &pair.1].into_iter();
                let silent = sides.find(|manifest| !manifest.transports.contains(&transport));
                silent.map_or_else(String::new, unclaimed)
            }
        })
    }

    /// The arguments that select this subject again, for a shell. A password is not among them.
    pub fn arguments(&self) -> String {
        match self {
            Self::Started(manifest) => format!("--sut {}", quoted(&manifest.argument)),
            Self::Running(running) => {
                let tls = running.tls.map_or_else(String::new, |tls| {
                    format!(" --tls-addr {}", quoted(&tls.to_string()))
                });
                let plain = quoted(&running.plain.to_string());
                let user = quoted(&running.username);
                format!("--addr {plain}{tls} --user {user} --pass {PASSWORD}")
            }
            Self::Pair(pair) => {
                let (server, client) = (quoted(&pair.0.argument), quoted(&pair.1.argument));
                format!("--server {server} --client {client}")
            }
        }
    }

    /// Shell assignments of the environment variables that its manifests read.
    pub(crate) fn variables(&self) -> Vec<String> {
        let manifests = match self {
            Self::Started(manifest) => vec![manifest],
            Self::Running(_) => Vec::new(),
            Self::Pair(pair) => vec![&pair.0, &pair.1],
        };
        let variables = manifests.into_iter().flat_map(|one| &one.variables);
        let assignments = variables.map(|variable| match &variable.program {
            Some(value) => assigned(&variable.name, value),
            None => handed_on(&variable.name),
        });
        assignments.collect()
    }
}
