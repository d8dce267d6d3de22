//! A server: its listeners, its start and its stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use netroxy_net::descriptors;
use netroxy_net::listen::{Bind, Closable};
use netroxy_net::log::REFUSAL;
use netroxy_proto::server::Listener;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::conn::{self, Arrival};
use crate::handle::Handle;
use crate::hub::Hub;
use crate::web::{self, WebListener};
use crate::{Config, user};

/// A server whose listeners are bound.
#[derive(Debug)]
pub struct Server {
    hub: Arc<Hub>,
    listeners: Vec<ControlListener>,
    web_listeners: Vec<WebListener>,
}

/// A listener for clients.
struct ControlListener {
    listener: Closable,
    addr: SocketAddr,
    kind: Listener,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A configured name has no address.
    #[error("cannot find the address {host:?}")]
    Resolve {
        /// The name in the configuration.
        host: String,
        /// The cause.
        source: io::Error,
    },
    /// A port cannot be listened on.
    #[error("cannot listen on {bind}, port {port}")]
    Listen {
        /// The address.
        bind: Bind,
        /// The port.
        port: u16,
        /// The cause.
        source: io::Error,
    },
}

impl StartError {
    /// What the operator can do about the error.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Listen { source, .. } => match source.kind() {
                io::ErrorKind::AddrInUse => {
                    "is another server running? 'ss -ltnp' shows which program listens"
                }
                io::ErrorKind::PermissionDenied => "ports below 1024 are for privileged users",
                _ => ADDRESSES,
            },
            Self::Resolve { .. } => ADDRESSES,
        }
    }
}

const ADDRESSES: &str =
    "ip, mappingIp and web.ip take an address or name of this machine; an empty text means all";

impl Server {
    /// Binds the listeners.
    ///
    /// # Errors
    ///
    /// [`StartError`] when an address or port cannot be listened on.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let mapping_bind = resolve_all(&config.mapping_ip).await?;
        let mut listeners = Vec::new();
        for bind in resolve_all(&config.ip).await? {
            if let Some(port) = config.port {
                listeners.push(ControlListener::open(bind, port, Listener::Plain)?);
            }
            if let Some(tls) = &config.tls {
                listeners.push(ControlListener::open(bind, tls.port, Listener::Tls)?);
            }
        }
        let mut web_listeners = Vec::new();
        if let Some(web) = &config.web {
            for bind in resolve_all(&web.ip).await? {
                let (addr, listener) = listen(bind, web.port)?;
                web_listeners.push(WebListener { listener, addr });
            }
        }
        let hub = Hub::new(config, mapping_bind, descriptors::limit(), user::accept);
        Ok(Self {
            hub: Arc::new(hub),
            listeners,
            web_listeners,
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
        self.web_listeners.first().map(|listener| listener.addr)
    }

    fn addr(&self, kind: Listener) -> Option<SocketAddr> {
        self.listeners
            .iter()
            .find(|d| d.kind == kind)
            .map(|d| d.addr)
    }

    /// A handle that shows the state and changes the configuration while the server runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(self.hub.clone())
    }

    /// Serves until `stop` is cancelled. Then it closes listeners and control connections at once, and
    /// the tunnels that are still open after [`Config::shutdown_timeout`].
    pub async fn run(self, stop: CancellationToken) {
        info!(
            descriptors = descriptors::limit(),
            tunnels = self.hub.admission.limit(|limits| limits.tunnels),
            "limits of this process"
        );
        let clients = self.listeners.iter().map(ControlListener::shown).collect();
        web::start(&self.hub, clients, self.web_listeners);
        for listener in self.listeners {
            let tls = listener.kind == Listener::Tls;
            info!(addr = %listener.addr, tls, "listening for clients");
            if !tls && !listener.addr.ip().is_loopback() {
                warn!(
                    addr = %listener.addr,
                    "passwords cross the network in clear text on this port; prefer TLS"
                );
            }
            self.hub.tasks.spawn(listener.serve(self.hub.clone()));
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

impl ControlListener {
    fn open(bind: Bind, port: u16, kind: Listener) -> Result<Self, StartError> {
        let (addr, listener) = listen(bind, port)?;
        Ok(Self {
            listener,
            addr,
            kind,
        })
    }

    /// The listener as the web interface shows it.
    fn shown(&self) -> web::ClientListener {
        web::ClientListener {
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

impl std::fmt::Debug for ControlListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlListener")
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
    // An IPv4 address comes first, as in the original server.
    let ipv4 = found.iter().find(|addr| addr.is_ipv4());
    let addr = ipv4
        .or_else(|| found.first())
        .ok_or_else(|| unknown(io::ErrorKind::NotFound.into()))?;
    Ok(Bind::Ip(addr.ip()))
}
