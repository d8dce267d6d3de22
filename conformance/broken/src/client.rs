//! The client.

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use std::{fmt, io};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::drips::written_by;
use crate::lines::{
    Lines, Message, NO_BOOLEAN, NO_INTEGER, OF_SERVERS, Stream, bytes, integer, shaped,
};
use crate::relay::{End, Mixer, hoard, relay};
use crate::tls::{self, Secure};
use crate::{Bug, Manner, chance};

mod ahead;
mod past;

use ahead::{Ahead, Open};
use past::Past;

/// A client that has read its configuration.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    manner: Manner,
    bug: Option<Bug>,
    server: String,
    secure: bool,
    connector: TlsConnector,
    /// For data connections, of which a bug thinks otherwise.
    data_connector: TlsConnector,
    username: Vec<u8>,
    password: Vec<u8>,
    mappings: Vec<Mapping>,
    mixer: Mixer,
    requests: AtomicU64,
    /// Whether a tunnel has ended, for a bug.
    closed_once: AtomicBool,
    /// The token of the first login, for a bug.
    first_token: std::sync::OnceLock<Vec<u8>>,
    first_timeout: std::sync::OnceLock<u64>,
    /// What bugs remember of logins.
    past: Past,
}

struct Mapping {
    remote_port: u16,
    target: String,
    open: bool,
}

/// How a control connection ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It could not be opened.
    Absent,
    Refused,
    /// Somebody broke it off before the login.
    Early,
    Closed,
    Reset,
    /// What came was against the rules.
    Violation,
    /// More than ARS came, which only a bug minds.
    Behind,
    /// No SRS came.
    Deaf,
}

const LOGIN_TIME: Duration = Duration::from_millis(8_200);
const DIAL_TIME: Duration = Duration::from_secs(9);
const PAUSE: Duration = Duration::from_millis(1100);
const RETRY: Duration = Duration::from_secs(2);
/// More than a peer has time for.
const LATE: Duration = Duration::from_secs(3);
/// Of a slow client, before it connects or asks for a mapping again.
const SLOW_PAUSE: Duration = Duration::from_secs(8);
const LONG: Duration = Duration::from_secs(60);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("bug", &self.shared.bug)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Reads `client_config.json` in this folder.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load(folder: &Path, manner: Manner) -> io::Result<Self> {
        let bug = manner.bug();
        let config: Value =
            serde_json::from_slice(&std::fs::read(folder.join("client_config.json"))?)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let place = |value: &Value| format!("{}:{}", text(&value["ip"]), value["port"]);
        let mapping = |value: &Value| Mapping {
            remote_port: u16::try_from(value["remotePort"].as_u64().unwrap_or(0)).unwrap_or(0),
            target: place(value),
            open: value["isOpen"].as_bool().unwrap_or(false),
        };
        let secure = &config["tls"];
        let trusted = secure["caFile"].as_str().map(|file| folder.join(file));
        let trusted = trusted.as_deref();
        let verify =
            secure["verify"].as_bool().unwrap_or(true) && bug != Some(Bug::CertificateNotVerified);
        let connector = tls::connector(verify, trusted, manner)?;
        Ok(Self {
            shared: Arc::new(Shared {
                manner,
                bug,
                server: place(&config),
                secure: secure["enabled"].as_bool().unwrap_or(false),
                data_connector: match bug {
                    Some(Bug::CertificateOfDataNotVerified) => {
                        tls::connector(false, trusted, manner)?
                    }
                    _ => connector.clone(),
                },
                connector,
                username: text(&config["username"]).into_bytes(),
                password: text(&config["password"]).into_bytes(),
                mappings: config["connections"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(mapping)
                    .collect(),
                mixer: Mixer::default(),
                requests: AtomicU64::new(0),
                closed_once: AtomicBool::new(false),
                first_token: std::sync::OnceLock::new(),
                first_timeout: std::sync::OnceLock::new(),
                past: Past::default(),
            }),
        })
    }

    /// Connects again and again, for ever.
    pub async fn run(self) {
        let shared = self.shared;
        let (mut sessions, mut early) = (0, 0);
        let (mut last, mut in_a_row) = (Ended::Closed, 0);
        loop {
            let tunnels = CancellationToken::new();
            let ended = shared.clone().session(&tunnels).await;
            sessions += 1;
            in_a_row = if ended == last { in_a_row + 1 } else { 1 };
            last = ended;
            early += u32::from(ended == Ended::Early);
            if shared.has(Bug::TunnelsEndWithControl) {
                tunnels.cancel();
            }
            let gives_up = match shared.bug {
                Some(Bug::NeverReconnects) => ended != Ended::Absent || sessions > 1,
                Some(Bug::NoReconnectAfterReset) => ended == Ended::Reset,
                Some(Bug::NoReconnectAfterEarlyEnd) => ended == Ended::Early,
                Some(Bug::NoReconnectWhenAbsent) => ended == Ended::Absent,
                Some(Bug::NoReconnectAfterRefusal) => ended == Ended::Refused,
                Some(Bug::NoReconnectAfterGivingUp) => ended == Ended::Deaf,
                Some(Bug::ViolationFatal) => ended == Ended::Violation,
                Some(Bug::BehindArsFatal) => ended == Ended::Behind,
                Some(Bug::SecondSessionLast) => sessions == 2,
                Some(Bug::ThirdFailureLast) => ended == Ended::Absent && in_a_row == 3,
                Some(Bug::ThirdEarlyEndLast) => ended == Ended::Early && in_a_row == 3,
                Some(Bug::ThirdRefusalLast) => ended == Ended::Refused && in_a_row == 3,
                Some(Bug::FourthEarlyEndInAllLast) => early == 4,
                _ => false,
            };
            if gives_up {
                return;
            }
            let wait = match shared.bug {
                None if shared.manner == Manner::Slow => SLOW_PAUSE,
                Some(Bug::ReconnectsLate) => Duration::from_secs(18),
                // 1 s, 4 s, 16 s.
                Some(Bug::PausesForever) => PAUSE * 4_u32.pow(in_a_row.clamp(1, 4) - 1),
                bug => pause(bug, ended),
            };
            sleep(wait).await;
        }
    }
}

