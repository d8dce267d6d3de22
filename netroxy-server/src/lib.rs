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

pub mod cli;

mod accounts;
mod admission;
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
mod proxy_protocol;
#[cfg(unix)]
mod status;
mod user;
mod web;

use std::{io, net::SocketAddr, sync::Arc};

use netroxy_net::{
    descriptors,
    listen::{Bind, Closable},
    log::REFUSAL,
};
use netroxy_proto::server::Listener;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use accounts::{Account, Accounts, InvalidHash, Secret, hash};
pub use admission::Census;
pub use config::{Config, MappedPorts, TlsConfig, UserNetworks, WebConfig};
pub use handle::{ClientStatus, Handle, PortStatus, Status};
pub use limits::{Figures, Limits};
pub use netroxy_net::relay::close_kept_pipes;
pub use netroxy_net::{
    networks::Networks,
    ports::{InvalidPortSet, PortSet},
};
pub use proxy_protocol::Version as ProxyProtocol;

/// The version of this library, and of the program that is made of it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
use conn::Arrival;
use hub::Hub;
use web::{Web, WebDoor};

/// A server whose listeners are bound.
#[derive(Debug)]
pub struct Server {
    hub: Arc<Hub>,
    doors: Vec<Door>,
    web_doors: Vec<WebDoor>,
}

/// A listener for clients.
struct Door {
    listener: Closable,
    addr: SocketAddr,
    kind: Listener,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configured address is no address of a machine.
    #[error("cannot find the address {host:?}")]
    Resolve {
        /// As configured.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// A port cannot be listened on.
    #[error("cannot listen on {bind}, port {port}")]
    Listen {
        /// The address.
        bind: Bind,
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
}

impl StartError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Listen { source, .. } => match source.kind() {
                io::ErrorKind::AddrInUse => {
                    "is another server running? 'ss -ltnp' shows who listens"
                }
                io::ErrorKind::PermissionDenied => "ports below 1024 are for privileged users",
                _ => ADDRESSES,
            },
            Self::Resolve { .. } => ADDRESSES,
        }
    }
}

const ADDRESSES: &str =
    "ip, mappingIp and web.ip take an address or name of this machine; empty is all its addresses";

impl Server {
    /// Binds the listeners.
    ///
    /// # Errors
    ///
    /// [`StartError`] when an address or port cannot be listened on.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let mapping_bind = resolve_all(&config.mapping_ip).await?;
        let mut doors = Vec::new();
        for bind in resolve_all(&config.ip).await? {
            if let Some(port) = config.port {
                doors.push(Door::open(bind, port, Listener::Plain)?);
            }
            if let Some(tls) = &config.tls {
                doors.push(Door::open(bind, tls.port, Listener::Tls)?);
            }
        }
        let mut web_doors = Vec::new();
        if let Some(web) = &config.web {
            for bind in resolve_all(&web.ip).await? {
                let (addr, listener) = listen(bind, web.port)?;
                web_doors.push(WebDoor { listener, addr });
            }
        }
        let hub = Hub::new(config, mapping_bind, descriptors::limit());
        Ok(Self {
            hub: Arc::new(hub),
            doors,
            web_doors,
        })
    }

    /// Where clients connect without TLS, at the first address.
    #[must_use]
    pub fn plain_addr(&self) -> Option<SocketAddr> {
        self.addr(Listener::Plain)
    }

    /// Where clients connect with TLS, at the first address.
    #[must_use]
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.addr(Listener::Tls)
    }

    /// Where the web interface is, at the first address.
    #[must_use]
    pub fn web_addr(&self) -> Option<SocketAddr> {
        self.web_doors.first().map(|door| door.addr)
    }

    fn addr(&self, kind: Listener) -> Option<SocketAddr> {
        self.doors.iter().find(|d| d.kind == kind).map(|d| d.addr)
    }

    /// Changes the configuration and tells the state while the server runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(self.hub.clone())
    }

    /// Serves until `stop` is cancelled. Then listeners and control connections are closed at
    /// once; open tunnels get as long to end as [`Config::shutdown_timeout`] says.
    pub async fn run(self, stop: CancellationToken) {
        info!(
            descriptors = descriptors::limit(),
            tunnels = self.hub.admission.limit(|limits| limits.tunnels),
            "limits of this process"
        );
        if let Some(addr) = self.web_addr() {
            let doors = self.doors.iter().map(Door::told).collect();
            let web = Web::new(self.hub.clone(), doors, addr.port());
            web.start(self.web_doors);
        }
        for door in self.doors {
            let tls = door.kind == Listener::Tls;
            info!(addr = %door.addr, tls, "listening for clients");
            if !tls && !door.addr.ip().is_loopback() {
                warn!(
                    addr = %door.addr,
                    "passwords cross the network in clear text on this port; prefer TLS"
                );
            }
            self.hub.tasks.spawn(door.serve(self.hub.clone()));
        }
        self.hub.tasks.spawn(self.hub.clone().tick());
        stop.cancelled().await;
        info!("stopping");
        self.hub.stop.cancel();
        self.hub.tasks.close();
        let drain = self.hub.config().shutdown_timeout;
        if timeout(drain, self.hub.tasks.wait()).await.is_err() {
            warn!(
                open = self.hub.tasks.len(),
                "cutting the tunnels that are still open"
            );
            self.hub.cut.cancel();
            self.hub.tasks.wait().await;
        }
    }
}

