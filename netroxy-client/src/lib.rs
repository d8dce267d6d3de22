//! The private side of a Netroxy reverse tunnel.
//!
//! [`Client`] drives the state machine of [`netroxy_proto::client`] with real sockets. It logs in
//! to a server and maps ports there. It joins each user who connects to a mapped port with the
//! target of the port.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let (config, warnings) = netroxy_client::Config::load("client_config.json".as_ref())?;
//! let client = netroxy_client::Client::new(config);
//! client.run(tokio_util::sync::CancellationToken::new()).await;
//! # Ok(())
//! # }
//! ```

// The modules, in the order in which data flows through them.

// The flags and commands of the program. It loads the configuration, starts the client, and answers the commands that
// reach a running client through its control socket.
pub mod cli;

// Flags, environment and `client_config.json` become a `Config`. Errors name the key and its place in the file.
mod config;

// Drives the state machine of `netroxy_proto`: gives it inputs, carries out its outputs, logs its notices.
mod client;

// Waits for the next input or order, and gives it to the client until the client is stopped. Its children carry out
// the orders of the administrator, and what users have asked for.
mod run;

// The control connection, as it is opened, read and broken. What it receives is an input of the machine.
mod control;

// Opens connections: to the server, plain or TLS, and to targets. Each has a time limit.
mod dial;

// The table of mappings: the target of each remote port, and what the server has answered to MAP. A requested mapping
// enters it only if the configuration allows its target.
mod mappings;

// One tunnel: sends TRS on a data connection, connects to the target, and relays bytes until both sides have ended.
mod tunnel;

// Data connections that are open before their user connects. A tunnel takes one if there is one.
mod spare;

// Makes the server close a user for whom there can be no tunnel: too many are open, or no descriptor is left.
mod refusal;

// Mappings that users request at the server's web interface. A poller fetches the requests, and a book keeps them and
// the decisions.
mod requests;

// Requests and answers of the administrator, and the handle that gives orders to a running client.
pub mod admin;

// Detects that another client uses the same name: the server ends each login soon after it began.
mod eviction;

// Writes the public address of each mapping to stdout, on a thread of its own.
mod public;

// Helpers for the log: one warning in 10 seconds, and rounded times.
mod rounded;
mod seldom;

pub use client::Client;
pub use config::{
    Accept, Allowed, Config, InvalidMapping, MapFlag, Peer, Ports, RequestsConfig, ServerConfig,
    ServerFlag, Service, TlsConfig,
};
pub use requests::{InvalidRequestId, RequestId};

/// The version of this library and of the program `netroxy-client`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
