//! What a client is started with.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use netroxy_net::networks::Networks;
use netroxy_net::ports::PortSet;
use netroxy_proto::client::Mapping;
use netroxy_proto::{ClientName, Password, RemotePort, Target, Username};
use rustls_pki_types::ServerName;
use serde::Deserialize;

/// What a client is started with.
#[derive(Clone)]
pub struct Config {
    /// The server.
    pub server: ServerConfig,
    /// The client name. The server replaces an older login of the same user and name.
    pub name: ClientName,
    /// The user name.
    pub username: Username,
    /// The password.
    pub password: Password,
    /// The services that are reachable through the server.
    pub services: Vec<Service>,
    /// The kind of server.
    pub peer: Peer,
    /// How long the first bytes of a service are held back after TRS. `None` is 20 ms for an original server on plain
    /// TCP, and 0 for any other.
    pub hold_first_bytes: Option<Duration>,
    /// How long the client waits for the answer to a login.
    pub login_timeout: Duration,
    /// The longest wait before the next attempt, without its random part.
    pub longest_retry_wait: Duration,
    /// How many data connections are kept open at most for the next users.
    pub spare_connections: usize,
    /// The local socket for commands of the administrator; `None` is no socket. [`Client`](crate::Client) ignores it,
    /// the program opens it: see [`admin`](crate::admin).
    pub control_socket: Option<PathBuf>,
    /// Whether users may request mappings; `None` is no.
    pub requests: Option<RequestsConfig>,
}

/// How users may request mappings at the web interface of the server.
#[derive(Debug, Clone)]
pub struct RequestsConfig {
    /// The web interface of the server.
    pub api: ServerConfig,
    /// Whether the password may be sent in clear text to another machine.
    pub plain: bool,
    /// How allowed requests are decided.
    pub accept: Accept,
    /// The targets that a requested mapping may have.
    pub allow: Vec<Allowed>,
    /// The remote ports that may be requested; `None` is any.
    pub remote_ports: Option<Vec<PortSet>>,
}

/// Targets that users may request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Their addresses.
    pub networks: Networks,
    /// Their ports.
    pub ports: Vec<PortSet>,
}

/// How an allowed request is decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Accept {
    /// A person at the client accepts or refuses it.
    #[default]
    ByHand,
    /// The client accepts it at once.
    Auto,
}

/// The kind of server. The original server of 2016 loses bytes that arrive together with TRS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    /// The client detects the kind by the form of the server's tokens.
    #[default]
    Auto,
    /// The original server: the first bytes of a target are held back.
    Original,
    /// A server that follows the specification.
    Netroxy,
}

/// The address of a server, and how to connect to it.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Name or IP address, without brackets.
    pub host: String,
    /// The port for clients.
    pub port: u16,
    /// How to use TLS; `None` is plain TCP.
    pub tls: Option<TlsConfig>,
}

impl ServerConfig {
    /// A server without TLS.
    #[cfg(test)]
    pub(crate) fn plain(addr: std::net::SocketAddr) -> Self {
        Self {
            host: addr.ip().to_string(),
            port: addr.port(),
            tls: None,
        }
    }

    /// Whether host, port, and the use and server name of TLS are equal. Trust may differ: open connections were
    /// checked when they were opened.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        let name = |tls: &Option<TlsConfig>| tls.as_ref().map(|tls| tls.server_name.clone());
        self.host == other.host && self.port == other.port && name(&self.tls) == name(&other.tls)
    }
}

/// A service that is reachable through the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The port on the server.
    pub remote_port: RemotePort,
    /// Name or IP address of the service, without brackets. An empty text is this machine.
    pub host: String,
    /// Port of the service.
    pub port: u16,
    /// Whether the server accepts users of the port.
    pub is_open: bool,
}

impl Service {
    /// The target that the client sends in MAP.
    #[must_use]
    pub fn target(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    pub(crate) fn mapping(&self) -> Mapping {
        // No host of a configuration file contains a line feed. A host that a program sets may contain one: the target
        // in MAP is without it, the connection uses the host as it is.
        let target = self.target().replace('\n', "");
        let target = Target::try_from(target.as_bytes()).unwrap_or_else(|_| Target::empty());
        Mapping {
            remote_port: self.remote_port,
            target,
            is_open: self.is_open,
        }
    }
}

/// TLS to the server.
#[derive(Clone)]
pub struct TlsConfig {
    /// The name that the certificate of the server must have.
    pub server_name: ServerName<'static>,
    /// The TLS configuration, with the certificates to trust.
    pub client: Arc<rustls::ClientConfig>,
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("server", &self.server)
            .field("name", &self.name)
            .field("services", &self.services)
            .finish_non_exhaustive()
    }
}
