//! The control connection after the login.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::ahead::Ahead;
use super::keepalive::Keepalive;
use super::maps::Maps;
use super::shared::{Ended, LONG, Shared};
use super::tunnel::Tunnel;
use crate::lines::{Lines, Message, Stream, bytes, integer};
use crate::{Bug, chance};

/// How late the MAPs of a bug are: later than a peer has time for.
const LATE: Duration = Duration::from_secs(3);

/// A login.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) token: Vec<u8>,
    /// Ends the tunnels of the login, for a bug.
    pub(super) tunnels: CancellationToken,
    /// The data connections that are already open, if the client opens some ahead.
    pub(super) ahead: Option<Ahead>,
}

impl Session {
    /// Serves the login until its control connection ends.
    pub(super) async fn run(
        self,
        lines: &mut Lines<ReadHalf<Stream>>,
        writer: &mut WriteHalf<Stream>,
        timeout: Duration,
    ) -> Ended {
        let shared = self.shared.clone();
        if shared.has(Bug::MapsLate) {
            sleep(LATE).await;
        }
        if shared.has(Bug::TrsInAdvance) && !shared.mappings.is_empty() {
            let port = shared.mappings[0].remote_port.to_string().into_bytes();
            self.open(0, port);
        }
        let mut maps = Maps::new(&shared);
        if maps.begin(writer).await.is_err() {
            return Ended::Reset;
        }
        if shared.has(Bug::OldTrqAgain)
            && let Some((index, port)) = shared.past.take_request()
        {
            self.open(index, port);
        }
        let mut keepalive = Keepalive::new(&shared, timeout);
        let broken = CancellationToken::new();
        loop {
            let message = tokio::select! {
                message = lines.message() => message,
                () = sleep_until(keepalive.closes_at()) => return Ended::Closed,
                () = broken.cancelled() => return Ended::Violation,
                () = sleep_until(keepalive.gives_up_at()) => {
                    if keepalive.gives_up() {
                        return Ended::NoSrs;
                    }
                    continue;
                }
                () = sleep_until(maps.retry_at()) => {
                    maps.retry(writer).await;
                    continue;
                }
                () = sleep_until(keepalive.next_srq_at()) => {
                    if keepalive.send_srq(writer).await.is_err() {
                        return Ended::Reset;
                    }
                    continue;
                }
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => return Ended::Closed,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Ended::Violation;
                }
                Err(_) => return Ended::Reset,
            };
            keepalive.received(&message);
            let port = message.get(1).map_or(0, |port| integer(port));
            let known = shared
                .mappings
                .iter()
                .position(|mapping| i64::from(mapping.remote_port) == port);
            match message[0].as_slice() {
                b"MRS" => match known {
                    None if shared.has(Bug::UnaskedMrsCloses) => return Ended::Violation,
                    None => {}
                    Some(index) => {
                        if let Some(ended) = maps.answered(index, &message, writer).await {
                            return ended;
                        }
                    }
                },
                b"TRQ" => {
                    let index = match known {
                        None if shared.has(Bug::UnknownTrqCloses) => return Ended::Violation,
                        None if shared.has(Bug::UnknownTrqServed) => 0,
                        None => continue,
                        Some(index) => index,
                    };
                    self.requested(index, &message, &maps, writer, &broken)
                        .await;
                }
                b"ARS" => match shared.bug {
                    Some(Bug::SecondArsIgnored) => {}
                    Some(Bug::SecondArsFalseIgnored) if message[1] == b"false" => {}
                    _ => return Ended::Violation,
                },
                _ => {}
            }
        }
    }

    /// Handles a TRQ of this mapping. `broken` is cancelled if the tunnel ends the login, for a bug.
    async fn requested(
        &self,
        index: usize,
        trq: &Message,
        maps: &Maps<'_>,
        writer: &mut WriteHalf<Stream>,
        broken: &CancellationToken,
    ) {
        let shared = &self.shared;
        let Some(mapping) = shared.mappings.get(index) else {
            return;
        };
        let request = shared.requests.fetch_add(1, Ordering::Relaxed);
        let ignored = match shared.bug {
            Some(Bug::TrqLostByChance) => chance::strikes(),
            Some(Bug::TrqLostNowAndThen) => request % 25 == 24,
            Some(Bug::TrqBeforeMrsLost) => !maps.is_accepted(mapping),
            Some(Bug::TrqAfterFirstLost) => request > 0,
            Some(Bug::ClosedTrqLost) => !mapping.open,
            Some(Bug::TrqsEverAtMost100) => request >= 100,
            Some(Bug::TrqBeyond64Ignored) => index >= 64,
            _ => maps.is_dropped(mapping),
        };
        if ignored {
            return;
        }
        let answer: Option<Vec<u8>> = match shared.bug {
            Some(Bug::TrqAcknowledged) => Some(bytes(&[b"MRS", &trq[1], b"true"])),
            Some(Bug::TrsOnControlToo | Bug::TrsOnControlOnly) => {
                Some(bytes(&[b"TRS", &self.token, &trq[1]]))
            }
            _ => None,
        };
        if let Some(answer) = answer {
            let _ = writer.write_all(&answer).await;
            let _ = writer.flush().await;
        }
        if shared.has(Bug::TrsOnControlOnly) {
            return;
        }
        if shared.has(Bug::TrsTwice) {
            self.open(index, trq[1].clone());
        }
        shared.past.request(index, &trq[1]);
        let tunnel = Tunnel {
            ahead: self.ahead.as_ref().map(Ahead::open),
            ..self.tunnel(index, trq[1].clone())
        };
        let (tunnels, broken) = (self.tunnels.clone(), broken.clone());
        let waits = shared.has(Bug::DialsAtMost8);
        let places = shared.clone();
        let body = async move {
            while waits && places.mixer.tunnels() >= 8 {
                sleep(Duration::from_millis(20)).await;
            }
            tokio::select! {
                goes_on = tunnel.run() => if !goes_on { broken.cancel() },
                () = tunnels.cancelled() => {}
            }
        };
        let dial = timeout(LONG, TcpStream::connect(mapping.target.clone()));
        match shared.bug {
            Some(Bug::OneTunnelAtATime) => body.await,
            Some(Bug::DialsInline) => {
                let _ = dial.await;
                tokio::spawn(body);
            }
            Some(Bug::DialsInTurn | Bug::DialsHoldTunnels) => {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let turn = shared.mixer.turn().await;
                    let _ = dial.await;
                    drop(turn);
                    body.await;
                });
            }
            _ => drop(tokio::spawn(body)),
        }
    }

    fn tunnel(&self, index: usize, port: Vec<u8>) -> Tunnel {
        Tunnel {
            shared: self.shared.clone(),
            index,
            port,
            token: self.token.clone(),
            ahead: None,
        }
    }

    /// Opens a data connection without a TRQ, for a bug.
    fn open(&self, index: usize, port: Vec<u8>) {
        tokio::spawn(self.tunnel(index, port).run());
    }
}
