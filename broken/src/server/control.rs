//! Control connections: from the login to the end, and what they ask for.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{LONG, Login, Shared, keep};
use crate::Bug;
use crate::lines::{Lines, Message, Stream, bytes, integer};

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
        // Without randomness there is nothing to judge either.
        let _ = getrandom::fill(&mut random);
        random
            .iter()
            .flat_map(|byte| format!("{byte:02X}").into_bytes())
            .collect()
    }

    pub(super) async fn control(
        self: Arc<Self>,
        ath: &Message,
        mut lines: Lines<ReadHalf<Stream>>,
        writer: WriteHalf<Stream>,
        secure: bool,
    ) {
        let (out, queue) = unbounded_channel();
        let writer = tokio::spawn(write(queue, writer));
        let Some(id) = self.clone().log_in(ath, &out, secure).await else {
            drop(out);
            let (reader, _) = lines.into_parts();
            return self.finish(reader, writer).await;
        };
        lines.log_in();
        let ended = self.clone().serve(id, &mut lines, &out).await;
        if ended == Ended::Violation && self.has(Bug::ViolationEndsAll) {
            self.kick_all();
        }
        let kept = match self.bug {
            Some(Bug::PortsNeverReleased) => true,
            Some(Bug::PortsKeptOnReset) => ended == Ended::Reset,
            Some(Bug::PortsKeptOnViolation) => ended == Ended::Violation,
            Some(Bug::PortsKeptOnClose) => ended == Ended::Closed,
            Some(Bug::PortsKeptOnExpiry) => ended == Ended::Expired,
            _ => false,
        };
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

    /// Adds a login and answers it.
    async fn log_in(
        self: Arc<Self>,
        ath: &Message,
        out: &UnboundedSender<Vec<u8>>,
        secure: bool,
    ) -> Option<u64> {
        let (id, token, name) = (self.next(), self.token(&ath[1]), ath[1].clone());
        let older: Vec<u64> = {
            let state = self.state();
            let same = |login: &&Login| login.name == name && !name.is_empty();
            if self.has(Bug::OneClientOnly) && !state.logins.is_empty()
                || self.has(Bug::SameNameRefused) && state.logins.values().any(|login| same(&login))
            {
                let _ = out.send(b"ARS\nfalse\n".to_vec());
                return None;
            }
            state
                .logins
                .iter()
                .filter(|(_, login)| same(login))
                .map(|(id, _)| *id)
                .collect()
        };
        for older in older {
            match self.bug {
                Some(Bug::SameNameKept) => {}
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
        let seconds = if self.has(Bug::TimeoutZeroSent) {
            0
        } else {
            self.timeout
        };
        let answer = bytes(&[b"ARS", b"true", seconds.to_string().as_bytes(), &token]);
        if self.has(Bug::ArsTwice) {
            let _ = out.send(answer.clone());
        }
        let _ = out.send(answer);
        let mut state = self.state();
        state.tokens.push((token.clone(), secure, id));
        let login = Login {
            name,
            token,
            secure,
            mapped: HashSet::new(),
            out: out.clone(),
            kicked: CancellationToken::new(),
            tunnels: CancellationToken::new(),
        };
        state.logins.insert(id, login);
        Some(id)
    }

    /// Ends a login: nobody listens on its ports when this returns, unless a bug keeps them.
    async fn log_out(&self, id: u64, ports_kept: bool) {
        let mut listeners = Vec::new();
        {
            let mut state = self.state();
            let Some(login) = state.logins.remove(&id) else {
                return;
            };
            login.kicked.cancel();
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
                    if self.has(Bug::WaitingUsersKept) {
                        port.waiting.into_iter().for_each(|(_, user)| keep(user));
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

    /// Answers what a client that has logged in says, until it ends.
    async fn serve(
        self: Arc<Self>,
        id: u64,
        lines: &mut Lines<ReadHalf<Stream>>,
        out: &UnboundedSender<Vec<u8>>,
    ) -> Ended {
        let kicked = match self.state().logins.get(&id) {
            Some(login) => login.kicked.clone(),
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
                () = kicked.cancelled() => return Ended::Replaced,
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
                    {
                        continue;
                    }
                    let _ = out.send(b"SRS\n".to_vec());
                    if self.has(Bug::SrsTwice) {
                        let _ = out.send(b"SRS\n".to_vec());
                    }
                }
                b"MAP" => {
                    if self.has(Bug::MapRenews) {
                        alive = Instant::now();
                    }
                    let ok = self.clone().map(id, &message).await;
                    let answer = self.mrs(id, &message[1], ok);
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
) -> WriteHalf<Stream> {
    while let Some(bytes) = queue.recv().await {
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
