//! One instance of a program that is judged.

use std::net::SocketAddr;
use std::time::Duration;

use netroxy_specification::notation::ast::Transport;

use super::body::Body;
use super::setup::{PASSWORD, Setup, StartError, USER};
use super::subject::Running;
use crate::ports::Lease;

/// One instance that a case is played against.
#[derive(Debug)]
pub(crate) struct Instance {
    body: Body,
    /// How it was started. `None` for a server that the suite did not start.
    setup: Option<Setup>,
    /// The addresses of its control ports; empty for a client.
    pub(crate) control: Vec<(Transport, SocketAddr)>,
    pub(crate) username: String,
    pub(crate) password: String,
    /// Ports that stay reserved until the instance has stopped.
    ports: Vec<Lease>,
}

impl Instance {
    /// Starts a program. `control` has the addresses of a server's control ports. `ports` stay reserved until the instance
    /// has stopped.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(super) async fn start(
        setup: Setup,
        control: Vec<(Transport, SocketAddr)>,
        ports: Vec<Lease>,
    ) -> Result<Self, StartError> {
        Ok(Self {
            body: setup.launch().await?,
            setup: Some(setup),
            control,
            username: USER.to_owned(),
            password: PASSWORD.to_owned(),
            ports,
        })
    }

    /// A server that the suite did not start.
    pub(super) fn running(running: &Running) -> Self {
        let plain = [(Transport::Plain, running.plain)];
        let tls = running.tls.map(|address| (Transport::Tls, address));
        Self {
            body: Body::Foreign,
            setup: None,
            control: plain.into_iter().chain(tls).collect(),
            username: running.username.clone(),
            password: running.password.clone(),
            ports: Vec::new(),
        }
    }

    /// Whether the suite has started it.
    pub(super) const fn is_ours(&self) -> bool {
        self.setup.is_some()
    }

    /// How it ended, if it has. Always `None` for a server that the suite did not start.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.body.ended()
    }

    /// The id of its process, if it has one that runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.body.pid()
    }

    /// The processor time that it has used; zero if it has no process of its own.
    pub(crate) fn effort(&self) -> Duration {
        self.body.effort()
    }

    /// The end of what it has written to its standard output and error.
    pub(crate) async fn log_tail(&mut self) -> String {
        self.body.log_tail().await
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
