//! A server and a client that follow the protocol, or break one rule of it, as their [`Manner`] says.
//!
//! They test the suite: it must pass the correct peers and detect each [`Bug`]. They share no code with the other peers
//! of this repository, so a mistake in those is not repeated here. They are for tests only.

mod bug;
mod chance;
mod client;
mod drips;
mod lines;
mod manner;
mod relay;
mod server;
mod tls;

pub use bug::{Bug, Side};
pub use client::Client;
pub use manner::Manner;
pub use server::Server;

/// The version of these peers.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
