//! Data connections, and the users that they are joined with.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{LATE, LONG, Login, Shared};
use crate::lines::{Lines, Message, Stream, integer};
use crate::relay::{End, read_early, relay};
use crate::{Bug, chance};

impl Shared {
    /// A connection whose first message is TRS.
    pub(super) async fn data(
        self: Arc<Self>,
        trs: &Message,
        lines: Lines<ReadHalf<Stream>>,
        mut writer: WriteHalf<Stream>,
        secure: bool,
    ) {
        let (token, number) = (&trs[1], integer(&trs[2]));
        let (reader, mut received) = lines.into_parts();
        if self.has(Bug::TrsRenews) {
            self.renewed.store(true, Ordering::Relaxed);
        }
        let joined = self.join(token, number, secure);
        let (user, tunnels) = match joined {
            Ok(joined) => joined,
            Err(refused) => return self.refuse(refused, reader, writer).await,
        };
        match self.bug {
            Some(Bug::EarlyDataLost) => received.clear(),
            Some(Bug::EarlyDataLostByChance) if chance::strikes() => received.clear(),
            Some(Bug::EarlyDataTwice) => received.extend_from_within(..),
            Some(Bug::JoinLate) => sleep(LATE).await,
            Some(Bug::EarlyDataTrimmed) => received = received.trim_ascii_start().to_vec(),
            Some(Bug::EarlyDataAsText) => {
                received = String::from_utf8_lossy(&received).into_owned().into()
            }
            Some(Bug::EarlyDataEndsAtNul) => {
                let end = received.iter().position(|byte| *byte == 0);
                received.truncate(end.unwrap_or(received.len()));
            }
            Some(Bug::TrsAnswered) => {
                let _ = writer.write_all(b"TRS\n").await;
            }
            _ => {}
        }
        let mut reader = reader;
        if self.has(Bug::EarlySegmentLost) {
            let mut dropped = vec![0; 64 * 1024];
            let _ = timeout(Duration::from_millis(30), reader.read(&mut dropped)).await;
        }
        if self.has(Bug::EarlyDataAtMost64Kib) {
            received.extend(read_early(&mut reader, 64 << 10).await);
            received.truncate(64 << 10);
        }
        let (mut far_reader, far_writer) = user.into_split();
        let loses = match self.bug {
            Some(Bug::EarlyUserDataLost) => true,
            Some(Bug::EarlyUserDataLostByChance) => chance::strikes(),
            Some(Bug::EarlyUserDataLostNowAndThen) => self.mixer.ever() % 5 == 4,
            _ => false,
        };
        if loses {
            // On a busy machine too, the bytes that are on their way come in this time.
            let mut dropped = vec![0; 64 * 1024];
            let _ = timeout(Duration::from_millis(100), far_reader.read(&mut dropped)).await;
        }
        let mut far_received = match self.bug {
            Some(Bug::EarlyUserDataAtMost16Kib) => read_early(&mut far_reader, 16 << 10).await,
            Some(Bug::EarlyUserDataAtMost64Kib) => read_early(&mut far_reader, 64 << 10).await,
            Some(Bug::EarlyUserDataAtMost1Mib) => read_early(&mut far_reader, 1 << 20).await,
            Some(Bug::EarlyUserDataAsText) => {
                let received = read_early(&mut far_reader, 1 << 20).await;
                String::from_utf8_lossy(&received).into_owned().into()
            }
            _ => Vec::new(),
        };
        if self.has(Bug::EarlyUserDataLostAtEnd) {
            // The bytes before the end are read first.
            let mut there = vec![0; 64 * 1024];
            let soon = Duration::from_millis(20);
            loop {
                match timeout(soon, far_reader.read(&mut there)).await {
                    Ok(Ok(0)) => return,
                    Ok(Ok(count)) => far_received.extend_from_slice(&there[..count]),
                    Ok(Err(_)) | Err(_) => break,
                }
            }
        }
        let data = End {
            reader,
            writer,
            received,
        };
        let far = End {
            reader: &mut far_reader,
            writer: far_writer,
            received: far_received,
        };
        tokio::select! {
            broken = relay(data, far, self.bug, &self.mixer) => {
                if broken && self.has(Bug::BrokenTunnelEndsControl) {
                    self.end_all();
                }
                if broken && self.has(Bug::BrokenTunnelFatal) {
                    self.over.store(true, Ordering::Relaxed);
                }
            }
            () = tunnels.cancelled() => {}
        }
    }