/// How long to wait before the next login.
fn pause(bug: Option<Bug>, ended: Ended) -> Duration {
    let hasty = match bug {
        Some(Bug::NoPauseAfterRefusal) => ended == Ended::Refused,
        Some(Bug::NoPauseAfterLogin) => matches!(ended, Ended::Closed | Ended::Reset),
        Some(Bug::NoPauseBeforeLogin) => ended == Ended::Early,
        _ => false,
    };
    if hasty {
        Duration::from_millis(50)
    } else {
        PAUSE
    }
}

impl Shared {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    async fn connect(&self, secure: bool, connector: &TlsConnector) -> io::Result<Stream> {
        let tcp = TcpStream::connect(&self.server).await?;
        tcp.set_nodelay(true)?;
        if !secure {
            return Ok(written_by(self.manner, tcp));
        }
        let patience = match self.bug {
            Some(Bug::HandshakeAwaited) => LONG,
            _ => LOGIN_TIME,
        };
        let shaken = timeout(patience, connector.connect(tls::name()?, tcp)).await;
        let tls = shaken.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok(written_by(self.manner, Secure::new(tls, self.bug)))
    }

    async fn session(self: Arc<Self>, tunnels: &CancellationToken) -> Ended {
        let Ok(stream) = self.connect(self.secure, &self.connector).await else {
            return Ended::Absent;
        };
        let (reader, mut writer) = split(stream);
        let mut lines = Lines::new(reader, OF_SERVERS, self.bug);
        let ended = self
            .clone()
            .dialogue(&mut lines, &mut writer, tunnels)
            .await;
        if ended == Ended::Refused && self.has(Bug::RefusedKept) {
            tokio::spawn(async move {
                sleep(LONG).await;
                drop((lines, writer));
            });
            return ended;
        }
        let _ = timeout(Duration::from_secs(1), writer.shutdown()).await;
        ended
    }

