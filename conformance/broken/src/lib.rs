//! A server and a client that follow the protocol, and break one rule of it when they are told to.
//!
//! They are there to be judged: a suite that passes them unbroken and catches each [`Bug`] can be trusted. They share no
//! code with the other peers of this repository, so that a mistake in those is not repeated here. They are as small as
//! they can be; nobody is meant to run them for anything else.

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
