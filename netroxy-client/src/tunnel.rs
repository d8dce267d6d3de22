//! One tunnel: a data connection joined to a service.

use std::{
    io,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use netroxy_net::{descriptors, relay::relay, resolve::Resolver, stream::Stream};
use netroxy_proto::Token;
use tokio::io::Interest;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, info_span, warn};

use crate::{
    Peer, Service,
    dial::{self, Server},
    refusal::{Refusals, Why, send_trs},
};

/// How long the first bytes of a service are held back from an original server, which loses what
/// reaches it together with TRS. Of 1,000 tunnels on loopback 29 lost bytes without it, 2 with 1 ms and none with
/// 5 ms; a busy server may take longer.
const HOLD_FROM_ORIGINAL: Duration = Duration::from_millis(20);

/// What is needed to open a tunnel.
pub(crate) struct Tunnel {
    pub(crate) server: Arc<Server>,
    pub(crate) names: Resolver,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) service: Service,
    pub(crate) token: Token,
    pub(crate) peer: Peer,
    /// As configured; `None` is by the kind of server.
    pub(crate) hold: Option<Duration>,
    /// Cancelled when the tunnel is to end.
    pub(crate) cut: CancellationToken,
    /// Where the service must not be: see [`dial::target`].
    pub(crate) forbidden: Option<IpAddr>,
    /// Counts the tunnel as one of its mapping for as long as it lives.
    pub(crate) open: Arc<()>,
}

impl Tunnel {
    pub(crate) async fn run(self) {
        let span = info_span!(
            "tunnel",
            remote_port = %self.service.remote_port,
            target = %self.service.target(),
        );
        let opened = self
            .cut
            .run_until_cancelled(self.open().instrument(span.clone()))
            .await;
        let Some((data, service)) = opened.flatten() else {
            return;
        };
        self.relay(data, service).instrument(span).await;
        drop(self.open);
    }

    async fn open(&self) -> Option<(Stream, Stream)> {
        // TRS does not wait for the service: the user is served one round trip earlier, and if the
        // service cannot be reached TRS followed by a close is the answer anyway.
        let service = dial::target(
            &self.names,
            &self.service.host,
            self.service.port,
            self.forbidden,
        );
        let (data, service) = tokio::join!(self.open_data(), service);
        let data = match data {
            Ok(data) => data,
            Err(error) if descriptors::are_exhausted(&error) => {
                // Its descriptor is what the refusal needs.
                drop(service);
                let port = self.service.remote_port;
                let why = Why::NoDescriptors;
                self.refusals
                    .refuse(&self.server, port, &self.token, why)
                    .await;
                return None;
            }
            Err(error) => {
                warn!(server = %self.server, %error, "cannot open a data connection");
                return None;
            }
        };
        let service = match service {
            Ok(service) => service,
            Err(error) => {
                if descriptors::are_exhausted(&error) {
                    let port = self.service.remote_port;
                    self.refusals.warn(port, Why::NoDescriptors);
                } else {
                    warn!(%error, rule = "tunnel.refused-close", "cannot reach the service");
                }
                data.close().await;
                return None;
            }
        };
        self.hold_first_bytes(&data).await;
        Some((data, service))
    }

    async fn relay(&self, data: Stream, service: Stream) {
        info!("tunnel open");
        let start = Instant::now();
        let summary = relay(data, service, Vec::new(), &self.cut).await;
        info!(
            to_service = summary.a_to_b,
            from_service = summary.b_to_a,
            seconds = start.elapsed().as_secs_f64(),
            reason = summary.reason("the server", "the service"),
            "tunnel closed"
        );
    }

    async fn open_data(&self) -> io::Result<Stream> {
        let mut data = self.server.dial().await?;
        send_trs(&mut data, self.service.remote_port, &self.token).await?;
        Ok(data)
    }

    /// Waits until the server is sure to have read TRS: a while, or until bytes of the user have
    /// come through. Over TLS a record of its own is safe.
    async fn hold_first_bytes(&self, data: &Stream) {
        let is_plain = self.server.is_plain();
        let by_kind = || hold_for(self.peer, self.token.is_like_the_originals(), is_plain);
        let hold = self.hold.unwrap_or_else(by_kind);
        if !hold.is_zero() {
            // Both outcomes mean the same: go on.
            let _ = timeout(hold, data.tcp().ready(Interest::READABLE)).await;
        }
    }
}

/// How long the first bytes are held back where nothing is configured. Over TLS a record of its own
/// is safe, also from an original server.
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
    use super::*;

    #[test]
    fn only_a_plain_original_server_is_given_time() {
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