    async fn dialogue(
        self: Arc<Self>,
        lines: &mut Lines<ReadHalf<Stream>>,
        writer: &mut WriteHalf<Stream>,
        tunnels: &CancellationToken,
    ) -> Ended {
        let ath = self.ath();
        if self.has(Bug::MapsBeforeAth) {
            let _ = self.ask_all(writer).await;
        }
        if self.has(Bug::SrqBeforeAth) {
            let _ = writer.write_all(b"SRQ\n").await;
        }
        if writer.write_all(&ath).await.is_err() || writer.flush().await.is_err() {
            return Ended::Early;
        }
        if self.has(Bug::AthTwice) {
            let _ = writer.write_all(&ath).await;
        }
        if self.has(Bug::SrqBeforeArs) {
            let _ = writer.write_all(b"SRQ\n").await;
        }
        if self.has(Bug::MapsBeforeArs) {
            let _ = self.ask_all(writer).await;
        }
        if self.has(Bug::OldKeepaliveGoesOn)
            && let Some(seconds) = self.first_timeout.get()
        {
            let due = Instant::now() + Duration::from_secs(*seconds) / 3;
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
                let _ = self.ask_all(writer).await;
            }
            if self.has(Bug::RefusedTriesAgain) {
                let _ = writer.write_all(&ath).await;
                let _ = writer.flush().await;
            }
            return Ended::Refused;
        }
        let seconds = integer(&ars[2]);
        let in_range = match self.bug {
            Some(Bug::TimeoutNotChecked) => true,
            Some(Bug::TimeoutZeroAccepted) => seconds >= 0,
            Some(Bug::TimeoutNegativeAccepted) => seconds != 0,
            Some(Bug::TimeoutHugeAccepted) => seconds >= 1,
            Some(Bug::TimeoutOneRefused) => (2..=9_223_372_036).contains(&seconds),
            Some(Bug::TimeoutLongestRefused) => (1..=86_400).contains(&seconds),
            _ => (1..=9_223_372_036).contains(&seconds),
        };
        if !in_range {
            return Ended::Violation;
        }
        if lines.has_more() && self.has(Bug::BehindArsCloses) {
            return Ended::Violation;
        }
        if lines.has_more() && self.has(Bug::BehindArsFatal) {
            return Ended::Behind;
        }
        lines.log_in();
        let _ = self.first_token.set(ars[3].clone());
        self.past.log_in(&ars[3]);
        let longest = seconds == 9_223_372_036;
        let seconds = u64::try_from(seconds).unwrap_or(30).clamp(1, 1 << 30);
        let first = *self.first_timeout.get_or_init(|| seconds);
        let seconds = if self.has(Bug::TimeoutOfFirstLogin) {
            first
        } else {
            seconds
        };
        let period = match self.bug {
            Some(Bug::KeepaliveOverflows) if longest => Duration::from_millis(200),
            _ => Duration::from_secs(seconds),
        };
        let session = Session {
            shared: self.clone(),
            token: self.token(&ars[3]),
            tunnels: tunnels.clone(),
            ahead: (self.manner == Manner::OpensAhead).then(|| Ahead::of(self.clone())),
        };
        session.run(lines, writer, period).await
    }

    fn token(&self, token: &[u8]) -> Vec<u8> {
        match self.bug {
            Some(Bug::TokenCutTo32) => token.iter().copied().take(32).collect(),
            Some(Bug::TokenInSmallLetters) => token.to_ascii_lowercase(),
            Some(Bug::TokenEmptyReplaced) if token.is_empty() => b"none".to_vec(),
            Some(Bug::TokenOfSecondLogin) => self.past.token(1).unwrap_or_else(|| token.to_vec()),
            Some(Bug::TokenOfLoginBefore) => {
                self.past.token_before().unwrap_or_else(|| token.to_vec())
            }
            Some(Bug::TokenOfFirstLogin) => self.first_token.get().cloned().unwrap_or_default(),
            _ => token.to_vec(),
        }
    }

    /// The answer to the login.
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
                    .map_err(|_| Ended::Early)?
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
                _ => Err(Ended::Early),
            };
        }
    }

    fn ath(&self) -> Vec<u8> {
        bytes(&[b"ATH", b"broken-client", &self.username, &self.password])
    }

    /// The mappings in the order in which they are asked for.
    fn order(&self) -> Vec<&Mapping> {
        let mut order: Vec<&Mapping> = self.mappings.iter().collect();
        match self.bug {
            Some(Bug::MapsReversed) => order.reverse(),
            Some(Bug::LastMapMissing) => drop(order.pop()),
            Some(Bug::ClosedMapMissing) => order.retain(|mapping| mapping.open),
            Some(Bug::MapsAtMost50) => order.truncate(50),
            Some(Bug::MapsAtMost64) => order.truncate(64),
            Some(Bug::MapsAtMost99) => order.truncate(99),
            Some(Bug::MapsOnce) if self.past.logins() > 1 => order.clear(),
            Some(Bug::MapsInFourLogins) if self.past.logins() > 4 => order.clear(),
            Some(Bug::HighestPortLost) => order.retain(|mapping| mapping.remote_port < u16::MAX),
            Some(Bug::LowestPortLost) => order.retain(|mapping| mapping.remote_port > 1),
            _ => {}
        }
        // The last one goes first, so that no pair of them is in order by chance.
        if self.manner == Manner::MapsInAnyOrder && !order.is_empty() {
            order.rotate_right(1);
        }
        order
    }

    async fn ask_all(&self, writer: &mut WriteHalf<Stream>) -> io::Result<()> {
        let order = self.order();
        if self.has(Bug::MapWithoutMappings) && order.is_empty() {
            writer.write_all(b"MAP\n1\nnowhere:1\ntrue\n").await?;
        }
        for mapping in order {
            self.ask(mapping, writer).await?;
        }
        Ok(())
    }

    async fn ask(&self, mapping: &Mapping, writer: &mut WriteHalf<Stream>) -> io::Result<()> {
        let open: &[u8] = if mapping.open { b"true" } else { b"false" };
        let plus = if self.has(Bug::IntegerWithPlus) {
            "+"
        } else {
            ""
        };
        let port = format!("{plus}{}", mapping.remote_port);
        let lines: [&[u8]; 4] = [b"MAP", port.as_bytes(), mapping.target.as_bytes(), open];
        if self.has(Bug::MessagesInterleaved) {
            writer.write_all(&bytes(&lines[..2])).await?;
            writer.write_all(b"SRQ\n").await?;
            writer.write_all(&bytes(&lines[2..])).await?;
            return writer.flush().await;
        }
        writer.write_all(&shaped(self.bug, &bytes(&lines))).await?;
        writer.flush().await
    }
}

