//! The private side of a Netroxy reverse tunnel.
//!
//! [`Client`] drives the state machine of [`netroxy_proto::client`] with real sockets: it logs in
//! to a server, maps ports there, and joins each user who connects to one of them with the service
//! behind it.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let (config, warnings) = netroxy_client::Config::load("client_config.json".as_ref())?;
//! let client = netroxy_client::Client::new(config);
//! client.run(tokio_util::sync::CancellationToken::new()).await;
//! # Ok(())
//! # }
//! ```

pub mod admin;
pub mod cli;

mod client;
mod config;
mod control;
mod dial;
mod eviction;
mod mappings;
mod public;
mod refusal;
mod requests;
mod rounded;
mod seldom;
mod spare;
mod tunnel;

pub use client::Client;
pub use config::{
    Accept, Allowed, Config, InvalidMapping, MapFlag, Peer, Ports, RequestsConfig, ServerConfig,
    ServerFlag, Service, TlsConfig,
};

pub use requests::{InvalidRequestId, RequestId};

/// The version of this library, and of the program that is made of it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
