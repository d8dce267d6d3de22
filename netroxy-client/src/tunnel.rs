//! One tunnel: a data connection that is joined to a target.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netroxy_net::descriptors;
use netroxy_net::relay::relay;
use netroxy_net::resolve::Resolver;
use netroxy_net::stream::Stream;
use netroxy_proto::Token;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Level, Span, debug, info, info_span, warn};

use crate::dial::{self, Server};
use crate::refusal::{Refusals, Why, send_trs};
use crate::spare::Pool;
use crate::{Peer, Service};

/// How long the first bytes of a target are held back from an original server, which loses bytes that arrive together
/// with TRS. Of 1,000 tunnels on loopback 29 lost bytes without a pause, 2 with 1 ms and none with 5 ms. A busy server
/// may take longer.
const HOLD_FROM_ORIGINAL: Duration = Duration::from_millis(20);

/// All that opening a tunnel needs.
pub(crate) struct Tunnel {
    pub(crate) server: Arc<Server>,
    /// `None` if no spares are kept.
    pub(crate) spares: Option<Arc<Pool>>,
    pub(crate) names: Resolver,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) service: Arc<Service>,
    pub(crate) token: Token,
    pub(crate) peer: Peer,
    /// How long the first bytes are held back; `None` depends on the kind of server.
    pub(crate) hold: Option<Duration>,
    /// Cancelled to end the tunnel.
    pub(crate) cut: CancellationToken,
    /// An address that the target must not have: see [`dial::target`].
    pub(crate) forbidden: Option<IpAddr>,
    /// Counts the tunnel in its mapping until it is dropped.
    pub(crate) open: Arc<()>,
}

impl Tunnel {
    /// Opens the tunnel and relays its bytes until it ends.
    ///
    /// An open tunnel may be idle for days, so its future holds no memory that only opening needs. The opening future
    /// has a box of its own, which is freed when the tunnel is open.
    pub(crate) fn run(self) -> impl Future<Output = ()> + Send {
        let (cut, service, counted) = (self.cut.clone(), self.service.clone(), self.open.clone());
        let opening = Box::pin(self.open());
        async move {
            let opened = cut.run_until_cancelled(opening).await;
            if let Some((data, target)) = opened.flatten() {
                carry(data, target, service, cut).await;
            }
            drop(counted);
        }
    }

    async fn open(self) -> Option<(Stream, Stream)> {
        // TRS does not wait for the target, so the user is served one round trip earlier. If the target cannot be
        // reached, the answer is TRS followed by a close anyway.
        let (data, service) = tokio::join!(self.open_data(), self.open_service());
        let data = match data {
            Ok(data) => data,
            Err(error) if descriptors::are_exhausted(&error) => {
                // The refusal needs this descriptor.
                drop(service);
                let port = self.service.remote_port;
                let why = Why::NoDescriptors;
                self.refusals
                    .refuse(&self.server, port, &self.token, why)
                    .instrument(span(&self.service))
                    .await;
                return None;
            }
            Err(error) => {
                let _shown = span(&self.service).entered();
                warn!(server = %self.server, %error, "cannot open a data connection");
                return None;
            }
        };
        let service = match service {
            Ok(service) => service,
            Err(error) => {
                self.tell_unreachable(&error);
                data.close().await;
                return None;
            }
        };
        self.hold_first_bytes(&data).await;
        Some((data, service))
    }

    fn tell_unreachable(&self, error: &io::Error) {
        let _shown = span(&self.service).entered();
        if descriptors::are_exhausted(error) {
            let port = self.service.remote_port;
            self.refusals.warn(port, Why::NoDescriptors);
        } else {
            warn!(%error, rule = "tunnel.refused-close", "cannot reach the service");
        }
    }

    async fn open_data(&self) -> io::Result<Stream> {
        let port = self.service.remote_port;
        if let Some(spares) = &self.spares {
            return spares.open(port, &self.token).await;
        }
        let mut data = self.server.dial().await?;
        send_trs(&mut data, port, &self.token).await?;
        Ok(data)
    }

