//! The system under test: started afresh for every case, or already running at an address.

mod launch;
mod process;
mod ready;

use std::net::SocketAddr;

use crate::manifest::Manifest;
use crate::notation::ast::{Role, Transport};
use crate::ports::Lease;
use crate::reference::Embedded;
pub(crate) use launch::{ClientPlan, StartError, start_client, start_server};
use process::Process;
pub(crate) use ready::{login, unique_name};

/// What is judged.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    /// A program that is started for every case.
    Started(Manifest),
    /// A server that is running already.
    Running(Running),
}

/// A server that somebody else has started.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) plain: SocketAddr,
    pub(crate) tls: Option<SocketAddr>,
    pub(crate) username: String,
    pub(crate) password: String,
}

/// One instance that a case is played against.
#[derive(Debug)]
pub(crate) struct Instance {
    body: Body,
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
}

impl Subject {
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Started(manifest) => manifest.role,
            Self::Running(_) => Role::Server,
        }
    }

    /// For reports.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Started(manifest) => manifest.name.clone(),
            Self::Running(running) => running.plain.to_string(),
        }
    }

    pub(crate) fn speaks(&self, transport: Transport) -> bool {
        match self {
            Self::Started(manifest) => manifest.transports.contains(&transport),
            Self::Running(running) => transport == Transport::Plain || running.tls.is_some(),
        }
    }

    /// The arguments that select this subject again.
    pub(crate) fn arguments(&self) -> String {
        match self {
            Self::Started(manifest) => format!("--sut {}", manifest.argument),
            Self::Running(running) => {
                let tls = running
                    .tls
                    .map_or_else(String::new, |tls| format!(" --tls-addr {tls}"));
                format!(
                    "--addr {}{tls} --user {} --pass ...",
                    running.plain, running.username
                )
            }
        }
    }
}

impl Instance {
    /// Why it is no longer running, if it is not. Nobody can know that of a foreign server.
    pub(crate) fn ended(&mut self) -> Option<String> {
        match &mut self.body {
            Body::Process(process) => process.ended(),
            Body::Embedded(embedded) => embedded.ended(),
            Body::Foreign => None,
        }
    }

    /// The end of what it has written to its standard output and error.
    pub(crate) async fn log_tail(&mut self) -> String {
        match &mut self.body {
            Body::Process(process) => process.log_tail().await,
            Body::Embedded(_) | Body::Foreign => String::new(),
        }
    }

    /// Ends it and everything it has started.
    pub(crate) async fn stop(self) {
        let _held = self.ports;
        match self.body {
            Body::Process(process) => process.stop().await,
            Body::Embedded(embedded) => embedded.stop().await,
            Body::Foreign => {}
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
