//! Mappings that users ask for.
//!
//! A user asks at the web interface of the server: "client X, target Y, port P". The [`poller`](poll)
//! fetches what is asked of this client. The [`Book`] keeps what was asked and what was decided, and
//! the table of mappings takes in what is accepted. v0.3 has no message for any of it: the server
//! gets MAP as for every mapping.
//!
//! The server is not trusted. It cannot bring this client to connect to anything outside of
//! `requests.allow`: the table asks [`permit`](crate::RequestsConfig::permit) when it takes a mapping in,
//! for each one again when the configuration has changed, and before each connection to a target.

use std::{fmt, net::SocketAddr};

use netroxy_proto::RemotePort;
use serde::{Deserialize, Serialize};

mod allow;
mod api;
mod book;
pub(crate) mod poll;

pub(crate) use api::{Asked, Post};
pub(crate) use book::{Book, Change};

/// So many requested mappings a client has at most.
pub(crate) const MOST_MAPPINGS: usize = 100;
/// The longest reason, in characters.
pub(crate) const LONGEST_REASON: usize = 200;

/// The name of a request: 16 hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(u64);

/// A text that is no name of a request.
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

/// A text of somebody else: so much of it is kept.
pub(crate) fn shortened(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}
