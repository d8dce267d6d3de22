//! The login: ATH, and the answer to it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::ahead::Ahead;
use super::control::Session;
use super::shared::{Ended, LOGIN_TIME, LONG, Shared};
use crate::lines::{Lines, Message, NO_BOOLEAN, NO_INTEGER, OF_SERVERS, Stream, bytes, integer};
use crate::{Bug, Manner};

/// The longest timeout that the protocol allows, in seconds.
const LONGEST: i64 = 9_223_372_036;

impl Shared {
    /// One control connection, from its opening to its end.
    pub(super) async fn session(self: Arc<Self>, tunnels: &CancellationToken) -> Ended {
        let Ok(stream) = self.connect(self.secure, &self.connector).await else {
            return Ended::Unreachable;
        };
        let (reader, mut writer) = split(stream);
        let mut lines = Lines::new(reader, OF_SERVERS, self.bug);
        let ended = self
            .clone()
            .dialogue(&mut lines, &mut writer, tunnels)
            .await;
        if ended == Ended::Rejected && self.has(Bug::RefusedKept) {
            tokio::spawn(async move {
                sleep(LONG).await;
                drop((lines, writer));
            });
            return ended;
        }
        let _ = timeout(Duration::from_secs(1), writer.shutdown()).await;
        ended
    }

    /// Logs in, and serves the login until it ends.
    async fn dialogue(
        self: Arc<Self>,
        lines: &mut Lines<ReadHalf<Stream>>,
        writer: &mut WriteHalf<Stream>,
        tunnels: &CancellationToken,
    ) -> Ended {
        let ath = self.ath();
        if self.has(Bug::MapsBeforeAth) {
            let _ = self.send_maps(writer).await;
        }
        if self.has(Bug::SrqBeforeAth) {
            let _ = writer.write_all(b"SRQ\n").await;
        }
        if writer.write_all(&ath).await.is_err() || writer.flush().await.is_err() {
            return Ended::BeforeLogin;
        }
        if self.has(Bug::AthTwice) {
            let _ = writer.write_all(&ath).await;
        }
        if self.has(Bug::SrqBeforeArs) {
            let _ = writer.write_all(b"SRQ\n").await;
        }
        if self.has(Bug::MapsBeforeArs) {
            let _ = self.send_maps(writer).await;
        }
        if self.has(Bug::OldKeepaliveGoesOn)
            && let Some(seconds) = self.past.first_timeout()
        {
            let due = Instant::now() + Duration::from_secs(seconds) / 3;
            lines.first_byte_by(due).await;
            if !lines.has_more() {
                let _ = writer.write_all(b"SRQ\n").await;
            }
        }
        let _ = writer.flush().await;
        let ars = match self.ars(lines).await {
            Ok(ars) => ars,
            Err(ended) => return ended,
        };
        if ars[1] == b"false" {
            if self.has(Bug::RefusedGoesOn) {
                let _ = self.send_maps(writer).await;
            }
            if self.has(Bug::RefusedTriesAgain) {
                let _ = writer.write_all(&ath).await;
                let _ = writer.flush().await;
            }
            return Ended::Rejected;
        }
        let seconds = integer(&ars[2]);
        if !self.accepts_timeout(seconds) {
            return Ended::Violation;
        }
        if lines.has_more() && self.has(Bug::AfterArsCloses) {
            return Ended::Violation;
        }
        if lines.has_more() && self.has(Bug::AfterArsFatal) {
            return Ended::MoreThanArs;
        }
        lines.log_in();
        self.past.log_in(&ars[3]);
        let session = Session {
            shared: self.clone(),
            token: self.token(&ars[3]),
            tunnels: tunnels.clone(),
            ahead: (self.manner == Manner::OpensAhead).then(|| Ahead::of(self.clone())),
        };
        session.run(lines, writer, self.timeout(seconds)).await
    }

    pub(super) fn ath(&self) -> Vec<u8> {
        bytes(&[b"ATH", b"broken-client", &self.username, &self.password])
    }

