//! Control connections: the login, requests, and the end.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::limits::LONGEST;
use super::{LATE, LONG, Login, Shared, keep_open, send_text};
use crate::lines::{Lines, Message, Stream, bytes, integer, shaped};
use crate::{Bug, chance};

/// How a control connection ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Closed,
    Reset,
    Violation,
    Expired,
    Replaced,
}

impl Shared {
    fn token(&self, name: &[u8]) -> Vec<u8> {
        match self.bug {
            Some(Bug::TokenForAll) => return b"the-token-of-this-server".to_vec(),
            Some(Bug::TokenOfName) => return [b"token-of-", name].concat(),
            _ => {}
        }
        let mut random = [0; 16];
        // Without random bytes all tokens are the same.
        let _ = getrandom::fill(&mut random);
        let text: String = random.iter().map(|byte| format!("{byte:02X}")).collect();
        let (half, short) = (text.get(..16), text.get(..8));
        let (half, short) = (half.unwrap_or_default(), short.unwrap_or_default());
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let since = since.unwrap_or_default();
        let token = match self.bug {
            Some(Bug::TokenCounted) => format!("{:032X}", u128::MAX / 3 + u128::from(self.next())),
            Some(Bug::TokenShort) => short.to_owned(),
            Some(Bug::TokenSharesPrefix) => format!("5D41402ABC4B2A76B9719D91{short}"),
            Some(Bug::TokenOfClock) => format!("{:032X}", since.as_nanos()),
            Some(Bug::TokenOfClockInPart) => format!("{:016X}{half}", since.as_millis()),
            _ => text,
        };
        token.into_bytes()
    }

    pub(super) async fn control(
        self: Arc<Self>,
        ath: &Message,
        mut lines: Lines<ReadHalf<Stream>>,
        writer: WriteHalf<Stream>,
        secure: bool,
    ) {
        let (out, queue) = unbounded_channel();
        let writer = tokio::spawn(write(queue, writer, self.bug));
        let Some(id) = self.clone().log_in(ath, &out, secure).await else {
            drop(out);
            let (reader, _) = lines.into_parts();
            return self.finish(reader, writer).await;
        };
        lines.log_in();
        let ended = self.clone().serve(id, &mut lines, &out).await;
        if ended == Ended::Violation && self.has(Bug::ViolationEndsAll) {
            self.end_all();
        }
        let kept = match self.bug {
            Some(Bug::PortsNeverReleased) => true,
            Some(Bug::PortsKeptOnReset) => ended == Ended::Reset,
            Some(Bug::PortsKeptOnViolation) => ended == Ended::Violation,
            Some(Bug::PortsKeptOnClose) => ended == Ended::Closed,
            Some(Bug::PortsKeptOnExpiry) => ended == Ended::Expired,
            _ => false,
        };
        if ended == Ended::Expired && self.has(Bug::ExpiryEndsAllOfName) {
            self.end_namesakes(&ath[1]);
        }
        if ended == Ended::Reset && self.has(Bug::AbortAfterLoginFatal) {
            self.over.store(true, Ordering::Relaxed);
        }
        if self.has(Bug::PortsReleasedLate) {
            let (shared, out) = (self.clone(), out.clone());
            tokio::spawn(async move {
                sleep(LONG).await;
                drop(out);
                shared.log_out(id, false).await;
            });
        } else {
            self.log_out(id, kept).await;
        }
        drop(out);
        let (reader, _) = lines.into_parts();
        self.finish(reader, writer).await;
    }

