//! The system under test: started afresh for every case, or already running at an address.

mod between;
mod family;
mod launch;
mod launcher;
mod log;
mod pair;
mod proc;
mod process;
mod ready;
mod remains;
mod spawn;

use std::net::SocketAddr;
use std::time::Duration;

pub use between::{Between, Kind, Talk};
pub(crate) use family::Family;
use launch::Setup;
pub(crate) use launch::{Announced, ClientPlan, start_client, start_server};
pub use launch::{StartError, folder_prefix};
use netroxy_specification::notation::ast::{Role, Side, Transport};
pub(crate) use pair::{Pair, PairPlan};
use process::Process;
pub(crate) use ready::{login, unique_name};
pub(crate) use remains::note_survivors;
pub use remains::remains;
pub(crate) use spawn::explained;

use crate::embedded::Embedded;
use crate::manifest::Manifest;
use crate::ports::Lease;
use crate::shell::{PASSWORD, assigned, handed_on, quoted};
use crate::times::STILL;

/// What is judged.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A program that is started for every case.
    Started(Manifest),
    /// A server that is running already.
    Running(Running),
    /// A server and a client that are started for every case, in this order.
    Pair(Box<(Manifest, Manifest)>),
}

/// A server that somebody else has started.
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
    /// Which side it is.
    pub side: Side,
    /// The name in its manifest.
    pub name: String,
    /// What is started, or where it runs already.
    pub runs: String,
}

/// One instance that a case is played against.
#[derive(Debug)]
pub(crate) struct Instance {
    body: Body,
    /// How it was started; nobody can start a foreign server again.
    setup: Option<Setup>,
    /// Where its control ports are; only a server has any.
    pub(crate) control: Vec<(Transport, SocketAddr)>,
    pub(crate) username: String,
    pub(crate) password: String,
    /// Held until the instance is gone.
    ports: Vec<Lease>,
}

#[derive(Debug)]
enum Body {
    Process(Box<Process>),
    Embedded(Embedded),
    Foreign,
    Pair(Box<Pair>),
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

    /// The names of server and client, if it is two programs.
    pub fn programs(&self) -> Option<(&str, &str)> {
        match self {
            Self::Pair(pair) => Some((&pair.0.name, &pair.1.name)),
            Self::Started(_) | Self::Running(_) => None,
        }
    }

    /// What it consists of, for reports.
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

    /// For reports.
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

    /// How long `still` is for it: longer than each of its deadlines.
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

    /// Whether a client is told to log in only once.
    pub(crate) fn runs_once(&self) -> bool {
        match self {
            Self::Started(manifest) => !manifest.reconnects,
            Self::Running(_) => false,
            Self::Pair(pair) => !pair.1.reconnects,
        }
    }

    /// Why it is not asked over this transport, if it is not.
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

    /// Assignments of the variables of the environment that its manifests read, for a shell.
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

impl Instance {
    /// Why it is no longer running, if it is not. Nobody can know that of a foreign server.
    pub(crate) fn ended(&mut self) -> Option<String> {
        match &mut self.body {
            Body::Process(process) => process.ended(),
            Body::Embedded(embedded) => embedded.ended(),
            Body::Foreign => None,
            Body::Pair(pair) => pair.ended(),
        }
    }

    /// The number of its process, if it has one of its own that runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        match &self.body {
            Body::Process(process) => process.pid(),
            Body::Embedded(_) | Body::Foreign | Body::Pair(_) => None,
        }
    }

    /// The processor time that it has used, if it is a program of its own or two.
    pub(crate) fn effort(&self) -> Duration {
        match &self.body {
            Body::Process(process) => process.effort(),
            Body::Embedded(_) | Body::Foreign => Duration::ZERO,
            Body::Pair(pair) => pair.effort(),
        }
    }

    /// The end of what it has written to its standard output and error.
    pub(crate) async fn log_tail(&mut self) -> String {
        match &mut self.body {
            Body::Process(process) => process.log_tail().await,
            Body::Embedded(_) | Body::Foreign => String::new(),
            Body::Pair(pair) => pair.log_tail().await,
        }
    }

    /// Ends it and everything it has started.
    pub(crate) async fn stop(self) {
        let _held = self.ports;
        self.body.stop().await;
    }

    /// Ends it without a warning and starts it again, with the same configuration.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) async fn restart(&mut self) -> Result<(), StartError> {
        let Some(setup) = &self.setup else {
            let why = "it was not started here, so it cannot be started again";
            return Err(StartError::Harness(why.to_owned()));
        };
        std::mem::replace(&mut self.body, Body::Foreign)
            .stop()
            .await;
        self.body = setup.launch().await?;
        Ok(())
    }

    /// The two programs, if it is two.
    pub(crate) fn pair(&mut self) -> Option<&mut Pair> {
        match &mut self.body {
            Body::Pair(pair) => Some(pair),
            Body::Process(_) | Body::Embedded(_) | Body::Foreign => None,
        }
    }

    /// Keeps ports from being used again before it is gone.
    pub(crate) fn hold(&mut self, ports: impl IntoIterator<Item = Lease>) {
        self.ports.extend(ports);
    }

    pub(crate) fn address(&self, transport: Transport) -> Option<SocketAddr> {
        self.control
            .iter()
            .find(|(known, _)| *known == transport)
            .map(|(_, address)| *address)
    }
}

impl From<Pair> for Instance {
    fn from(pair: Pair) -> Self {
        Self {
            body: Body::Pair(Box::new(pair)),
            setup: None,
            control: Vec::new(),
            username: String::new(),
            password: String::new(),
            ports: Vec::new(),
        }
    }
}

impl Body {
    async fn stop(self) {
        match self {
            Self::Process(process) => process.stop().await,
            Self::Embedded(embedded) => embedded.stop().await,
            Self::Foreign => {}
            Self::Pair(pair) => pair.stop().await,
        }
    }
}