impl Door {
    fn open(bind: Bind, port: u16, kind: Listener) -> Result<Self, StartError> {
        let (addr, listener) = listen(bind, port)?;
        Ok(Self {
            listener,
            addr,
            kind,
        })
    }

    /// As the web interface shows it.
    fn told(&self) -> web::Door {
        web::Door {
            address: self.addr,
            tls: self.kind == Listener::Tls,
        }
    }

    async fn serve(self, hub: Arc<Hub>) {
        let stop = hub.stop.clone();
        let accept = async {
            while let Some((tcp, peer)) = self.listener.accept().await {
                match hub.admission.fresh(peer.ip(), hub.waiting()) {
                    Ok(pass) => {
                        let arrival = Arrival {
                            tcp,
                            peer,
                            listener: self.kind,
                            pass,
                        };
                        hub.tasks.spawn(conn::serve(hub.clone(), arrival));
                    }
                    Err(reason) => {
                        info!(target: REFUSAL, %peer, %reason, "connection refused");
                    }
                }
            }
        };
        stop.run_until_cancelled(accept).await;
    }
}

fn listen(bind: Bind, port: u16) -> Result<(SocketAddr, Closable), StartError> {
    let opened = bind
        .listen(port)
        .and_then(|l: TcpListener| Ok((l.local_addr()?, l)));
    let (addr, listener) = opened.map_err(|source| StartError::Listen { bind, port, source })?;
    Ok((addr, Closable::new(listener)))
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

async fn resolve_all(hosts: &[String]) -> Result<Vec<Bind>, StartError> {
    if hosts.is_empty() {
        return Ok(vec![Bind::Any]);
    }
    let mut binds = Vec::new();
    for host in hosts {
        binds.push(resolve(host).await?);
    }
    Ok(binds)
}

async fn resolve(host: &str) -> Result<Bind, StartError> {
    if let Ok(bind) = host.parse() {
        return Ok(bind);
    }
    let unknown = |source| StartError::Resolve {
        host: host.to_owned(),
        source,
    };
    let found: Vec<_> = tokio::net::lookup_host((host, 0))
        .await
        .map_err(unknown)?
        .collect();
    // A name means its IPv4 address first, as for the original.
    let ipv4 = found.iter().find(|addr| addr.is_ipv4());
    let addr = ipv4
        .or_else(|| found.first())
        .ok_or_else(|| unknown(io::ErrorKind::NotFound.into()))?;
    Ok(Bind::Ip(addr.ip()))
}
