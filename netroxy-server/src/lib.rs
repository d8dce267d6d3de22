//! The public side of a Netroxy reverse tunnel.
//!
//! [`Server`] drives the state machine of [`netroxy_proto::server`] with real sockets: clients log
//! in, map ports, and each user who connects to a mapped port is joined to a tunnel that its
//! client opens.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let (config, warnings) = netroxy_server::Config::load("server_config.json".as_ref())?;
//! let server = netroxy_server::Server::bind(config).await?;
//! server.run(tokio_util::sync::CancellationToken::new()).await;
//! # Ok(())
//! # }
//! ```
//!
//! # The modules, in the order in which data flows
//!
//! The imports of the modules form no circle.
//!
//! * [`cli`] is the program: its flags, its signals, its exit codes. It starts a server or runs one of
//!   the commands `init` (a first configuration), `gen_cert` (a certificate), `hash_password` and
//!   `status` (the state of a running server).
//! * `config` reads `server_config.json` and the files that it names. `limits` computes the limits that
//!   follow from the configuration and from the descriptors of the process.
//! * `server` binds the listeners for clients and for the web interface, and serves until it receives the
//!   order to stop. It gives each accepted connection to `conn`.
//! * `admission` counts connections, logins and users, and refuses those above a limit.
//! * `proxy_protocol` reads the header by which a trusted proxy names the real peer. `handshake` is the
//!   TLS handshake.
//! * `conn` is the task of a connection from a client. It sends and receives messages, and gives the
//!   stream of a data connection to the task of a user.
//! * `accounts` checks user names and passwords. `client` is a client that is logged in.
//! * `hub` holds the state machine. It feeds the inputs of all tasks to the machine and carries out its
//!   outputs: it sends orders to connections, and opens and closes mapped ports.
//! * `port` is a mapped port. `user` accepts the users of a mapped port, waits for their data
//!   connections and relays.
//! * `live` holds the open tunnels and the latest events for the web interface. `requests` holds the
//!   requests for mappings.
//! * `handle` shows the state of a running server and changes its configuration. `web` is the web
//!   interface: a page, a JSON API and metrics.

pub mod cli;

mod accounts;
mod admission;
mod client;
mod config;
mod conn;
mod gen_cert;
mod handle;
mod handshake;
mod hash_password;
mod hub;
mod init;
mod limits;
mod live;
mod port;
mod proxy_protocol;
mod requests;
mod server;
#[cfg(unix)]
mod status;
mod user;
mod web;

pub use accounts::{Account, Accounts, InvalidHash, Secret, hash};
pub use admission::Census;
pub use config::{Config, MappedPorts, TlsConfig, UserNetworks, WebConfig};
pub use handle::{ClientStatus, Handle, PortStatus, Status};
pub use limits::{Figures, Limits};
pub use netroxy_net::networks::Networks;
pub use netroxy_net::ports::{InvalidPortSet, PortSet};
pub use netroxy_net::relay::close_kept_pipes;
pub use proxy_protocol::Version as ProxyProtocol;
pub use server::{Server, StartError};

/// The version of this library, and of the program that is made of it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
