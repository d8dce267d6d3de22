//! The web interface: a page about the running server, a JSON API, metrics and health checks.
//!
//! It listens on a port of its own and is off unless the configuration has a section `web`. It reads the
//! state of the hub and of [`crate::live`], and changes nothing of tunnels or of the protocol. It can only
//! switch a mapping, and free the port of a request that is withdrawn ([`requests`]).
//!
//! A request passes these checks in this order: the bound of connections (`admission`), TLS, the time and
//! size of its head (hyper), its host and origin ([`guard`]), its time ([`guard`]), and the session that its
//! handler needs ([`access`]).

mod access;
mod answer;
mod api;
mod board;
mod guard;
mod host;
mod metrics;
mod page;
mod requests;
mod routes;
mod serve;
mod session;
mod state;
mod stream;
mod timed_stream;
mod viewer;

pub(crate) use board::ClientListener;
pub(crate) use serve::{WebListener, start};
