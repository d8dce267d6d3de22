//! `client_config.json`, as the original client reads it, and what is new in it.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use netroxy_net::{config_file::ConfigError, networks::Networks, ports::PortSet};
use netroxy_proto::{ClientName, Password, RemotePort, Target, Username, client::Mapping};
use serde::Deserialize;

mod file;
pub(crate) mod flags;
mod mapping;
mod name;
pub(crate) mod password;
#[cfg(test)]
pub(crate) mod reference;
mod requests;
pub(crate) mod sources;
pub(crate) mod tls;
#[cfg(test)]
mod words;

pub use mapping::{InvalidMapping, MapFlag, Ports, ServerFlag};
use sources::{Origin, Sources};
pub use tls::TlsConfig;

/// What a client is started with.
#[derive(Clone)]
pub struct Config {
    /// Where the server is.
    pub server: ServerConfig,
    /// The name shown to the server; the server replaces an older login of the same name.
    pub name: ClientName,
    /// The user name.
    pub username: Username,
    /// The password.
    pub password: Password,
    /// What is to be reachable through the server.
    pub services: Vec<Service>,
    /// What the server is.
    pub peer: Peer,
    /// How long the first bytes of a service are held back after TRS; `None` is 20 ms for an
    /// original server on plain TCP and else not at all.
    pub hold_first_bytes: Option<Duration>,
    /// How long the server may take to answer a login.
    pub login_timeout: Duration,
    /// The longest wait before another attempt, without its random part.
    pub longest_retry_wait: Duration,
    /// So many connections to the server are kept open at most for users to come.
    pub spare_connections: usize,
    /// Where the program answers its administrator; `None` is nowhere. A client that is part of
    /// another program does not look at it: see [`admin`](crate::admin).
    pub control_socket: Option<PathBuf>,
    /// Whether users may ask for mappings; `None` is no.
    pub requests: Option<RequestsConfig>,
}

/// How users may ask for mappings, through the web interface of the server.
#[derive(Debug, Clone)]
pub struct RequestsConfig {
    /// Where the web interface is.
    pub api: ServerConfig,
    /// Whether the password may be sent in clear text to another machine.
    pub plain: bool,
    /// Who decides about what is allowed.
    pub accept: Accept,
    /// Where a requested mapping may lead to: nowhere else.
    pub allow: Vec<Allowed>,
    /// The ports of the server that may be asked for; `None` is any.
    pub remote_ports: Option<Vec<PortSet>>,
}

/// Services that users may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Their addresses.
    pub networks: Networks,
    /// Their ports.
    pub ports: Vec<PortSet>,
}

/// Who decides about the request of a user that is allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Accept {
    /// A person at the client.
    #[default]
    ByHand,
    /// It is accepted at once.
    Auto,
}

/// What a server is: the original one of 2016 needs a client that is careful.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    /// Found out by the form of its tokens.
    #[default]
    Auto,
    /// The original server: it loses what arrives together with TRS.
    Original,
    /// A server that keeps the specification.
    Netroxy,
}

/// Where the server is.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Name or IP address, without brackets.
    pub host: String,
    /// The port for clients.
    pub port: u16,
    /// TLS, if the port speaks it.
    pub tls: Option<TlsConfig>,
}

impl ServerConfig {
    /// A server that speaks no TLS.
    #[cfg(test)]
    pub(crate) fn plain(addr: std::net::SocketAddr) -> Self {
        Self {
            host: addr.ip().to_string(),
            port: addr.port(),
            tls: None,
        }
    }

    /// Whether connections go to the same place in the same way. Whom TLS trusts may differ: what is
    /// open was checked when it was opened.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        let name = |tls: &Option<TlsConfig>| tls.as_ref().map(|tls| tls.server_name.clone());
        self.host == other.host && self.port == other.port && name(&self.tls) == name(&other.tls)
    }
}

/// A service that is to be reachable through the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The port on the server.
    pub remote_port: RemotePort,
    /// Name or IP address of the service, without brackets; empty is this machine.
    pub host: String,
    /// Port of the service.
    pub port: u16,
    /// Whether the server lets users through.
    pub is_open: bool,
}

impl Service {
    /// The address as it is told to the server.
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
        // The configuration was checked: no host holds a line feed. A host of a library user that
        // does is told to the server without it; the connection uses the host itself.
        let target = self.target().replace('\n', "");
        let target = Target::try_from(target.as_bytes()).unwrap_or_else(|_| Target::empty());
        Mapping {
            remote_port: self.remote_port,
            target,
            is_open: self.is_open,
        }
    }
}

impl Config {
    /// Reads `client_config.json`, and the CA file that it may name. Paths in the file are
    /// relative to it. The second part of the result are warnings for the user.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with the place in the file and the key.
    pub fn load(path: &Path) -> Result<(Self, Vec<String>), ConfigError> {
        Sources::file(path).load()
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
