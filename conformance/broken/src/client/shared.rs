//! What all connections of a client share: its configuration, and what bugs remember.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::past::Past;
use crate::drips::written_by;
use crate::lines::Stream;
use crate::relay::Mixer;
use crate::tls::{self, Secure};
use crate::{Bug, Manner};

/// The deadline for a TLS handshake, and for ARS.
pub(super) const LOGIN_TIME: Duration = Duration::from_millis(8_200);
/// The pause of a slow client before it connects again or sends a rejected MAP again.
pub(super) const SLOW_PAUSE: Duration = Duration::from_secs(8);
/// Longer than any deadline.
pub(super) const LONG: Duration = Duration::from_secs(60);

pub(super) struct Shared {
    pub(super) manner: Manner,
    pub(super) bug: Option<Bug>,
    /// The address of the server.
    pub(super) server: String,
    /// Whether the client uses TLS.
    pub(super) secure: bool,
    pub(super) connector: TlsConnector,
    /// The connector of data connections, which a bug makes different.
    pub(super) data_connector: TlsConnector,
    pub(super) username: Vec<u8>,
    pub(super) password: Vec<u8>,
    pub(super) mappings: Vec<Mapping>,
    pub(super) mixer: Mixer,
    /// How many TRQ have come.
    pub(super) requests: AtomicU64,
    /// Whether a tunnel has ended, for a bug.
    pub(super) closed_once: AtomicBool,
    /// What bugs remember of earlier logins.
    pub(super) past: Past,
}

/// A mapping of the configuration.
pub(super) struct Mapping {
    pub(super) remote_port: u16,
    pub(super) target: String,
    pub(super) open: bool,
}

/// How a control connection ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The server could not be reached.
    Unreachable,
    /// `ARS false` came.
    Rejected,
    /// The connection ended before ARS, or ARS did not come in time.
    BeforeLogin,
    Closed,
    Reset,
    /// The server broke a rule.
    Violation,
    /// More than ARS came, which a bug does not accept.
    MoreThanArs,
    /// No SRS came.
    NoSrs,
}

impl Shared {
    pub(super) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// A new connection to the server.
    pub(super) async fn connect(
        &self,
        secure: bool,
        connector: &TlsConnector,
    ) -> io::Result<Stream> {
        let tcp = TcpStream::connect(&self.server).await?;
        tcp.set_nodelay(true)?;
        if !secure {
            return Ok(written_by(self.manner, tcp));
        }
        let patience = match self.bug {
            Some(Bug::HandshakeAwaited) => LONG,
            _ => LOGIN_TIME,
        };
        let handshake = timeout(patience, connector.connect(tls::name()?, tcp)).await;
        let tls = handshake.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok(written_by(self.manner, Secure::new(tls, self.bug)))
    }
}
