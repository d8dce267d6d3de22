//! What the administrator of a running client asks and orders.
//!
//! [`Handle`] is for a program of which the client is a part. The program `netroxy-client` carries
//! [`Request`] and [`Answer`] over a local socket (`controlSocket`), as JSON.

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::{Config, RequestId, requests::poll::Polled};

/// So many orders wait at most; who gives more waits.
const WAITING: usize = 16;

/// What can be asked of a running client.
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
    /// How each mapping is doing.
    List,
    /// How the client is doing.
    Status,
    /// What users have asked for.
    Requests,
    /// Accept what a user has asked for.
    Accept {
        /// Which request.
        id: RequestId,
    },
    /// Refuse what a user has asked for, or has been granted.
    Refuse {
        /// Which request.
        id: RequestId,
        /// For the user.
        reason: Option<String>,
    },
}

/// What a running client answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// The mappings were changed as wanted.
    Changed(Changed),
    /// Every mapping, in the order of the remote ports.
    Mappings(Vec<MappingState>),
    /// The client.
    Status(Status),
    /// What users have asked for.
    Requests(Requests),
    /// The request was accepted or refused.
    Decided {
        /// What is known of it now.
        request: RequestState,
        /// What that has changed.
        changed: Changed,
    },
    /// Nothing was changed, and why.
    Refused(String),
}

/// What a change of the configuration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// Mappings that are new.
    pub added: usize,
    /// Mappings that are gone.
    pub removed: usize,
    /// Mappings that lead somewhere else, or let users through or not.
    pub changed: usize,
    /// Whether the client closed its control connection and logs in anew: v0.3 has no message to
    /// give a port back. Open tunnels stay.
    pub logs_in_anew: bool,
    /// Whether the client was logged in; if not, the next login takes the change.
    pub was_connected: bool,
}

/// How one mapping is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MappingState {
    /// Where users connect, on the server.
    pub remote_port: u16,
    /// The service.
    pub target: String,
    /// Whether the server lets users through.
    pub is_open: bool,
    /// What the server said.
    pub state: State,
    /// For a refused mapping: after so many seconds it is asked for again.
    pub retry_in: Option<u64>,
    /// The request of a user that it comes from, if it does.
    pub request: Option<RequestId>,
    /// Tunnels that are open, or being opened.
    pub tunnels: usize,
}

/// What the server said of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It listens.
    Mapped,
    /// It does not.
    Refused,
    /// Nothing yet.
    Asked,
    /// The client is not logged in.
    NotConnected,
}

/// What users have asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    /// Why the server cannot be asked for requests, if it cannot.
    pub problem: Option<String>,
    /// Those that stand open at the server, the oldest one first.
    pub requests: Vec<RequestState>,
}

/// What a user has asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestState {
    /// Which request.
    pub id: RequestId,
    /// Where users are to connect, on the server, as it was asked.
    pub remote_port: i64,
    /// The service, as it was asked.
    pub target: String,
    /// The account that has asked, as the server says.
    pub by: String,
    /// When, in seconds since 1970, as the server says.
    pub asked: u64,
    /// What has become of it.
    pub state: RequestStanding,
    /// Why it was refused, if it was.
    pub reason: Option<String>,
}

/// What has become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RequestStanding {
    /// A person has to decide.
    Waiting,
    /// It is accepted, and the server does not listen yet.
    Accepted,
    /// It is accepted, and the server listens.
    Mapped,
    /// It is refused, and the server is told so.
    Refused,
}

/// How a client is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The server, `host:port`.
    pub server: String,
    /// Whether the connection to it is TLS.
    pub tls: bool,
    /// The name that the server knows, its first 64 bytes.
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
    /// Connections to the server that are open for users to come.
    pub spare_connections: usize,
}

/// Gives orders to a [`Client`](crate::Client) that runs.
#[derive(Debug, Clone)]
pub struct Handle(mpsc::Sender<Order>);

/// What a client is to do at its next turn.
#[derive(Debug)]
pub(crate) enum Order {
    Answer(Request, oneshot::Sender<Answer>),
    Reload(Box<Config>, oneshot::Sender<Changed>),
    Polled(Polled),
}

/// Both ends of the way that orders take.
pub(crate) fn orders() -> (Handle, mpsc::Receiver<Order>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Handle(sender), receiver)
}

impl Handle {
    /// Gives the client what its poller has heard. Whether it runs.
    pub(crate) async fn polled(&self, polled: Polled) -> bool {
        self.0.send(Order::Polled(polled)).await.is_ok()
    }

    /// Asks the client; `None` when it does not run any more.
    pub async fn ask(&self, request: Request) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Order::Answer(request, answer)).await.ok()?;
        answered.await.ok()
    }

    /// Gives the client another configuration, which counts at once. What was added or removed by
    /// [`Request`]s is forgotten. `None` when it does not run any more.
    pub async fn reload(&self, config: Config) -> Option<Changed> {
        let (done, answered) = oneshot::channel();
        let order = Order::Reload(Box::new(config), done);
        self.0.send(order).await.ok()?;
        answered.await.ok()
    }
}