    /// Adds a login and answers ATH. Returns `None` if it is rejected.
    async fn log_in(
        self: Arc<Self>,
        ath: &Message,
        out: &UnboundedSender<Vec<u8>>,
        secure: bool,
    ) -> Option<u64> {
        let (id, token, name) = (self.next(), self.token(&ath[1]), ath[1].clone());
        let token = self.token_again(&name).unwrap_or(token);
        {
            let state = self.state();
            let nameless = name.is_empty() && !self.has(Bug::EmptyNameReplaces);
            let same = |login: &Login| login.name == name && !nameless;
            if self.is_full(&state)
                || self.has(Bug::SameNameRefused) && state.logins.values().any(same)
            {
                let _ = out.send(b"ARS\nfalse\n".to_vec());
                return None;
            }
        }
        self.clone().replace(&name, secure).await;
        self.end_first_of_many().await;
        let seconds = match self.bug {
            Some(Bug::TimeoutZeroSent) => 0,
            Some(Bug::TimeoutCutTo16Bits) => self.timeout & 0xffff,
            Some(Bug::TimeoutAtMostADay) => self.timeout.min(86_400),
            Some(Bug::TimeoutAtLeastThree) => self.timeout.max(3),
            _ => self.timeout,
        };
        self.clone().end_at_old_expiry(id, &name);
        let answer = bytes(&[b"ARS", b"true", seconds.to_string().as_bytes(), &token]);
        if self.has(Bug::ArsTwice) {
            let _ = out.send(answer.clone());
        }
        let _ = out.send(answer);
        if self.has(Bug::AsksItsClient) {
            let _ = out.send(b"SRQ\n".to_vec());
        }
        let mut state = self.state();
        state.tokens.push((token.clone(), secure, id));
        state.ever.push((name.clone(), token.clone()));
        let login = Login {
            name,
            token,
            secure,
            mapped: HashSet::new(),
            out: out.clone(),
            ended: CancellationToken::new(),
            tunnels: CancellationToken::new(),
        };
        state.logins.insert(id, login);
        Some(id)
    }

    /// Ends the older logins of a name.
    pub(super) async fn replace(self: Arc<Self>, name: &[u8], secure: bool) {
        let older: Vec<u64> = {
            let state = self.state();
            let counts = |login: &Login| match self.bug {
                Some(Bug::SameNameKeptElsewhere) => login.secure == secure,
                Some(Bug::SameNameKeptOnPlain) => login.secure || !secure,
                Some(Bug::SameNameKeptOnTls) => secure || !login.secure,
                _ => true,
            };
            let nameless = name.is_empty() && !self.has(Bug::EmptyNameReplaces);
            let same = |login: &Login| login.name == name && !nameless && counts(login);
            let older = state.logins.iter().filter(|(_, login)| same(login));
            older.map(|(id, _)| *id).collect()
        };
        for older in older {
            match self.bug {
                Some(Bug::SameNameKept) => {}
                Some(Bug::FifthReplacesNobody) if self.logins_of(name) == 4 => {}
                Some(Bug::SameNameReleasedLate) => {
                    let shared = self.clone();
                    tokio::spawn(async move {
                        sleep(Duration::from_millis(500)).await;
                        shared.log_out(older, false).await;
                    });
                }
                _ => self.log_out(older, false).await,
            }
        }
    }

    /// Ends a login. Its ports are closed when this returns, unless a bug keeps them.
    pub(super) async fn log_out(&self, id: u64, ports_kept: bool) {
        let mut listeners = Vec::new();
        {
            let mut state = self.state();
            let Some(login) = state.logins.remove(&id) else {
                return;
            };
            login.ended.cancel();
            if self.has(Bug::TunnelsEndWithControl) {
                login.tunnels.cancel();
            }
            if self.has(Bug::OneEndsAllTunnels) {
                state
                    .logins
                    .values()
                    .for_each(|other| other.tunnels.cancel());
            }
            let all = self.has(Bug::OneEndsAllPorts);
            let gone: Vec<u16> = state
                .ports
                .iter()
                .filter(|(_, port)| all || port.login == id)
                .map(|(number, _)| *number)
                .collect();
            for number in gone {
                if ports_kept || self.has(Bug::PortsKeptWithTunnel) && self.mixer.tunnels() > 0 {
                    continue;
                }
                if let Some(port) = state.ports.remove(&number) {
                    listeners.push(port.listener);
                    if self.has(Bug::EndedUserTold) {
                        let send =
                            |(_, user): &(u64, TcpStream)| send_text(user, "your client has gone");
                        port.waiting.iter().for_each(send);
                    }
                    if self.has(Bug::WaitingUsersKept) {
                        port.waiting
                            .into_iter()
                            .for_each(|(_, user)| keep_open(user));
                    } else if self.has(Bug::ClosesAllWaitingLate) {
                        tokio::spawn(async move {
                            sleep(Duration::from_secs(4)).await;
                            drop(port.waiting);
                        });
                    }
                }
            }
            if self.has(Bug::OneEndsAllWaiting) {
                state
                    .ports
                    .values_mut()
                    .for_each(|port| port.waiting.clear());
            }
        }
        for listener in listeners {
            listener.abort();
            let _ = listener.await;
        }
    }