/// A login.
struct Session {
    shared: Arc<Shared>,
    token: Vec<u8>,
    tunnels: CancellationToken,
    /// Of a client that opens data connections ahead.
    ahead: Option<Ahead>,
}

impl Session {
    async fn run(
        self,
        lines: &mut Lines<ReadHalf<Stream>>,
        writer: &mut WriteHalf<Stream>,
        period: Duration,
    ) -> Ended {
        let shared = self.shared.clone();
        if shared.has(Bug::MapsLate) {
            sleep(LATE).await;
        }
        if shared.has(Bug::TrsInAdvance) && !shared.mappings.is_empty() {
            let port = shared.mappings[0].remote_port.to_string().into_bytes();
            self.open(0, port);
        }
        let mut held: VecDeque<&Mapping> = VecDeque::new();
        let mut awaited = None;
        if shared.manner == Manner::WaitsForMrs {
            held = shared.order().into();
            awaited = held.pop_front();
            if let Some(first) = awaited
                && shared.ask(first, writer).await.is_err()
            {
                return Ended::Reset;
            }
        } else if !matches!(shared.bug, Some(Bug::MapsBeforeArs | Bug::MapsBeforeAth))
            && shared.ask_all(writer).await.is_err()
        {
            return Ended::Reset;
        }
        let mut accepted: HashSet<u16> = HashSet::new();
        let mut dropped: HashSet<u16> = HashSet::new();
        let mut again: Vec<(Instant, u16)> = Vec::new();
        let interval = match shared.bug {
            Some(Bug::SrqTooRarely) => period.mul_f64(1.6),
            Some(Bug::SrqALittleLate) => period.mul_f64(1.2),
            Some(Bug::SrqNever) => LONG * 60,
            Some(Bug::SrqInFirstLogin) if shared.past.logins() > 1 => LONG * 60,
            Some(Bug::SrqEachTwoSeconds) => (period / 3).max(Duration::from_secs(2)),
            _ => period / 3,
        };
        if shared.has(Bug::OldTrqAgain)
            && let Some((index, port)) = shared.past.take_request()
        {
            let tunnel = Tunnel {
                shared: shared.clone(),
                index,
                port,
                token: self.token.clone(),
                ahead: None,
            };
            tokio::spawn(tunnel.run());
        }
        let old_patience = match shared.first_timeout.get() {
            Some(seconds) if shared.has(Bug::OldPatienceGoesOn) && shared.past.logins() > 1 => {
                Duration::from_secs(*seconds) * 2
            }
            _ => LONG * 60,
        };
        let given_up = Instant::now() + old_patience;
        let mut next = Instant::now() + interval;
        let mut unanswered: Option<Instant> = None;
        let broken = CancellationToken::new();
        let over = match shared.bug {
            Some(Bug::SessionLimited) => Duration::from_secs(9),
            _ => LONG * 60,
        };
        let over = Instant::now() + over;
        let mut refusals = 0;
        let mut heard = Instant::now();
        loop {
            let patience = match shared.bug {
                Some(Bug::PatienceShort) => period.mul_f64(0.4),
                Some(Bug::SrsNotCounted) => period,
                Some(Bug::PatienceEndless) => LONG * 60,
                _ => period * 2,
            };
            let gives_up =
                unanswered.map_or_else(|| Instant::now() + LONG * 60, |since| since + patience);
            let retry = again
                .first()
                .map_or_else(|| Instant::now() + LONG * 60, |(at, _)| *at);
            let quiet = match shared.bug {
                Some(Bug::SessionIdleClosed) => Duration::from_secs(8),
                _ => LONG * 60,
            };
            let message = tokio::select! {
                message = lines.message() => message,
                () = sleep_until(over) => return Ended::Closed,
                () = sleep_until(heard + quiet) => return Ended::Closed,
                () = broken.cancelled() => return Ended::Violation,
                () = sleep_until(gives_up.min(given_up)) => {
                    if shared.has(Bug::BytesCountAsSrs) && shared.mixer.take_bytes() {
                        unanswered = Some(Instant::now());
                        continue;
                    }
                    return Ended::Deaf;
                }
                () = sleep_until(retry) => {
                    let (_, port) = again.remove(0);
                    if let Some(mapping) = shared.mappings.iter().find(|mapping| mapping.remote_port == port) {
                        let _ = shared.ask(mapping, writer).await;
                    }
                    continue;
                }
                () = sleep_until(next) => {
                    next += interval;
                    let silent = shared.has(Bug::SrqNotWhenBusy) && shared.mixer.tunnels() > 0;
                    if !silent {
                        unanswered.get_or_insert_with(Instant::now);
                        let srq = match shared.has(Bug::AthForSrq) {
                            true => shared.ath(),
                            false => shaped(shared.bug, b"SRQ\n"),
                        };
                        if writer.write_all(&srq).await.is_err() || writer.flush().await.is_err() {
                            return Ended::Reset;
                        }
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
            heard = Instant::now();
            let counts = match shared.bug {
                Some(Bug::TrqCountsAsSrs) => message[0] == b"TRQ",
                Some(Bug::MrsCountsAsSrs) => message[0] == b"MRS",
                _ => false,
            };
            if counts {
                unanswered = None;
            }
            let port = message.get(1).map_or(0, |port| integer(port));
            let known = shared
                .mappings
                .iter()
                .position(|mapping| i64::from(mapping.remote_port) == port);
            match message[0].as_slice() {
                b"SRS" if shared.has(Bug::SrsNotCounted) => {}
                b"SRS" => unanswered = None,
                b"MRS" => match known {
                    None if shared.has(Bug::UnaskedMrsCloses) => return Ended::Violation,
                    None => {}
                    Some(index) => {
                        let port = shared.mappings[index].remote_port;
                        if awaited.is_some_and(|mapping| mapping.remote_port == port) {
                            awaited = held.pop_front();
                            if let Some(next) = awaited
                                && shared.ask(next, writer).await.is_err()
                            {
                                return Ended::Reset;
                            }
                        }
                        if message[2] == b"false" && shared.has(Bug::AthAfterFalse) {
                            let _ = writer.write_all(&shared.ath()).await;
                            let _ = writer.flush().await;
                        }
                        if message[2] == b"true" {
                            accepted.insert(port);
                        } else if shared.has(Bug::RefusedMapCloses) {
                            return Ended::Violation;
                        } else if shared.has(Bug::RefusedMapDropsOthers) {
                            dropped
                                .extend(shared.mappings.iter().map(|mapping| mapping.remote_port));
                        } else if shared.has(Bug::AllFalseCloses) {
                            dropped.insert(port);
                            if dropped.len() == shared.mappings.len() {
                                return Ended::Violation;
                            }
                        } else if !shared.has(Bug::RefusedMapForgotten) {
                            refusals += 1;
                            let wait = match shared.bug {
                                None if shared.manner == Manner::Slow => SLOW_PAUSE,
                                Some(Bug::MapsAgainAtOnce) => Duration::ZERO,
                                Some(Bug::MapsAgainAtOnceLater) if refusals > 1 => Duration::ZERO,
                                Some(Bug::MapsAgainLate) => Duration::from_secs(18),
                                _ => RETRY,
                            };
                            again.push((Instant::now() + wait, port));
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
                    let Some(mapping) = shared.mappings.get(index) else {
                        continue;
                    };
                    let request = shared.requests.fetch_add(1, Ordering::Relaxed);
                    let lost = match shared.bug {
                        Some(Bug::TrqLostByChance) => chance::strikes(),
                        Some(Bug::TrqLostNowAndThen) => request % 25 == 24,
                        Some(Bug::TrqBeforeMrsLost) => !accepted.contains(&mapping.remote_port),
                        Some(Bug::TrqAfterFirstLost) => request > 0,
                        Some(Bug::ClosedTrqLost) => !mapping.open,
                        Some(Bug::TrqsEverAtMost100) => request >= 100,
                        Some(Bug::TrqBeyond64Ignored) => index >= 64,
                        _ => {
                            dropped.contains(&mapping.remote_port)
                                && !shared.has(Bug::AllFalseCloses)
                        }
                    };
                    if lost {
                        continue;
                    }
                    let answer: Option<Vec<u8>> = match shared.bug {
                        Some(Bug::TrqAcknowledged) => Some(bytes(&[b"MRS", &message[1], b"true"])),
                        Some(Bug::TrsOnControlToo | Bug::TrsOnControlOnly) => {
                            Some(bytes(&[b"TRS", &self.token, &message[1]]))
                        }
                        _ => None,
                    };
                    if let Some(answer) = answer {
                        let _ = writer.write_all(&answer).await;
                        let _ = writer.flush().await;
                    }
                    if shared.has(Bug::TrsOnControlOnly) {
                        continue;
                    }
                    if shared.has(Bug::TrsTwice) {
                        self.open(index, message[1].clone());
                    }
                    shared.past.request(index, &message[1]);
                    let tunnel = Tunnel {
                        shared: shared.clone(),
                        index,
                        port: message[1].clone(),
                        token: self.token.clone(),
                        ahead: self.ahead.as_ref().map(Ahead::open),
                    };
                    let (tunnels, broken) = (self.tunnels.clone(), broken.clone());
                    let waits = shared.has(Bug::DialsAtMost8);
                    let places = shared.clone();
                    let body = async move {
                        while waits && places.mixer.tunnels() >= 8 {
                            sleep(Duration::from_millis(20)).await;
                        }
                        tokio::select! {
                            ended = tunnel.run() => if !ended { broken.cancel() },
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
                b"ARS" => match shared.bug {
                    Some(Bug::SecondArsIgnored) => {}
                    Some(Bug::SecondArsFalseIgnored) if message[1] == b"false" => {}
                    _ => return Ended::Violation,
                },
                _ => {}
            }
        }
    }
}

impl Session {
    /// Opens a data connection that nobody has asked for, which only bugs do.
    fn open(&self, index: usize, port: Vec<u8>) {
        let tunnel = Tunnel {
            shared: self.shared.clone(),
            index,
            port,
            token: self.token.clone(),
            ahead: None,
        };
        tokio::spawn(tunnel.run());
    }
}

/// A data connection and its target.
struct Tunnel {
    shared: Arc<Shared>,
    index: usize,
    /// As the server wrote it.
    port: Vec<u8>,
    token: Vec<u8>,
    /// What is open already.
    ahead: Option<Arc<Open>>,
}

impl Tunnel {
    /// Whether the control connection may go on.
    async fn run(self) -> bool {
        let shared = &self.shared;
        let index = match shared.bug {
            Some(Bug::TargetAlwaysFirst) => 0,
            Some(Bug::TargetOfSecondIsFirst) if self.index == 1 => 0,
            Some(Bug::WrongTargetByChance) if chance::strikes() => {
                (self.index + 1) % shared.mappings.len()
            }
            Some(Bug::TargetOfNext) => (self.index + 1) % shared.mappings.len(),
            _ => self.index,
        };
        let target = shared.mappings[index].target.clone();
        let shares = |mapping: &Mapping| mapping.target == target;
        if shared.has(Bug::SharedTargetRefused)
            && shared.mappings.iter().position(shares) < Some(index)
        {
            return true;
        }
        let (mut early, mut refused) = (None, false);
        if shared.has(Bug::RefusedTargetNoData) {
            match TcpStream::connect(&target).await {
                Ok(stream) => early = Some(stream),
                Err(_) => return true,
            }
        }
        if shared.manner == Manner::Slow {
            // As the original, it reaches its target first; if that refuses, it tries for some seconds.
            let mut tries = 3;
            while early.is_none() && tries > 0 {
                let dial = timeout(DIAL_TIME, TcpStream::connect(&target)).await;
                match dial {
                    Ok(Ok(stream)) => early = Some(stream),
                    Ok(Err(_)) => sleep(Duration::from_secs(1)).await,
                    Err(_) => break,
                }
                tries -= 1;
            }
            sleep(Duration::from_secs(1)).await;
            refused = early.is_none();
        }
        if shared.has(Bug::DataLate) {
            sleep(Duration::from_secs(7)).await;
        }
        let secure = shared.secure && !shared.has(Bug::DataWithoutTls);
        let stream = match self.ahead.as_ref().and_then(|open| open.take()) {
            Some(stream) => stream,
            None => match shared.connect(secure, &shared.data_connector).await {
                Ok(stream) => stream,
                Err(_) => return true,
            },
        };
        let (reader, mut writer) = split(stream);
        let number = integer(&self.port);
        let port = match shared.bug {
            Some(Bug::IntegerEchoed) => self.port.clone(),
            Some(Bug::IntegerWithPlus) => format!("+{number}").into_bytes(),
            Some(Bug::TrsPortSigned) if number >= 0x8000 => {
                (number - 0x1_0000).to_string().into_bytes()
            }
            Some(Bug::TrsPortOfFirst) => shared.mappings[0].remote_port.to_string().into_bytes(),
            _ => number.to_string().into_bytes(),
        };
        if shared.has(Bug::TrsLate) {
            sleep(Duration::from_secs(6)).await;
        }
        let mut trs = shaped(shared.bug, &bytes(&[b"TRS", &self.token, &port]));
        match shared.bug {
            Some(Bug::LfBehindTrs) => trs.push(b'\n'),
            Some(Bug::BannerBehindTrs) => trs.extend(b"welcome\r\n"),
            _ => {}
        }
        if shared.has(Bug::RefusedTargetNoTrs) && TcpStream::connect(&target).await.is_err() {
            let _ = writer.shutdown().await;
            return true;
        }
        if shared.has(Bug::TrsBehindEmptyLine) {
            let _ = writer.write_all(b"\n").await;
        }
        if writer.write_all(&trs).await.is_err() || writer.flush().await.is_err() {
            return true;
        }
        let mut reader = reader;
        if shared.has(Bug::FirstSegmentLost) {
            let mut waste = vec![0; 64 * 1024];
            let _ = timeout(Duration::from_millis(200), reader.read(&mut waste)).await;
        }
        if shared.has(Bug::TargetLate) {
            sleep(Duration::from_secs(7)).await;
        }
        let early_bytes = match shared.bug {
            Some(Bug::EarlyBytesAtMost64Kib) => hoard(&mut reader, 64 << 10).await,
            Some(Bug::EarlyBytesAsText) => {
                let said = hoard(&mut reader, 1 << 20).await;
                String::from_utf8_lossy(&said).into_owned().into()
            }
            _ => Vec::new(),
        };
        let target = match early {
            Some(stream) => Ok(stream),
            None if refused => Err(io::ErrorKind::ConnectionRefused.into()),
            None => {
                let patience = match shared.bug {
                    Some(Bug::TargetGivenUpEarly) => Duration::from_secs(3),
                    Some(Bug::TargetGivenUpNearlyEnough) => Duration::from_secs(6),
                    Some(Bug::TargetNeverGivenUp) => LONG * 60,
                    _ => DIAL_TIME,
                };
                let dialled = timeout(patience, TcpStream::connect(&target)).await;
                dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
        };
        let Ok(target) = target else {
            if shared.has(Bug::RefusalTold) {
                let _ = writer.write_all(b"cannot connect\r\n").await;
            }
            if shared.has(Bug::RefusedTargetHangs) {
                sleep(LONG).await;
            }
            if shared.has(Bug::RefusedTargetClosedLate) {
                sleep(Duration::from_secs(20)).await;
            }
            // Unread bytes, which can be TLS's own, would turn the close into a reset that TRS does not survive.
            let leave = async {
                let _ = writer.shutdown().await;
                while let Ok(1..) = reader.read(&mut [0; 4096]).await {}
            };
            let _ = timeout(Duration::from_secs(1), leave).await;
            return !shared.has(Bug::RefusedTargetEndsControl);
        };
        let mut said = early_bytes;
        if shared.has(Bug::EarlyUserEndCloses) {
            let mut there = vec![0; 64 * 1024];
            if let Ok(Ok(count)) =
                timeout(Duration::from_millis(200), reader.read(&mut there)).await
            {
                said = there[..count].to_vec();
                if matches!(
                    timeout(Duration::from_millis(200), reader.read(&mut there)).await,
                    Ok(Ok(0))
                ) {
                    return true;
                }
            }
        }
        let (mut far_reader, far_writer) = target.into_split();
        if shared.has(Bug::BannerLost) {
            let mut waste = [0; 4096];
            let _ = timeout(Duration::from_millis(100), far_reader.read(&mut waste)).await;
        }
        if shared.has(Bug::QuietTunnelPoked) {
            let mut first = vec![0; 64 * 1024];
            match timeout(Duration::from_secs(1), reader.read(&mut first)).await {
                Ok(Ok(count)) => said = first[..count].to_vec(),
                _ => {
                    let _ = writer.write_all(b"\0").await;
                    let _ = writer.flush().await;
                }
            }
        }
        let data = End {
            reader,
            writer,
            said,
        };
        let far = End {
            reader: far_reader,
            writer: far_writer,
            said: Vec::new(),
        };
        let broke = relay(data, far, shared.bug, &shared.mixer).await;
        if shared.has(Bug::TrsAgainWhenClosed) && !shared.closed_once.swap(true, Ordering::Relaxed)
        {
            let shared = shared.clone();
            let again = Self { shared, ..self };
            return Box::pin(again.run()).await;
        }
        !(broke && shared.has(Bug::BrokenTunnelEndsControl))
    }
}
