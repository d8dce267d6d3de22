//! Requests and orders of the administrator to a running client.
//!
//! [`Handle`] is for a program that contains the client. The program `netroxy-client` sends [`Request`] and
//! [`Answer`] as JSON over a local socket (`controlSocket`).

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::requests::Polled;
use crate::{Config, RequestId};

/// How many orders wait at most. The sender of one more waits.
const WAITING: usize = 16;

/// A request to a running client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "request")]
pub enum Request {
    /// Add mappings, until the next reload.
    Add {
        /// Each as for `--map`: `10003=127.0.0.1:3389`.
        map: Vec<String>,
    },
    /// Remove mappings, until the next reload.
    Remove {
        /// Remote ports or ranges of them.
        ports: Vec<String>,
    },
    /// List the mappings and their states.
    List,
    /// Show the state of the client.
    Status,
    /// List the requests of users.
    Requests,
    /// Accept a request of a user.
    Accept {
        /// Which request.
        id: RequestId,
    },
    /// Refuse a request of a user. One that was accepted can be refused too.
    Refuse {
        /// Which request.
        id: RequestId,
        /// The reason that the user reads.
        reason: Option<String>,
    },
}

/// The answer of a running client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// The mappings were changed as requested.
    Changed(Changed),
    /// Every mapping, in the order of the remote ports.
    Mappings(Vec<MappingState>),
    /// The state of the client.
    Status(Status),
    /// The requests of users.
    Requests(Requests),
    /// The request was accepted or refused.
    Decided {
        /// The request, after the decision.
        request: RequestState,
        /// What the decision has changed.
        changed: Changed,
    },
    /// Nothing was changed, for this reason.
    Refused(String),
}

/// What a change of the configuration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// Mappings that are new.
    pub added: usize,
    /// Mappings that were removed.
    pub removed: usize,
    /// Mappings with another target or another `isOpen`.
    pub changed: usize,
    /// Whether the client closed its control connection and logs in anew: v0.3 has no message to
    /// give a port back. Open tunnels stay.
    pub logs_in_anew: bool,
    /// Whether the client was logged in. If not, its next login makes the change.
    pub was_connected: bool,
}

/// The state of one mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MappingState {
    /// The port of the server to which users connect.
    pub remote_port: u16,
    /// The target, `host:port`.
    pub target: String,
    /// Whether the server lets users through.
    pub is_open: bool,
    /// What the server has answered.
    pub state: State,
    /// For a refused mapping: the number of seconds until the client asks again.
    pub retry_in: Option<u64>,
    /// The request of a user that it comes from, if it comes from one.
    pub request: Option<RequestId>,
    /// Tunnels that are open, or being opened.
    pub tunnels: usize,
}

/// What the server has answered for a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// The server listens on the port.
    Mapped,
    /// The server does not listen on the port.
    Refused,
    /// The server has not answered yet.
    Asked,
    /// The client is not logged in.
    NotConnected,
}

/// The requests of users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    /// Why the client cannot fetch requests from the server, if it cannot.
    pub problem: Option<String>,
    /// The requests that the server holds, the oldest one first.
    pub requests: Vec<RequestState>,
}

/// A request of a user for a mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestState {
    /// Which request.
    pub id: RequestId,
    /// The port of the server that was requested; it may be no valid port.
    pub remote_port: i64,
    /// The target that was requested; it may be no valid address.
    pub target: String,
    /// The account that made the request, as the server says.
    pub by: String,
    /// When the request was made, in seconds since 1970, as the server says.
    pub asked: u64,
    /// Whether it was accepted or refused.
    pub state: RequestStanding,
    /// Why it was refused, if it was.
    pub reason: Option<String>,
}

/// Whether a request was accepted or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RequestStanding {
    /// It waits until a person accepts or refuses it.
    Waiting,
    /// It is accepted, and the server does not listen yet.
    Accepted,
    /// It is accepted, and the server listens.
    Mapped,
    /// It is refused. The client reports this to the server.
    Refused,
}

/// The state of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The server, `host:port`.
    pub server: String,
    /// Whether the connection to it is TLS.
    pub tls: bool,
    /// The first 64 bytes of the client name.
    pub name: String,
    /// Whether the client is logged in.
    pub connected: bool,
    /// Seconds since 1970 of the login, if it is logged in.
    pub connected_since: Option<u64>,
    /// Seconds since the login, if it is logged in.
    pub connected_for: Option<u64>,
    /// Logins since the start.
    pub logins: u64,
    /// Mappings in all.
    pub mappings: usize,
    /// Mappings of which the server listens on the port.
    pub mapped: usize,
    /// Mappings that the server has refused.
    pub refused: usize,
    /// Tunnels that are open, or being opened.
    pub tunnels: usize,
    /// Tunnels that may be open at a time.
    pub most_tunnels: usize,
    /// Tunnels since the start.
    pub tunnels_in_all: u64,
    /// Data connections to the server that are open for the next users.
    pub spare_connections: usize,
}

/// Gives orders to a running [`Client`](crate::Client).
#[derive(Debug, Clone)]
pub struct Handle(mpsc::Sender<Order>);

/// What a client does at its next turn.
#[derive(Debug)]
pub(crate) enum Order {
    Answer(Request, oneshot::Sender<Answer>),
    Reload(Box<Config>, oneshot::Sender<Changed>),
    Polled(Polled),
}

/// Both ends of the queue of orders.
pub(crate) fn orders() -> (Handle, mpsc::Receiver<Order>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Handle(sender), receiver)
}

impl Handle {
    /// Gives the client the result of a poll. Returns whether the client runs.
    pub(crate) async fn polled(&self, polled: Polled) -> bool {
        self.0.send(Order::Polled(polled)).await.is_ok()
    }

    /// Sends a request and waits for the answer; `None` if the client does not run any more.
    pub async fn ask(&self, request: Request) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Order::Answer(request, answer)).await.ok()?;
        answered.await.ok()
    }

    /// Gives the client another configuration, which takes effect at once. Mappings that were added or removed by
    /// [`Request`]s are forgotten. `None` if the client does not run any more.
    pub async fn reload(&self, config: Config) -> Option<Changed> {
        let (done, answered) = oneshot::channel();
        let order = Order::Reload(Box::new(config), done);
        self.0.send(order).await.ok()?;
        answered.await.ok()
    }
}