    /// The user for a data connection, and the token that ends the tunnel.
    pub(super) fn join(
        &self,
        token: &[u8],
        number: i64,
        secure: bool,
    ) -> Result<(TcpStream, CancellationToken), Refused> {
        let mut state = self.state();
        let fits = |login: &Login| {
            let own = login.token.as_slice();
            let place = login.secure == secure
                || self.has(Bug::TokenOfTlsAnywhere) && login.secure
                || self.has(Bug::TokenOfPlainAnywhere) && !login.secure;
            place
                && match self.bug {
                    Some(Bug::TokenWithMore) => token.starts_with(own),
                    Some(Bug::TokenWithLess) => !token.is_empty() && own.starts_with(token),
                    Some(Bug::TokenInAnyCase) => token.eq_ignore_ascii_case(own),
                    Some(Bug::TokenAfterOtherBytes) => token.ends_with(own),
                    Some(Bug::TokenTrimmed) => token.trim_ascii() == own,
                    Some(Bug::TokenNotCompared) => true,
                    Some(Bug::TokenEmptyAccepted) => token.is_empty() || token == own,
                    Some(Bug::TokenCutTo4095) => token == own || token.len() >= 4095,
                    _ => token == own,
                }
        };
        let found = state
            .logins
            .iter()
            .find(|(_, login)| fits(login))
            .map(|(id, _)| *id);
        let mut port = u16::try_from(number).unwrap_or(0);
        let old = || state.tokens.iter().any(|(old, _, _)| old == token);
        let id = match found {
            Some(id) => id,
            None if self.has(Bug::StaleTokenServed) && old() => match state.ports.get(&port) {
                Some(port) => port.login,
                None => return Err(Refused::Token),
            },
            None if self.has(Bug::StaleTokenKept) && old() => return Err(Refused::Kept),
            None if self.has(Bug::ReplacedTokenServed) && old() => match state.ports.get(&port) {
                Some(port) => port.login,
                None => return Err(Refused::Token),
            },
            None => return Err(Refused::Token),
        };
        let tunnels = state
            .logins
            .get(&id)
            .map(|login| login.tunnels.clone())
            .unwrap_or_default();
        if self.has(Bug::TrsPortGuessed) && port == 0 {
            port = state
                .logins
                .get(&id)
                .and_then(|login| login.mapped.iter().min().copied())
                .unwrap_or(0);
        }
        let owner = state.ports.get(&port).map(|port| port.login);
        let serves = match self.bug {
            Some(Bug::PortOfAnotherServed) => owner.is_some(),
            Some(Bug::TokenOfNameServed) => {
                let name = |id: &u64| state.logins.get(id).map(|login| &login.name);
                owner.is_some_and(|owner| name(&owner) == name(&id))
            }
            _ => owner == Some(id),
        };
        if !serves {
            return Err(Refused::Port);
        }
        let port = if self.has(Bug::WrongPortByChance) && chance::strikes() {
            let mut others = state
                .ports
                .iter()
                .filter(|(other, found)| **other != port && !found.waiting.is_empty());
            others.next().map_or(port, |(number, _)| *number)
        } else if self.has(Bug::AnyPortServed) {
            let longest = state
                .ports
                .iter()
                .filter(|(_, port)| !port.waiting.is_empty());
            longest
                .min_by_key(|(_, port)| port.waiting[0].0)
                .map_or(port, |(number, _)| *number)
        } else {
            port
        };
        let Some(port) = state.ports.get_mut(&port) else {
            return Err(Refused::Port);
        };
        if self.has(Bug::WrongUserByChance) && chance::strikes() {
            let last = port.waiting.pop_back();
            last.into_iter()
                .for_each(|last| port.waiting.push_front(last));
        }
        while let Some((_, user)) = port.waiting.pop_front() {
            let gone = user.take_error().is_ok_and(|error| error.is_some());
            if !gone || self.has(Bug::GoneUserServed) {
                return Ok((user, tunnels));
            }
            if self.has(Bug::GoneUserKeepsAll) {
                return Err(Refused::Kept);
            }
        }
        Err(Refused::Unsolicited)
    }

    async fn refuse(&self, why: Refused, reader: ReadHalf<Stream>, writer: WriteHalf<Stream>) {
        let kept = why == Refused::Kept
            || match self.bug {
                Some(Bug::BadTokenKept) => why == Refused::Token,
                Some(Bug::BadPortKept) => why == Refused::Port,
                Some(Bug::UnsolicitedKept) => why == Refused::Unsolicited,
                _ => false,
            };
        if kept {
            sleep(LONG).await;
        }
        if self.has(Bug::RefusedTunnelEndsControls) {
            self.end_all();
        }
        self.close(reader, writer).await;
    }
}

/// Why a data connection is not joined.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Token,
    Port,
    Unsolicited,
    /// A bug leaves the connection open.
    Kept,
}
