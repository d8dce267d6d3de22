//! A handle of a running server: it shows the state and changes the configuration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use netroxy_net::descriptors;
use netroxy_proto::server::Listener;
use serde::{Deserialize, Serialize};

use crate::hub::Hub;
use crate::{Census, Config};

/// A running server.
#[derive(Debug, Clone)]
pub struct Handle(pub(crate) Arc<Hub>);

/// The state of a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// The counts of connections.
    pub census: Census,
    /// The clients that are logged in, the oldest login first.
    pub clients: Vec<ClientStatus>,
}

/// A client that is logged in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientStatus {
    /// Its name, escaped.
    pub name: String,
    /// Its account, escaped.
    pub user: String,
    /// The address of its control connection.
    pub address: SocketAddr,
    /// Whether it connected with TLS.
    pub tls: bool,
    /// Seconds since its login.
    pub seconds: u64,
    /// Its users, including those that wait.
    pub users: usize,
    /// Its mapped ports.
    pub ports: Vec<PortStatus>,
}

/// A mapped port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PortStatus {
    /// The port on the server.
    pub remote_port: u16,
    /// The target that the client has named, escaped.
    pub target: String,
    /// Tunnels since the port was opened.
    pub tunnels: u64,
    /// Bytes to users, of tunnels that have ended.
    pub bytes_to_users: u64,
    /// Bytes from users, of tunnels that have ended.
    pub bytes_from_users: u64,
}

impl Handle {
    /// The current state.
    #[must_use]
    pub fn status(&self) -> Status {
        let ports = self.0.mapped_ports();
        let clients = self.0.clients().into_iter().map(|client| ClientStatus {
            name: client.name.to_string(),
            user: client.account.username.to_string(),
            address: client.peer,
            tls: client.listener == Listener::Tls,
            seconds: client.since.elapsed().as_secs(),
            users: client.users.load(Ordering::Relaxed),
            ports: ports
                .iter()
                .filter(|port| Arc::ptr_eq(&port.client, &client))
                .map(|port| PortStatus {
                    remote_port: port.remote_port.get(),
                    target: port.target.to_string(),
                    tunnels: port.served.tunnels.load(Ordering::Relaxed),
                    bytes_to_users: port.served.to_users.load(Ordering::Relaxed),
                    bytes_from_users: port.served.from_users.load(Ordering::Relaxed),
                })
                .collect(),
        });
        Status {
            version: crate::VERSION.to_owned(),
            clients: clients.collect(),
            census: self.0.admission.census(),
        }
    }

    /// Replaces the configuration. Tunnels and the logins of unchanged accounts stay. Some keys cannot change while
    /// the server runs; the result names those that differ and were not changed.
    pub fn reload(&self, mut config: Config) -> Vec<&'static str> {
        let old = self.0.config();
        let mut fixed = Vec::new();
        let mut keep = |key, is_same: bool| {
            if !is_same {
                fixed.push(key);
            }
        };
        keep("ip", config.ip == old.ip);
        keep("port", config.port == old.port);
        keep("mappingIp", config.mapping_ip == old.mapping_ip);
        keep("controlSocket", config.control_socket == old.control_socket);
        keep(
            "limits.handshakes",
            config.limits.handshakes == old.limits.handshakes,
        );
        keep("web.enabled", config.web.is_some() == old.web.is_some());
        if let (Some(new), Some(old)) = (&config.web, &old.web) {
            keep("web.ip", new.ip == old.ip);
            keep("web.port", new.port == old.port);
        }
        let tls_port = |config: &Config| config.tls.as_ref().map(|tls| tls.port);
        keep("tls.port", tls_port(&config) == tls_port(&old));
        config.ip.clone_from(&old.ip);
        config.mapping_ip.clone_from(&old.mapping_ip);
        config.control_socket.clone_from(&old.control_socket);
        config.port = old.port;
        config.limits.handshakes = old.limits.handshakes;
        config.tls = match (config.tls.take(), &old.tls) {
            (Some(new), Some(old)) => Some(crate::TlsConfig {
                port: old.port,
                server: new.server,
            }),
            (_, old) => old.clone(),
        };
        config.web = match (config.web.take(), &old.web) {
            (Some(new), Some(old)) => Some(crate::WebConfig {
                ip: old.ip.clone(),
                port: old.port,
                ..new
            }),
            (_, old) => old.clone(),
        };
        self.0.set_config(config, descriptors::limit());
        fixed
    }
}
