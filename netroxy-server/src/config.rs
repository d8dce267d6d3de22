//! What a server is started with.

use std::{collections::BTreeSet, fmt, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use netroxy_net::{listen::Bind, networks::Networks, ports::PortSet};
use netroxy_proto::{Password, Timeout, Username};

use crate::{accounts::Accounts, limits::Limits, proxy_protocol};

mod file;
#[cfg(test)]
pub(crate) mod reference;
#[cfg(test)]
mod words;

/// What a server is started with. The listeners are fixed from then on; everything else can be
/// changed while the server runs ([`crate::Handle::reload`]).
#[derive(Clone)]
pub struct Config {
    /// Addresses on which clients connect, each an IP address or a name; none, an empty one and
    /// `0.0.0.0` mean all addresses.
    pub ip: Vec<String>,
    /// Port on which clients connect without TLS; 0 is any free one.
    pub port: Option<u16>,
    /// Where clients connect with TLS.
    pub tls: Option<TlsConfig>,
    /// Addresses on which users connect to mapped ports, as `ip`.
    pub mapping_ip: Vec<String>,
    /// Who may log in.
    pub accounts: Arc<Accounts>,
    /// How long a client may be silent.
    pub timeout: Timeout,
    /// How long a connection may take to log in, or to become a tunnel, from its first moment.
    pub login_timeout: Duration,
    /// How long a user waits for a tunnel.
    pub user_timeout: Duration,
    /// How long tunnels may go on after the order to stop.
    pub shutdown_timeout: Duration,
    /// Connections to the control ports from here begin with a PROXY header.
    pub trusted_proxies: Networks,
    /// Which ports clients may map.
    pub allowed_ports: PortSet,
    /// What is special about some mapped ports; the first entry that names a port counts.
    pub mapped_ports: Vec<MappedPorts>,
    /// The limits.
    pub limits: Limits,
    /// Where `netroxy-server status` asks.
    pub control_socket: Option<PathBuf>,
    /// The web interface; `None` is none.
    pub web: Option<WebConfig>,
}

/// A listener with TLS.
#[derive(Clone)]
pub struct TlsConfig {
    /// The port; 0 is any free one.
    pub port: u16,
    /// Certificates and keys.
    pub server: Arc<rustls::ServerConfig>,
}

/// The web interface.
#[derive(Clone)]
pub struct WebConfig {
    /// Addresses that it listens at, as [`Config::ip`].
    pub ip: Vec<String>,
    /// The port; 0 is any free one.
    pub port: u16,
    /// Certificates and keys; `None` is HTTP without TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Names, beside those in `ip`, by which browsers may ask for it.
    pub hosts: Vec<String>,
    /// The accounts that see and switch everything, and not only what is their own.
    pub administrators: BTreeSet<Username>,
    /// Who shows this may read the metrics; `None` lets in who asks from this machine.
    pub metrics_token: Option<Password>,
}

/// What is special about some mapped ports.
#[derive(Clone)]
pub struct MappedPorts {
    /// Which.
    pub ports: PortSet,
    /// Addresses on which users connect, in place of [`Config::mapping_ip`].
    pub ip: Option<Vec<Bind>>,
    /// Users speak TLS with the server; the service gets what is inside.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Which users are let in.
    pub users: UserNetworks,
    /// Users from here come through a proxy: each connection begins with a PROXY header.
    pub trusted_proxies: Networks,
    /// The service gets a PROXY header before the first byte.
    pub proxy_protocol: Option<proxy_protocol::Version>,
    /// New users a second at most; 0 is no limit.
    pub users_per_second: usize,
    /// Bytes a second of all tunnels of the port, both directions together; 0 is no limit.
    pub bytes_per_second: usize,
}

/// Which users a port is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserNetworks {
    /// Only these, if it is not empty.
    pub allow: Networks,
    /// But not these.
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
    /// What is special about a mapped port, if anything is.
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
