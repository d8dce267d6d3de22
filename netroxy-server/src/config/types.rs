//! The types of the configuration.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use netroxy_net::listen::Bind;
use netroxy_net::networks::Networks;
use netroxy_net::ports::PortSet;
use netroxy_proto::{Password, Timeout, Username};

use crate::accounts::Accounts;
use crate::limits::Limits;
use crate::proxy_protocol;

/// The configuration of a server. The listeners stay as they are until the server stops; everything else can be
/// changed while it runs ([`crate::Handle::reload`]).
#[derive(Clone)]
pub struct Config {
    /// Addresses on which clients connect, each an IP address or a name. An empty list, an empty text and
    /// `0.0.0.0` mean all addresses.
    pub ip: Vec<String>,
    /// Port on which clients connect without TLS; 0 is any free port.
    pub port: Option<u16>,
    /// The listener on which clients connect with TLS.
    pub tls: Option<TlsConfig>,
    /// Addresses on which users connect to mapped ports, written as `ip`.
    pub mapping_ip: Vec<String>,
    /// The accounts that may log in.
    pub accounts: Arc<Accounts>,
    /// How long a client may send no message.
    pub timeout: Timeout,
    /// How long a connection may take from its start to log in or to become a tunnel.
    pub login_timeout: Duration,
    /// How long a user waits for a tunnel.
    pub user_timeout: Duration,
    /// How long tunnels may stay open after the order to stop.
    pub shutdown_timeout: Duration,
    /// Connections from these networks to the control ports begin with a PROXY header.
    pub trusted_proxies: Networks,
    /// The ports that clients may map.
    pub allowed_ports: PortSet,
    /// Settings of some mapped ports. For each port, the first entry that contains it counts.
    pub mapped_ports: Vec<MappedPorts>,
    /// The limits.
    pub limits: Limits,
    /// The socket for `netroxy-server status`.
    pub control_socket: Option<PathBuf>,
    /// The web interface; `None` if it is off.
    pub web: Option<WebConfig>,
}

/// A listener with TLS.
#[derive(Clone)]
pub struct TlsConfig {
    /// The port; 0 is any free port.
    pub port: u16,
    /// Certificates and keys.
    pub server: Arc<rustls::ServerConfig>,
}

/// The web interface.
#[derive(Clone)]
pub struct WebConfig {
    /// Addresses on which it listens, written as [`Config::ip`].
    pub ip: Vec<String>,
    /// The port; 0 is any free port.
    pub port: u16,
    /// Certificates and keys; `None` is HTTP without TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Further host names of it, beside those in `ip`.
    pub hosts: Vec<String>,
    /// The accounts that may see and switch what belongs to other accounts.
    pub administrators: BTreeSet<Username>,
    /// The token for the metrics. Without a token they can be read from this machine.
    pub metrics_token: Option<Password>,
}

/// Settings of some mapped ports.
#[derive(Clone)]
pub struct MappedPorts {
    /// The ports.
    pub ports: PortSet,
    /// Addresses on which users connect, in place of [`Config::mapping_ip`].
    pub ip: Option<Vec<Bind>>,
    /// TLS between users and the server; the service receives the decrypted bytes.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Which users are let in.
    pub users: UserNetworks,
    /// Connections from these networks come from a proxy and begin with a PROXY header.
    pub trusted_proxies: Networks,
    /// The version of the PROXY header that the service receives before the first byte of a user.
    pub proxy_protocol: Option<proxy_protocol::Version>,
    /// The most new users a second; 0 is no limit.
    pub users_per_second: usize,
    /// The most bytes a second of all tunnels of the port, both directions together; 0 is no limit.
    pub bytes_per_second: usize,
}

/// The networks from which users are let in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserNetworks {
    /// Only users from these, if this is not empty.
    pub allow: Networks,
    /// No users from these.
    pub deny: Networks,
}

impl UserNetworks {
    /// Whether a user from an address is let in.
    #[must_use]
    pub fn admit(&self, ip: IpAddr) -> bool {
        (self.allow.is_empty() || self.allow.contain(ip)) && !self.deny.contain(ip)
    }
}

impl Config {
    /// The settings of a mapped port, if it has any.
    pub(crate) fn mapped_port(&self, port: u16) -> Option<&MappedPorts> {
        self.mapped_ports
            .iter()
            .find(|mapped| mapped.ports.contains(port))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("ip", &self.ip)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .field("mapping_ip", &self.mapping_ip)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WebConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebConfig")
            .field("ip", &self.ip)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MappedPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedPorts")
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}
