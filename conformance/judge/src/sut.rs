//! The system under test: a program that is started anew for every case, or a server that already runs at an address.

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
mod subject;

use std::net::SocketAddr;
use std::time::Duration;

pub use between::{Between, Kind, Talk};
pub(crate) use family::Family;
use launch::Setup;
pub(crate) use launch::{Announced, ClientPlan, start_client, start_server};
pub use launch::{StartError, folder_prefix};
use netroxy_specification::notation::ast::Transport;
pub(crate) use pair::{Pair, PairError, PairPlan};
use process::Process;
pub(crate) use ready::{login, unique_name};
pub(crate) use remains::note_survivors;
pub use remains::remains;
pub(crate) use spawn::explained;
pub use subject::{Part, Running, Subject};

use crate::embedded::Embedded;
use crate::ports::Lease;

/// One instance that a case is played against.
#[derive(Debug)]
pub(crate) struct Instance {
    body: Body,
    /// How it was started. `None` for a server that the suite did not start, and for a pair.
    setup: Option<Setup>,
    /// The addresses of its control ports; empty for a client and for a pair.
    pub(crate) control: Vec<(Transport, SocketAddr)>,
    pub(crate) username: String,
    pub(crate) password: String,
    /// Ports that stay reserved until the instance has stopped.
    ports: Vec<Lease>,
}

#[derive(Debug)]
enum Body {
    Process(Box<Process>),
    Embedded(Embedded),
    Foreign,
    Pair(Box<Pair>),
}

impl Instance {
    /// How it ended, if it has. Always `None` for a server that the suite did not start.
    pub(crate) fn ended(&mut self) -> Option<String> {
        match &mut self.body {
            Body::Process(process) => process.ended(),
            Body::Embedded(embedded) => embedded.ended(),
            Body::Foreign => None,
            Body::Pair(pair) => pair.ended(),
        }
    }

    /// The id of its process, if it is one program with a process that runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        match &self.body {
            Body::Process(process) => process.pid(),
            Body::Embedded(_) | Body::Foreign | Body::Pair(_) => None,
        }
    }

    /// The processor time that its programs have used; zero if it has no process of its own.
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

    /// Ends it and every process that it has started.
    pub(crate) async fn stop(self) {
        let _held = self.ports;
        self.body.stop().await;
    }

    /// Kills it and starts it again with the same configuration.
    ///
    /// # Errors
    /// If it was not started by the suite, or cannot be started again.
    pub(crate) async fn restart(&mut self) -> Result<(), StartError> {
        let Some(setup) = &self.setup else {
            let why = "it was not started here, so it cannot be started again";
            return Err(StartError::Harness(why.to_owned()));
        };
        std::mem::replace(&mut self.body, Body::Foreign)
            .stop()
            .await;
        for port in &self.ports {
            port.released().await;
        }
        self.body = setup.launch().await?;
        Ok(())
    }

    /// The pair, if it is one.
    pub(crate) fn pair(&mut self) -> Option<&mut Pair> {
        match &mut self.body {
            Body::Pair(pair) => Some(pair),
            Body::Process(_) | Body::Embedded(_) | Body::Foreign => None,
        }
    }

    /// Reserves ports until the instance has stopped.
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
