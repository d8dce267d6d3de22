//! The worlds: their clients and users, and how much can go wrong.

use std::time::Duration;

use netroxy_proto::server::Listener;
use netroxy_proto::{client, server};

use crate::mutant::Mutant;
use crate::server_monitor::Terms;

/// What a world consists of.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Seconds between two instants. A deadline between them is met at the next one.
    pub(crate) tick: u64,
    /// The timeout, in seconds.
    pub(crate) timeout: i64,
    /// The clients.
    pub(crate) peers: Vec<PeerPlan>,
    /// The listeners to which rogue connections come. A rogue follows no rule.
    pub(crate) rogues: Vec<Listener>,
    /// The port of each user. A user connects once.
    pub(crate) users: Vec<u16>,
    /// The driver of the server opens ports some time after the request.
    pub(crate) slow_ports: bool,
    /// The driver of the server feeds users some time after they have connected.
    pub(crate) slow_users: bool,
    /// The most ticks that a message is under way.
    pub(crate) delay: u8,
    /// The search begins after all clients have logged in.
    pub(crate) warm: bool,
    /// How much can go wrong.
    pub(crate) faults: Faults,
    /// How the machines are broken, if they are.
    pub(crate) mutant: Option<Mutant>,
}

/// A client of a world.
#[derive(Debug, Clone)]
pub(crate) struct PeerPlan {
    pub(crate) name: &'static str,
    pub(crate) password: &'static str,
    /// Remote port and isOpen.
    pub(crate) mappings: Vec<(u16, bool)>,
}

/// What can still go wrong: how often each fault happens at most, at any moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    /// A control connection breaks, and both ends learn of it.
    pub(crate) breaks: u8,
    /// A data connection breaks, and both ends learn of it.
    pub(crate) data_breaks: u8,
    /// A connection dies, and neither end learns of it.
    pub(crate) cuts: u8,
    /// A connection breaks, and only the client learns of it.
    pub(crate) vanishings: u8,
    /// A connection is refused.
    pub(crate) refusals: u8,
    /// A user resets its connection while it waits.
    pub(crate) resets: u8,
    /// A port cannot be bound.
    pub(crate) busy_ports: u8,
    /// A target cannot be reached.
    pub(crate) dead_targets: u8,
    /// A message of a rogue.
    pub(crate) words: u8,
}

impl Plan {
    /// A world without clients, users and faults. A tick is a quarter of the timeout, and so long that the
    /// random part of the client's delays has no effect.
    pub(crate) fn empty() -> Self {
        Self {
            tick: 4,
            timeout: 16,
            peers: Vec::new(),
            rogues: Vec::new(),
            users: Vec::new(),
            slow_ports: false,
            slow_users: false,
            delay: 0,
            warm: true,
            faults: Faults::default(),
            mutant: None,
        }
    }

    pub(crate) fn peer(mut self, name: &'static str, mappings: &[(u16, bool)]) -> Self {
        self.peers.push(PeerPlan {
            name,
            password: "secret",
            mappings: mappings.to_vec(),
        });
        self
    }

    pub(crate) fn users(mut self, ports: &[u16]) -> Self {
        self.users.extend(ports);
        self
    }

    pub(crate) fn faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    pub(crate) fn terms(&self) -> Terms {
        Terms {
            username: b"alice".to_vec(),
            password: b"secret".to_vec(),
            timeout: Duration::from_secs(self.timeout.unsigned_abs()),
            login_deadline: self.ticks(2),
            user_deadline: self.ticks(2),
        }
    }

    pub(crate) fn ticks(&self, ticks: u32) -> Duration {
        Duration::from_secs(self.tick) * ticks
    }

    pub(crate) fn server(&self) -> server::Server {
        let timeout = match self.mutant {
            Some(Mutant::ExpiresEarly) => self.timeout / 2,
            Some(Mutant::ExpiresLate) => self.timeout * 2,
            _ => self.timeout,
        };
        let terms = self.terms();
        server::Server::new(server::Config {
            login_deadline: terms.login_deadline,
            user_deadline: match self.mutant {
                Some(Mutant::ForgetsUsers) => Duration::MAX,
                _ => terms.user_deadline,
            },
            ..server::Config::new(
                terms.username.as_slice().try_into().unwrap(),
                terms.password.as_slice().try_into().unwrap(),
                timeout.try_into().unwrap(),
            )
        })
    }

    pub(crate) fn client(&self, peer: &PeerPlan) -> client::Client {
        let mappings = peer.mappings.iter().map(|(port, is_open)| client::Mapping {
            remote_port: i64::from(*port).try_into().unwrap(),
            target: format!("{}:{port}", peer.name).try_into().unwrap(),
            is_open: *is_open,
        });
        client::Client::new(client::Config {
            connect_deadline: self.connect_patience(),
            login_deadline: self.login_patience(),
            ..client::Config::new(
                peer.name.as_bytes().try_into().unwrap(),
                b"alice".as_slice().try_into().unwrap(),
                peer.password.as_bytes().try_into().unwrap(),
                mappings.collect(),
                7,
            )
        })
    }

    /// How long a client waits for its control connection.
    pub(crate) fn connect_patience(&self) -> Duration {
        self.ticks(2)
    }

    /// How long a client waits for the answer to ATH.
    pub(crate) fn login_patience(&self) -> Duration {
        self.ticks(3)
    }
}
