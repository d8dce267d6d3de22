//! The web interface: a page over the running server, a JSON API under it, metrics and health.
//!
//! It listens on a port of its own and is off unless the configuration has a section `web`. Nothing
//! here touches tunnels or the protocol: it reads what the hub and [`crate::live`] tell. Its orders are to
//! switch a mapping, and to free the port of one that was asked for and is withdrawn ([`requests`]).
//!
//! A request passes, in this order: the bound of connections (`admission`), TLS, the time and size that
//! its head may take (hyper), the check of its host and origin, its time ([`guard`]), and then the
//! session that its handler asks for ([`access`]).

mod access;
mod api;
mod board;
mod guard;
mod host;
mod metrics;
mod page;
mod patient;
mod requests;
mod routes;
mod stream;

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, response::Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use netroxy_net::{listen::Closable, log::REFUSAL, stream::Stream};
use netroxy_proto::Username;
use tokio::{net::TcpStream, time::timeout};
use tower_service::Service;
use tracing::{debug, info, warn};

use crate::{WebConfig, accounts::Account, admission::Pass, handshake::shake_hands, hub::Hub};
use access::Sessions;
use board::Board;
pub(crate) use board::Door;
use patient::Patient;
pub(crate) use requests::{Requests, Who};

/// The head of a request has to be there within this time, also that of the next one on a connection.
const HEAD: Duration = Duration::from_secs(10);
/// The most that the head of a request may take.
const LONGEST_HEAD: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
/// What is under way when the server stops may take so long.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// See the [module documentation](self).
pub(crate) struct Web {
    hub: Arc<Hub>,
    /// Where clients connect.
    doors: Vec<Door>,
    board: Board,
    sessions: Sessions,
    /// The port, which names the cookie: browsers send cookies to all ports of a host.
    port: u16,
}

/// A listener of the web interface.
#[derive(Debug)]
pub(crate) struct WebDoor {
    pub(crate) listener: Closable,
    pub(crate) addr: SocketAddr,
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
struct Way {
    peer: IpAddr,
    /// The server's own end.
    local: IpAddr,
    tls: bool,
}

impl Web {
    pub(crate) fn new(hub: Arc<Hub>, doors: Vec<Door>, port: u16) -> Arc<Self> {
        Arc::new(Self {
            board: Board::new(hub.clone()),
            hub,
            doors,
            sessions: Sessions::default(),
            port,
        })
    }

    /// Serves until the server stops.
    pub(crate) fn start(self: &Arc<Self>, doors: Vec<WebDoor>) {
        let tls = self.configured(|web| web.tls.is_some()) == Some(true);
        let router = routes::router(self.clone());
        for door in doors {
            info!(addr = %door.addr, tls, "web interface");
            if !tls && !door.addr.ip().is_loopback() {
                warn!(
                    addr = %door.addr,
                    "passwords for the web interface cross the network in clear text; set web.https"
                );
            }
            let (web, router) = (self.clone(), router.clone());
            self.hub.tasks.spawn(web.accept(router, door.listener));
        }
        let web = self.clone();
        self.hub.tasks.spawn(async move {
            let stop = web.hub.stop.clone();
            stop.run_until_cancelled(web.board.keep()).await;
        });
    }

    async fn accept(self: Arc<Self>, router: Router, listener: Closable) {
        let accept = async {
            while let Some((tcp, peer)) = listener.accept().await {
                match self.hub.admission.web(peer.ip()) {
                    Ok(pass) => {
                        let serving = self.clone().serve(router.clone(), tcp, peer, pass);
                        self.hub.tasks.spawn(serving);
                    }
                    Err(reason) => {
                        info!(target: REFUSAL, %peer, %reason, "connection to the web interface refused");
                    }
                }
            }
        };
        self.hub.stop.run_until_cancelled(accept).await;
    }

    /// One connection; `_pass` counts it.
    async fn serve(self: Arc<Self>, router: Router, tcp: TcpStream, peer: SocketAddr, _pass: Pass) {
        let Ok(local) = tcp.local_addr() else {
            return;
        };
        let tls = self.configured(|web| web.tls.clone()).flatten();
        let way = Way {
            peer: peer.ip(),
            local: local.ip().to_canonical(),
            tls: tls.is_some(),
        };
        let greeting = self.hub.stop.run_until_cancelled(self.greet(tcp, tls));
        let Some(Some(stream)) = greeting.await else {
            return;
        };
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(way);
            let answer = router.clone().call(request);
            async move { answer.await as Result<Response, Infallible> }
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(LONGEST_HEAD)
            .max_headers(MOST_HEADERS)
            .serve_connection(TokioIo::new(Patient::new(stream)), service);
        let mut serving = pin!(serving);
        let served = tokio::select! {
            served = serving.as_mut() => served,
            () = self.hub.stop.cancelled() => {
                serving.as_mut().graceful_shutdown();
                timeout(LAST_WORDS, serving).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = served {
            debug!(%peer, %error, "connection to the web interface");
        }
    }

    async fn greet(
        &self,
        tcp: TcpStream,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> Option<Stream> {
        let Some(tls) = tls else {
            return Some(Stream::Plain(tcp));
        };
        let shaking = shake_hands(&self.hub.user_handshakes, tls, tcp);
        match timeout(HEAD, shaking).await {
            Ok(Ok(stream)) => Some(stream.into()),
            Ok(Err(error)) => {
                debug!(%error, "no TLS handshake with the web interface");
                None
            }
            Err(_) => None,
        }
    }

    /// Asks the section `web`, as it is now.
    fn configured<T>(&self, ask: impl FnOnce(&WebConfig) -> T) -> Option<T> {
        self.hub.config().web.as_ref().map(ask)
    }

    /// Whether an account sees and switches everything.
    fn is_administrator(&self, account: &Account) -> bool {
        self.configured(|web| web.administrators.contains(&account.username)) == Some(true)
    }
}

/// Who looks at the server, and what is to be seen.
#[derive(Debug, Clone)]
struct Viewer {
    account: Arc<Account>,
    /// Sees and switches everything.
    administrator: bool,
}

impl Viewer {
    /// Whether what belongs to an account may be seen and switched; `None` belongs to the server.
    fn may_see(&self, owner: Option<&Username>) -> bool {
        self.administrator || owner == Some(&self.account.username)
    }
}