    async fn open_service(&self) -> io::Result<Stream> {
        match &self.spares {
            Some(spares) => spares.make_room(|| self.dial_service()).await,
            None => self.dial_service().await,
        }
    }

    async fn dial_service(&self) -> io::Result<Stream> {
        let Service { host, port, .. } = &*self.service;
        dial::target(&self.names, host, *port, self.forbidden).await
    }

    /// Waits until the server has read TRS: for the time to hold back, or until bytes of the user have arrived.
    async fn hold_first_bytes(&self, data: &Stream) {
        let is_plain = self.server.is_plain();
        let by_kind = || hold_for(self.peer, self.token.is_like_the_originals(), is_plain);
        let hold = self.hold.unwrap_or_else(by_kind);
        if !hold.is_zero() {
            // After any outcome the tunnel goes on. `readable` may end before a byte has arrived, so it is not used.
            let _ = timeout(hold, data.tcp().peek(&mut [0])).await;
        }
    }
}

/// Relays the bytes of an open tunnel until it ends.
async fn carry(data: Stream, target: Stream, service: Arc<Service>, cut: CancellationToken) {
    if tracing::enabled!(Level::DEBUG) {
        span(&service).in_scope(|| debug!("tunnel open"));
    }
    let start = Instant::now();
    let summary = relay(data, target, Vec::new(), &cut).await;
    span(&service).in_scope(|| {
        info!(
            to_service = summary.a_to_b,
            from_service = summary.b_to_a,
            seconds = start.elapsed().as_secs_f64(),
            reason = summary.reason("the server", "the service"),
            "tunnel closed"
        );
    });
}

/// Names the tunnel in a log line. It is made anew for each line, because an idle tunnel would hold its text.
fn span(service: &Service) -> Span {
    info_span!(
        "tunnel",
        remote_port = %service.remote_port,
        target = %service.target(),
    )
}

/// How long the first bytes are held back if no time is configured. Over TLS they are a record of their own, which an
/// original server does not lose.
fn hold_for(peer: Peer, has_original_token: bool, is_plain: bool) -> Duration {
    let is_original = match peer {
        Peer::Auto => has_original_token,
        Peer::Original => true,
        Peer::Netroxy => false,
    };
    if is_original && is_plain {
        HOLD_FROM_ORIGINAL
    } else {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use netroxy_proto::RemotePort;

    use super::*;
    use crate::ServerConfig;

    fn tunnel() -> Tunnel {
        let names = Resolver::system();
        let config = ServerConfig::plain(([127, 0, 0, 1], 1).into());
        Tunnel {
            server: Arc::new(Server::new(config, names.clone(), None)),
            spares: None,
            names,
            refusals: Arc::new(Refusals::new()),
            service: Arc::new(Service {
                remote_port: RemotePort::try_from(1).unwrap(),
                host: "127.0.0.1".to_owned(),
                port: 1,
                is_open: true,
            }),
            token: Token::try_from(b"token".as_slice()).unwrap(),
            peer: Peer::Auto,
            hold: None,
            cut: CancellationToken::new(),
            forbidden: None,
            open: Arc::new(()),
        }
    }

    #[test]
    fn an_open_tunnel_holds_no_memory_that_only_opening_needs() {
        let carrying = size_of_result(|data, target| async move {
            relay(data, target, Vec::new(), &CancellationToken::new()).await
        });
        let whole = size_of_val(&tunnel().run());
        assert!(whole <= carrying + 256, "{whole} for {carrying}");
    }

    fn size_of_result<T>(_: impl FnOnce(Stream, Stream) -> T) -> usize {
        size_of::<T>()
    }

    #[test]
    fn first_bytes_are_held_back_from_a_plain_original_server_only() {
        for peer in [Peer::Auto, Peer::Original, Peer::Netroxy] {
            for (original_token, plain) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                let is_held = !hold_for(peer, original_token, plain).is_zero();
                let expected = match peer {
                    Peer::Auto => original_token && plain,
                    Peer::Original => plain,
                    Peer::Netroxy => false,
                };
                assert_eq!(is_held, expected, "{peer:?} {original_token} {plain}");
            }
        }
    }
}
