//! SRQ, SRS, and the deadlines of a login.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, WriteHalf};
use tokio::time::Instant;

use super::shared::{LONG, Shared};
use crate::Bug;
use crate::lines::{Message, Stream, shaped};

/// The keepalive of a login.
pub(super) struct Keepalive<'a> {
    shared: &'a Shared,
    /// The timeout of the login.
    timeout: Duration,
    /// The time between two SRQ.
    interval: Duration,
    /// When the next SRQ is sent.
    next: Instant,
    /// When the first SRQ without an SRS was sent.
    unanswered: Option<Instant>,
    /// When a bug gives up the login, with or without SRS.
    given_up: Instant,
    /// When a bug closes the login.
    over: Instant,
    /// When the last message came.
    received: Instant,
}

impl<'a> Keepalive<'a> {
    /// The keepalive of a login that begins now.
    pub(super) fn new(shared: &'a Shared, timeout: Duration) -> Self {
        let interval = match shared.bug {
            Some(Bug::SrqTooRarely) => timeout.mul_f64(1.6),
            Some(Bug::SrqALittleLate) => timeout.mul_f64(1.2),
            Some(Bug::SrqNever) => LONG * 60,
            Some(Bug::SrqInFirstLogin) if shared.past.logins() > 1 => LONG * 60,
            Some(Bug::SrqEachTwoSeconds) => (timeout / 3).max(Duration::from_secs(2)),
            _ => timeout / 3,
        };
        let old_patience = match shared.past.first_timeout() {
            Some(seconds) if shared.has(Bug::OldPatienceGoesOn) && shared.past.logins() > 1 => {
                Duration::from_secs(seconds) * 2
            }
            _ => LONG * 60,
        };
        let limit = match shared.bug {
            Some(Bug::SessionLimited) => Duration::from_secs(9),
            _ => LONG * 60,
        };
        let now = Instant::now();
        Self {
            shared,
            timeout,
            interval,
            next: now + interval,
            unanswered: None,
            given_up: now + old_patience,
            over: now + limit,
            received: now,
        }
    }

    /// When a bug closes the login although the server keeps it alive.
    pub(super) fn closes_at(&self) -> Instant {
        let quiet = match self.shared.bug {
            Some(Bug::SessionIdleClosed) => Duration::from_secs(8),
            _ => LONG * 60,
        };
        self.over.min(self.received + quiet)
    }

    /// When the client gives up the login, because no SRS has come.
    pub(super) fn gives_up_at(&self) -> Instant {
        let patience = match self.shared.bug {
            Some(Bug::PatienceShort) => self.timeout.mul_f64(0.4),
            Some(Bug::SrsNotCounted) => self.timeout,
            Some(Bug::PatienceEndless) => LONG * 60,
            _ => self.timeout * 2,
        };
        let due = match self.unanswered {
            Some(since) => since + patience,
            None => Instant::now() + LONG * 60,
        };
        due.min(self.given_up)
    }

    /// Whether the client gives up the login now: a bug counts bytes of a tunnel as an SRS.
    pub(super) fn gives_up(&mut self) -> bool {
        if self.shared.has(Bug::BytesCountAsSrs) && self.shared.mixer.take_bytes() {
            self.unanswered = Some(Instant::now());
            return false;
        }
        true
    }

    /// When the next SRQ is sent.
    pub(super) fn next_srq_at(&self) -> Instant {
        self.next
    }

    /// Sends SRQ.
    pub(super) async fn send_srq(&mut self, writer: &mut WriteHalf<Stream>) -> io::Result<()> {
        let shared = self.shared;
        self.next += self.interval;
        if shared.has(Bug::SrqNotWhenBusy) && shared.mixer.tunnels() > 0 {
            return Ok(());
        }
        self.unanswered.get_or_insert_with(Instant::now);
        let srq = match shared.has(Bug::AthForSrq) {
            true => shared.ath(),
            false => shaped(shared.bug, b"SRQ\n"),
        };
        writer.write_all(&srq).await?;
        writer.flush().await
    }

    /// A message has come.
    pub(super) fn received(&mut self, message: &Message) {
        self.received = Instant::now();
        let counts = match message[0].as_slice() {
            b"SRS" => !self.shared.has(Bug::SrsNotCounted),
            b"TRQ" => self.shared.has(Bug::TrqCountsAsSrs),
            b"MRS" => self.shared.has(Bug::MrsCountsAsSrs),
            _ => false,
        };
        if counts {
            self.unanswered = None;
        }
    }
}
