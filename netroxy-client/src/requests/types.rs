//! The types of requests, and of what client and server tell each other about them.

use std::fmt;
use std::net::SocketAddr;

use netroxy_proto::RemotePort;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// How many requested mappings a client has at most.
pub(crate) const MOST_MAPPINGS: usize = 100;
/// The longest reason, in characters.
pub(crate) const LONGEST_REASON: usize = 200;

/// The id of a request: 16 hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(u64);

/// The error of a text that is not the id of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the 16 hex digits that 'netroxy-client requests' shows")]
pub struct InvalidRequestId;

impl std::str::FromStr for RequestId {
    type Err = InvalidRequestId;

    fn from_str(text: &str) -> Result<Self, InvalidRequestId> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| is_hex);
        number.map(Self).ok_or(InvalidRequestId)
    }
}

impl TryFrom<String> for RequestId {
    type Error = InvalidRequestId;

    fn try_from(text: String) -> Result<Self, InvalidRequestId> {
        text.parse()
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A mapping that a user wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) id: RequestId,
    pub(crate) target: SocketAddr,
    pub(crate) remote_port: RemotePort,
}

/// The first `longest` characters of a foreign text.
pub(crate) fn shortened(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}

/// A request, as the server sends it. Other members are ignored.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Asked {
    pub(crate) id: RequestId,
    pub(crate) target: String,
    pub(crate) port: i64,
    pub(crate) by: String,
    pub(crate) asked: u64,
    pub(crate) state: Told,
}

impl Asked {
    /// Whether both are requests of the same user for the same mapping.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.target == other.target && self.port == other.port && self.by == other.by
    }

    /// With texts of at most `longest` characters.
    pub(crate) fn shortened(self, longest: usize) -> Self {
        Self {
            target: shortened(&self.target, longest),
            by: shortened(&self.by, longest),
            ..self
        }
    }
}

/// What the server knows about the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Told {
    Asked,
    /// Accepted, mapped, or a state that this client does not know.
    #[serde(other)]
    Decided,
}

/// A decision to report to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Post {
    pub(crate) id: RequestId,
    pub(crate) decision: Decision,
}

/// The decision about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    Accepted,
    Refused(String),
}

/// The result of a poll.
#[derive(Debug)]
pub(crate) struct Polled {
    /// The number of the poller.
    pub(crate) by: u64,
    /// All requests that the server holds for this client, or why they cannot be fetched.
    pub(crate) news: Result<Vec<Asked>, String>,
    /// Takes the decisions to report to the server.
    pub(crate) posts: oneshot::Sender<Vec<Post>>,
}
