//! The state that the handlers of all requests share.

use std::net::IpAddr;
use std::sync::Arc;

use super::board::{Board, ClientListener};
use super::session::Sessions;
use crate::WebConfig;
use crate::accounts::Account;
use crate::hub::Hub;

/// The web interface of a running server.
pub(super) struct Web {
    pub(super) hub: Arc<Hub>,
    /// The listeners for clients.
    pub(super) client_listeners: Vec<ClientListener>,
    pub(super) board: Board,
    pub(super) sessions: Sessions,
    /// The port. It is part of the cookie's name, because browsers send cookies to all ports of a host.
    pub(super) port: u16,
}

/// The connection of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionInfo {
    pub(super) peer: IpAddr,
    /// The server's address.
    pub(super) local: IpAddr,
    pub(super) tls: bool,
}

impl Web {
    pub(super) fn new(
        hub: Arc<Hub>,
        client_listeners: Vec<ClientListener>,
        port: u16,
    ) -> Arc<Self> {
        Arc::new(Self {
            board: Board::new(hub.clone()),
            hub,
            client_listeners,
            sessions: Sessions::default(),
            port,
        })
    }

    /// Reads the section `web` of the current configuration.
    pub(super) fn configured<T>(&self, ask: impl FnOnce(&WebConfig) -> T) -> Option<T> {
        self.hub.config().web.as_ref().map(ask)
    }

    /// Whether an account may see and switch everything.
    pub(super) fn is_administrator(&self, account: &Account) -> bool {
        self.configured(|web| web.administrators.contains(&account.username)) == Some(true)
    }
}
