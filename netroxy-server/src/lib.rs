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

mod config;
mod conn;
mod gen_cert;
mod hub;
mod user;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use netroxy_net::listen::{Bind, Closable};
use netroxy_proto::server::Listener;
use tokio::{net::TcpListener, time::timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use config::{Config, TlsConfig};

/// The version of this library, and of the program that is made of it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
use hub::Hub;

/// So long may tunnels go on after the order to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// A server whose listeners are bound.
#[derive(Debug)]
pub struct Server {
    hub: Arc<Hub>,
    doors: Vec<Door>,
}

/// A listener for clients.
struct Door {
    listener: Closable,
    addr: SocketAddr,
    tls: Option<TlsAcceptor>,
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
    "ip and mappingIp take an address or name of this machine; empty is all its addresses";

impl Server {
    /// Binds the listeners.
    ///
    /// # Errors
    ///
    /// [`StartError`] when an address or port cannot be had.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let bind = resolve(&config.ip).await?;
        let mapping_bind = resolve(&config.mapping_ip).await?;
        let mut doors = Vec::new();
        if let Some(port) = config.port {
            doors.push(Door::open(bind, port, None)?);
        }
        if let Some(tls) = &config.tls {
            doors.push(Door::open(
                bind,
                tls.port,
                Some(TlsAcceptor::from(tls.server.clone())),
            )?);
        }
        Ok(Self {
            hub: Arc::new(Hub::new(config, mapping_bind)),
            doors,
        })
    }

    /// Where clients connect without TLS.
    #[must_use]
    pub fn plain_addr(&self) -> Option<SocketAddr> {
        self.doors.iter().find(|d| d.tls.is_none()).map(|d| d.addr)
    }

    /// Where clients connect with TLS.
    #[must_use]
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.doors.iter().find(|d| d.tls.is_some()).map(|d| d.addr)
    }

    /// Serves until `stop` is cancelled. Then listeners and control connections are closed at
    /// once; open tunnels get up to 5 s to end.
    pub async fn run(self, stop: CancellationToken) {
        for door in self.doors {
            let tls = door.tls.is_some();
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
        if timeout(DRAIN, self.hub.tasks.wait()).await.is_err() {
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
    fn open(bind: Bind, port: u16, tls: Option<TlsAcceptor>) -> Result<Self, StartError> {
        let opened = bind
            .listen(port)
            .and_then(|l: TcpListener| Ok((l.local_addr()?, l)));
        let (addr, listener) =
            opened.map_err(|source| StartError::Listen { bind, port, source })?;
        Ok(Self {
            listener: Closable::new(listener),
            addr,
            tls,
        })
    }

    async fn serve(self, hub: Arc<Hub>) {
        let kind = if self.tls.is_some() {
            Listener::Tls
        } else {
            Listener::Plain
        };
        let stop = hub.stop.clone();
        let accept = async {
            while let Some((tcp, peer)) = self.listener.accept().await {
                hub.tasks
                    .spawn(conn::serve(hub.clone(), kind, tcp, peer, self.tls.clone()));
            }
        };
        stop.run_until_cancelled(accept).await;
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

/// The original takes no address and 0.0.0.0 for all addresses, IPv6 included; so do we, and `::`.
async fn resolve(host: &str) -> Result<Bind, StartError> {
    if ["", "0.0.0.0", "::"].contains(&host) {
        return Ok(Bind::Any);
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
