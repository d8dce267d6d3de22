//! A client that is logged in, and its identity over several logins.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use netroxy_proto::server::{ConnId, Listener};
use netroxy_proto::{ClientName, Username};

use crate::accounts::Account;

/// A client that is logged in.
pub(crate) struct Client {
    pub(crate) id: ConnId,
    pub(crate) account: Arc<Account>,
    pub(crate) name: ClientName,
    pub(crate) peer: SocketAddr,
    pub(crate) listener: Listener,
    pub(crate) since: Instant,
    /// How many ports it has mapped.
    pub(crate) ports: AtomicUsize,
    /// How many users it has, including those that wait for a tunnel.
    pub(crate) users: AtomicUsize,
}

/// The identity of a client: it stays the same when the client logs in again. Two logins have the same
/// identity at the same time only if their name is empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Who {
    pub(crate) account: Username,
    pub(crate) name: ClientName,
}

impl Client {
    /// The identity of the client.
    pub(crate) fn who(&self) -> Who {
        Who {
            account: self.account.username.clone(),
            name: self.name.clone(),
        }
    }
}