    /// Waits for ARS.
    async fn ars(&self, lines: &mut Lines<ReadHalf<Stream>>) -> Result<Message, Ended> {
        let due = match self.bug {
            Some(Bug::ArsNeverDue) => LONG,
            Some(Bug::ArsDueEarly) => Duration::from_secs(3),
            Some(Bug::ArsDueNearlyEnough) => Duration::from_secs(6),
            _ => LOGIN_TIME,
        };
        let due = Instant::now() + due;
        if self.has(Bug::ArsDueOnlyWhenSilent) {
            lines.first_byte_by(due).await;
        }
        loop {
            let message = if self.has(Bug::ArsDueOnlyWhenSilent) && lines.has_more() {
                lines.message().await
            } else {
                timeout_at(due, lines.message())
                    .await
                    .map_err(|_| Ended::BeforeLogin)?
            };
            return match message {
                Ok(Some(message)) if message[0] == b"ARS" => Ok(message),
                Ok(Some(message)) => match self.bug {
                    Some(Bug::ArsAwaited) => continue,
                    Some(Bug::TrqBeforeArsIgnored) if message[0] == b"TRQ" => continue,
                    Some(Bug::MrsBeforeArsIgnored) if message[0] == b"MRS" => continue,
                    Some(Bug::SrsBeforeArsIgnored) if message[0] == b"SRS" => continue,
                    _ => Err(Ended::Violation),
                },
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let kept = match self.bug {
                        Some(Bug::GarbageBeforeArsKept) => true,
                        Some(Bug::ArsIntegerKept) => error.to_string() == NO_INTEGER,
                        Some(Bug::ArsBooleanKept) => error.to_string() == NO_BOOLEAN,
                        _ => false,
                    };
                    if kept {
                        sleep(LONG).await;
                    }
                    Err(Ended::Violation)
                }
                _ => Err(Ended::BeforeLogin),
            };
        }
    }

    /// Whether the client accepts a timeout of this many seconds.
    fn accepts_timeout(&self, seconds: i64) -> bool {
        match self.bug {
            Some(Bug::TimeoutNotChecked) => true,
            Some(Bug::TimeoutZeroAccepted) => seconds >= 0,
            Some(Bug::TimeoutNegativeAccepted) => seconds != 0,
            Some(Bug::TimeoutHugeAccepted) => seconds >= 1,
            Some(Bug::TimeoutOneRefused) => (2..=LONGEST).contains(&seconds),
            Some(Bug::TimeoutLongestRefused) => (1..=86_400).contains(&seconds),
            _ => (1..=LONGEST).contains(&seconds),
        }
    }

    /// The timeout that the login uses.
    fn timeout(&self, seconds: i64) -> Duration {
        if self.has(Bug::KeepaliveOverflows) && seconds == LONGEST {
            return Duration::from_millis(200);
        }
        let seconds = u64::try_from(seconds).unwrap_or(30).clamp(1, 1 << 30);
        let first = self.past.first_timeout_or(seconds);
        Duration::from_secs(match self.bug {
            Some(Bug::TimeoutOfFirstLogin) => first,
            _ => seconds,
        })
    }

    /// The token that data connections send.
    fn token(&self, token: &[u8]) -> Vec<u8> {
        let of_bug = match self.bug {
            Some(Bug::TokenCutTo32) => Some(token.iter().copied().take(32).collect()),
            Some(Bug::TokenInSmallLetters) => Some(token.to_ascii_lowercase()),
            Some(Bug::TokenEmptyReplaced) if token.is_empty() => Some(b"none".to_vec()),
            Some(Bug::TokenOfSecondLogin) => self.past.token(1),
            Some(Bug::TokenOfLoginBefore) => self.past.token_before(),
            Some(Bug::TokenOfFirstLogin) => self.past.token(0),
            _ => None,
        };
        of_bug.unwrap_or_else(|| token.to_vec())
    }
}
