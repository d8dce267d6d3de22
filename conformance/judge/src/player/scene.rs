//! Where a case is played: what the judged program is connected with.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use netroxy_specification::notation::ast::Transport;

use crate::sut::{Instance, Pair};
use crate::wire::{Listener, SilentTarget};

/// The surroundings of the judged program.
#[derive(Debug)]
pub(crate) enum Scene<'a> {
    /// A server is judged; we are clients and users.
    Server {
        instance: &'a Instance,
        transport: Transport,
    },
    /// A client is judged; we are the server and the targets.
    Client(ClientScene),
    /// Both are judged; we are users and targets.
    Pair {
        pair: &'a mut Pair,
        targets: BTreeMap<SocketAddr, Listener>,
        /// Held while the client may try to reach it.
        silent: Option<Box<SilentTarget>>,
    },
}

impl Scene<'_> {
    /// Where clients reach the server.
    pub(super) fn server(&self) -> Option<SocketAddr> {
        match self {
            Self::Server {
                instance,
                transport,
            } => instance.address(*transport),
            Self::Client(scene) => Some(scene.server.address),
            Self::Pair { .. } => None,
        }
    }
}

/// The surroundings of a client.
#[derive(Debug)]
pub(crate) struct ClientScene {
    pub(crate) server: Listener,
    pub(crate) targets: BTreeMap<SocketAddr, Listener>,
    /// Held while the client may try to reach it.
    pub(crate) silent: Option<Box<SilentTarget>>,
    pub(crate) transport: Transport,
    /// Remote port, target, isOpen.
    pub(crate) mappings: Vec<(u16, SocketAddr, bool)>,
}

impl ClientScene {
    /// The listening target of a mapping.
    pub(super) fn target_of(&self, port: &[u8]) -> Option<SocketAddr> {
        let found = self
            .mappings
            .iter()
            .find(|(mapped, _, _)| mapped.to_string().as_bytes() == port);
        found
            .map(|(_, target, _)| *target)
            .filter(|target| self.targets.contains_key(target))
    }
}