    /// Answers the requests of a login until it ends.
    async fn serve(
        self: Arc<Self>,
        id: u64,
        lines: &mut Lines<ReadHalf<Stream>>,
        out: &UnboundedSender<Vec<u8>>,
    ) -> Ended {
        let replaced = match self.state().logins.get(&id) {
            Some(login) => login.ended.clone(),
            None => return Ended::Replaced,
        };
        let mut alive = Instant::now();
        let limit = match self.bug {
            Some(Bug::ControlLimited) => Duration::from_secs(9),
            _ => LONG * 60,
        };
        let over = Instant::now() + limit;
        let (mut srqs, mut held) = (0, None);
        loop {
            let seconds = Duration::from_secs(self.timeout);
            let patience = match self.bug {
                Some(Bug::ExpiryEarly) => seconds.mul_f64(0.7),
                Some(Bug::ExpiryLate) => seconds.mul_f64(2.5),
                Some(Bug::ExpiryNever) => LONG * 60,
                Some(Bug::ExpiryOverflows) if self.timeout == LONGEST => Duration::ZERO,
                Some(Bug::ExpiryCoarse) => seconds.mul_f64(1.25).max(Duration::from_secs(3)),
                Some(Bug::ExpiryNeverAfterSrq) if srqs > 0 => LONG * 60,
                _ => seconds.mul_f64(1.25),
            };
            let quiet = match self.bug {
                Some(Bug::ControlIdleClosed) => Duration::from_secs(4),
                Some(Bug::ControlIdleClosedLate) => Duration::from_secs(9),
                _ => LONG * 60,
            };
            let message = tokio::select! {
                message = lines.message() => message,
                () = sleep(quiet) => return Ended::Expired,
                () = tokio::time::sleep_until(over) => return Ended::Expired,
                () = replaced.cancelled() => return Ended::Replaced,
                () = tokio::time::sleep_until(alive + patience) => {
                    let renewed = match self.bug {
                        Some(Bug::TunnelRenews) => self.mixer.take_bytes(),
                        Some(Bug::HalfSrqRenews) => lines.has_more(),
                        Some(Bug::TrsRenews | Bug::UserRenews) => {
                            self.renewed.swap(false, Ordering::Relaxed)
                        }
                        _ => false,
                    };
                    if renewed {
                        alive = Instant::now();
                        continue;
                    }
                    return Ended::Expired;
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
            match message[0].as_slice() {
                b"SRQ" => {
                    srqs += 1;
                    if !self.has(Bug::SrqDoesNotRenew) {
                        alive = Instant::now();
                    }
                    if self.has(Bug::SrsEverySecond) && srqs % 2 == 0
                        || self.has(Bug::SrsMissingInCrowd) && srqs % 50 == 0
                        || self.has(Bug::SrsMissingByChance) && chance::strikes()
                    {
                        continue;
                    }
                    if self.has(Bug::SrsLate) {
                        sleep(LATE).await;
                    }
                    let _ = out.send(b"SRS\n".to_vec());
                    if self.has(Bug::SrsTwice) {
                        let _ = out.send(b"SRS\n".to_vec());
                    }
                }
                b"MAP" if self.closes_on(integer(&message[1])) => return Ended::Violation,
                b"MAP" => {
                    if self.has(Bug::MapRenews) {
                        alive = Instant::now();
                    }
                    let ok = self.clone().map(id, &message).await;
                    let answer = self.mrs(id, &message[1], ok);
                    if self.has(Bug::MrsLate) {
                        sleep(LATE).await;
                    }
                    if self.has(Bug::MrsMissingByChance) && chance::strikes() {
                        continue;
                    }
                    if self.has(Bug::MessagesInterleaved) {
                        // Another message can be sent between the halves.
                        let half = answer.len() - if ok { 5 } else { 6 };
                        let _ = out.send(answer[..half].to_vec());
                        sleep(Duration::from_millis(50)).await;
                        let _ = out.send(answer[half..].to_vec());
                        continue;
                    }
                    if self.has(Bug::MrsTwice) {
                        let _ = out.send(answer.clone());
                    }
                    match held.take() {
                        None if self.has(Bug::MrsSwapped) && ok && lines.has_more() => {
                            held = Some(answer)
                        }
                        first => {
                            let _ = out.send(answer);
                            first.map(|first| out.send(first));
                        }
                    }
                    if !ok && self.has(Bug::MrsFalseCloses) {
                        return Ended::Violation;
                    }
                    if !ok && self.has(Bug::MrsFalseDropsOthers) {
                        self.release_all(id).await;
                    }
                }
                b"ATH" if self.has(Bug::SecondLoginAccepted) => {
                    let _ = out.send(bytes(&[b"ARS", b"true", b"30", b"another-token"]));
                }
                b"ATH" if self.has(Bug::SecondLoginRefused) => {
                    let _ = out.send(b"ARS\nfalse\n".to_vec());
                }
                b"ATH" if self.has(Bug::SecondLoginIgnored) => {}
                b"TRS" if self.has(Bug::TrsOnControlIgnored) => {}
                b"TRS" if self.has(Bug::TrsOnControlJudged) => {
                    let known = self
                        .state()
                        .logins
                        .values()
                        .any(|login| login.token == message[1]);
                    if known {
                        return Ended::Violation;
                    }
                }
                _ => return Ended::Violation,
            }
        }
    }

    pub(super) async fn release_all(&self, id: u64) {
        let listeners: Vec<JoinHandle<()>> = {
            let mut state = self.state();
            let gone: Vec<u16> = state
                .ports
                .iter()
                .filter(|(_, port)| port.login == id)
                .map(|(number, _)| *number)
                .collect();
            gone.into_iter()
                .filter_map(|number| state.ports.remove(&number))
                .map(|port| port.listener)
                .collect()
        };
        for listener in listeners {
            listener.abort();
            let _ = listener.await;
        }
    }

    /// The answer to a MAP.
    fn mrs(&self, id: u64, asked: &[u8], ok: bool) -> Vec<u8> {
        let number = integer(asked);
        let ok: &[u8] = if ok { b"true" } else { b"false" };
        let port = match self.bug {
            Some(Bug::IntegerEchoed) => return bytes(&[b"MRS", asked, ok]),
            Some(Bug::MrsPortOffByOne) => (number + 1).to_string(),
            Some(Bug::IntegerWithPlus) => format!("+{number}"),
            Some(Bug::MrsPortSigned) if (0x8000..=0xffff).contains(&number) => {
                (number - 0x1_0000).to_string()
            }
            Some(Bug::MrsHighestPortAsZero) if number == 0xffff => "0".to_owned(),
            Some(Bug::MrsPortModulo) => (number & 0xffff).to_string(),
            Some(Bug::MrsPortOfFirst) => {
                let state = self.state();
                let first = state
                    .logins
                    .get(&id)
                    .and_then(|login| login.mapped.iter().min().copied());
                first.map_or(number, i64::from).to_string()
            }
            _ => number.to_string(),
        };
        bytes(&[b"MRS", port.as_bytes(), ok])
    }
}

async fn write(
    mut queue: UnboundedReceiver<Vec<u8>>,
    mut writer: WriteHalf<Stream>,
    bug: Option<Bug>,
) -> WriteHalf<Stream> {
    while let Some(bytes) = queue.recv().await {
        let bytes = shaped(bug, &bytes);
        if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
            break;
        }
    }
    writer
}

impl Shared {
    async fn finish(&self, reader: ReadHalf<Stream>, writer: JoinHandle<WriteHalf<Stream>>) {
        if let Ok(Ok(writer)) = timeout(Duration::from_secs(1), writer).await {
            self.close(reader, writer).await;
        }
    }
}
