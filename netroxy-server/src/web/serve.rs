//! The listeners of the web interface and the connections that they accept.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use netroxy_net::listen::Closable;
use netroxy_net::log::REFUSAL;
use netroxy_net::stream::Stream;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;
use tracing::{debug, info, warn};

use super::board::ClientListener;
use super::routes;
use super::state::{ConnectionInfo, Web};
use super::timed_stream::TimedStream;
use crate::admission::Pass;
use crate::handshake::shake_hands;
use crate::hub::Hub;

/// How long the head of a request may take, also of a further request on a connection.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The most bytes of the head of a request.
const LONGEST_HEAD: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
/// How long open requests may take after the server stops.
const SHUTDOWN_TIME: Duration = Duration::from_secs(1);

/// A listener of the web interface.
#[derive(Debug)]
pub(crate) struct WebListener {
    pub(crate) listener: Closable,
    pub(crate) addr: SocketAddr,
}

/// Serves the web interface on `listeners` until the server stops. The page shows the listeners for `clients`.
pub(crate) fn start(hub: &Arc<Hub>, clients: Vec<ClientListener>, listeners: Vec<WebListener>) {
    let Some(first) = listeners.first() else {
        return;
    };
    let web = Web::new(hub.clone(), clients, first.addr.port());
    web.start(listeners);
}

impl Web {
    /// Serves until the server stops.
    fn start(self: &Arc<Self>, listeners: Vec<WebListener>) {
        let tls = self.configured(|web| web.tls.is_some()) == Some(true);
        let router = routes::router(self.clone());
        for listener in listeners {
            info!(addr = %listener.addr, tls, "web interface");
            if !tls && !listener.addr.ip().is_loopback() {
                warn!(
                    addr = %listener.addr,
                    "passwords for the web interface cross the network in clear text; set web.https"
                );
            }
            let (web, router) = (self.clone(), router.clone());
            self.hub.tasks.spawn(web.accept(router, listener.listener));
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

    /// Serves a connection; `_pass` counts it.
    async fn serve(self: Arc<Self>, router: Router, tcp: TcpStream, peer: SocketAddr, _pass: Pass) {
        let Ok(local) = tcp.local_addr() else {
            return;
        };
        let tls = self.configured(|web| web.tls.clone()).flatten();
        let connection = ConnectionInfo {
            peer: peer.ip(),
            local: local.ip().to_canonical(),
            tls: tls.is_some(),
        };
        let opening = self
            .hub
            .stop
            .run_until_cancelled(self.open_stream(tcp, tls));
        let Some(Some(stream)) = opening.await else {
            return;
        };
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(connection);
            let answer = router.clone().call(request);
            async move { answer.await as Result<Response, Infallible> }
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(LONGEST_HEAD)
            .max_headers(MOST_HEADERS)
            .serve_connection(TokioIo::new(TimedStream::new(stream)), service);
        let mut serving = pin!(serving);
        let served = tokio::select! {
            served = serving.as_mut() => served,
            () = self.hub.stop.cancelled() => {
                serving.as_mut().graceful_shutdown();
                timeout(SHUTDOWN_TIME, serving).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = served {
            debug!(%peer, %error, "connection to the web interface");
        }
    }

    async fn open_stream(
        &self,
        tcp: TcpStream,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> Option<Stream> {
        let Some(tls) = tls else {
            return Some(Stream::Plain(tcp));
        };
        let shaking = shake_hands(&self.hub.user_handshakes, tls, tcp);
        match timeout(HEAD_TIME, shaking).await {
            Ok(Ok(stream)) => Some(stream.into()),
            Ok(Err(error)) => {
                debug!(%error, "no TLS handshake with the web interface");
                None
            }
            Err(_) => None,
        }
    }
}
