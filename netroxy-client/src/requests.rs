//! Mappings that users request.
//!
//! A user requests a mapping at the web interface of the server: "client X, target Y, port P". The [`poller`](poll)
//! fetches the requests for this client. The [`Book`] keeps requests and decisions. The mapping of an accepted request
//! is added to the table of mappings. v0.3 has no message for requests: the server gets MAP as for every mapping.
//!
//! The server is not trusted. It cannot make this client connect to a target outside of `requests.allow`.
//! [`permit`](crate::RequestsConfig::permit) is checked before a mapping is added, again for each requested mapping
//! when the configuration has changed, and before each connection to a target.

mod allow;
mod api;
mod book;
pub(crate) mod poll;
mod types;

pub(crate) use book::{Book, Change};
pub use types::{InvalidRequestId, RequestId};
pub(crate) use types::{LONGEST_REASON, MOST_MAPPINGS, Polled, Wanted};
