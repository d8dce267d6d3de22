//! Remote ports and their users.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::{LATE, Login, Port, Shared, USER_TIME, keep_open, send_text};
use crate::lines::{Message, integer};
use crate::{Bug, Manner, chance};

impl Shared {
    /// Handles a MAP: listens on the remote port. Returns the answer.
    pub(super) async fn map(self: Arc<Self>, id: u64, map: &Message) -> bool {
        let open = map[3] == b"true" || self.has(Bug::ClosedIsOpen);
        let number = integer(&map[1]);
        let number = match self.bug {
            Some(Bug::PortModulo) => Ok(u16::try_from(number & 0xffff).unwrap_or(0)),
            _ => u16::try_from(number),
        };
        let number = match number {
            Ok(0) | Err(_) => {
                return match self.bug {
                    Some(Bug::PortRangeTrue | Bug::PortModulo) => true,
                    Some(Bug::PortZeroTrue) => integer(&map[1]) == 0,
                    Some(Bug::PortNegativeTrue) => integer(&map[1]) < 0,
                    _ => false,
                };
            }
            Ok(number) => number,
        };
        if let Some(answer) = self.has_enough_ports(id) {
            return answer;
        }
        if self.has(Bug::ConflictTakesOver) {
            let older = self.state().ports.remove(&number);
            if let Some(older) = older {
                older.listener.abort();
                let _ = older.listener.await;
            }
        }
        if self.has(Bug::ConflictReopens)
            && let Some(port) = self.state().ports.get_mut(&number)
        {
            port.open = open;
            port.login = id;
            return false;
        }
        if self.has(Bug::ConflictDropsFirst) {
            let older = self.state().ports.remove(&number);
            if let Some(older) = older {
                older.listener.abort();
                let _ = older.listener.await;
                return false;
            }
        }
        if self.has(Bug::MrsBeforeBind) {
            let (shared, map) = (self.clone(), map.clone());
            tokio::spawn(async move {
                sleep(Duration::from_secs(1)).await;
                shared.bind(id, number, map[3] == b"true").await;
            });
            return true;
        }
        let own = self.control.contains(&number);
        if own && self.has(Bug::ControlPortGivenAway) {
            self.over.store(true, Ordering::Relaxed);
            return true;
        }
        self.clone().bind(id, number, open).await || self.has(Bug::ConflictTrue)
    }

    /// The address on which a remote port is bound.
    fn remote_address(&self, number: u16) -> Ipv4Addr {
        match self.manner {
            Manner::PortsElsewhere if self.control.contains(&number) => Ipv4Addr::new(127, 0, 0, 3),
            _ => Ipv4Addr::UNSPECIFIED,
        }
    }

    pub(super) async fn bind(self: Arc<Self>, id: u64, number: u16, open: bool) -> bool {
        let listener = match self.manner {
            Manner::NoListenerForClosed if !open => None,
            _ => match TcpListener::bind((self.remote_address(number), number)).await {
                Ok(listener) => Some(listener),
                Err(_) => return false,
            },
        };
        let shared = self.clone();
        let mut state = self.state();
        if listener.is_none() && state.ports.contains_key(&number) {
            return false;
        }
        let Some(login) = state.logins.get_mut(&id) else {
            return false;
        };
        login.mapped.insert(number);
        let listener = tokio::spawn(async move {
            while let Some(listener) = &listener {
                if let Ok((user, _)) = listener.accept().await {
                    shared.clone().user(number, user);
                }
            }
        });
        let port = Port {
            login: id,
            open,
            waiting: VecDeque::new(),
            listener,
        };
        state.ports.insert(number, port);
        true
    }

    /// A user has connected.
    pub(super) fn user(self: Arc<Self>, number: u16, user: TcpStream) {
        let id = self.next();
        let mut state = self.state();
        let Some(port) = state.ports.get_mut(&number) else {
            return;
        };
        if !port.open && self.has(Bug::ClosedSendsTrq) {
            let login = port.login;
            if let Some(login) = state.logins.get(&login) {
                let _ = login.out.send(format!("TRQ\n{number}\n").into_bytes());
            }
            return;
        }
        if !port.open {
            match self.bug {
                Some(Bug::ClosedHangs) => keep_open(user),
                Some(Bug::ClosedUserTold) => send_text(&user, "this mapping is closed"),
                Some(Bug::ClosedClosesLate) => {
                    tokio::spawn(async move {
                        sleep(LATE * 3).await;
                        drop(user);
                    });
                }
                _ => {}
            }
            return;
        }
        if self.has(Bug::UserRenews) {
            self.renewed.store(true, Ordering::Relaxed);
        }
        if self.rejects_user(&mut state, number) {
            return;
        }
        let Some(port) = state.ports.get_mut(&number) else {
            return;
        };
        if self.has(Bug::UserGreeted) {
            send_text(&user, "welcome");
        }
        if self.has(Bug::Lifo) {
            port.waiting.push_front((id, user));
        } else if self.has(Bug::SecondComesFirst) && port.waiting.len() >= 2 {
            port.waiting.insert(1, (id, user));
        } else {
            port.waiting.push_back((id, user));
        }
        let waiting = port.waiting.len();
        let (login, others) = (
            port.login,
            state
                .ports
                .iter()
                .any(|(other, port)| *other != number && !port.waiting.is_empty()),
        );
        let first = |login: &Login| login.mapped.iter().min().copied();
        let Some(login) = self.trq_receiver(&state, login) else {
            return;
        };
        let named = match self.bug {
            Some(Bug::TrqFirstPort) => first(login).unwrap_or(number),
            _ => number,
        };
        let trq = format!("TRQ\n{named}\n").into_bytes();
        let times = match self.bug {
            Some(Bug::TrqTwice) => 2,
            Some(Bug::TrqTwiceInCrowd) if waiting == 3 => 2,
            Some(Bug::TrqOnlyForFirst) if waiting > 1 => 0,
            Some(Bug::TrqHeldWhileOthersWait) if others => 0,
            Some(Bug::TrqMissingByChance) if chance::strikes() => 0,
            Some(Bug::TrqMissingNowAndThen) if id.is_multiple_of(25) => 0,
            _ => 1,
        };
        for _ in 0..times {
            if self.has(Bug::TrqLate) {
                let (out, trq) = (login.out.clone(), trq.clone());
                tokio::spawn(async move {
                    sleep(LATE).await;
                    let _ = out.send(trq);
                });
                continue;
            }
            let _ = login.out.send(trq.clone());
        }
        drop(state);
        if self.has(Bug::EarlyUserEndsLogin) {
            let shared = self.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    sleep(Duration::from_millis(20)).await;
                    let state = shared.state();
                    let port = state.ports.get(&number);
                    let has_sent = |(_, user): &(u64, TcpStream)| {
                        user.try_read(&mut [0]).is_ok_and(|count| count > 0)
                    };
                    if port.is_some_and(|port| port.waiting.iter().any(has_sent)) {
                        let logins = state.logins.values();
                        logins.for_each(|login| login.ended.cancel());
                        return;
                    }
                }
            });
        }
        if self.has(Bug::AbortedUserFatal) {
            let shared = self.clone();
            tokio::spawn(async move {
                sleep(Duration::from_millis(20)).await;
                let state = shared.state();
                let waiting = state
                    .ports
                    .get(&number)
                    .into_iter()
                    .flat_map(|port| &port.waiting);
                let gone = |(_, user): &(u64, TcpStream)| {
                    user.take_error().is_ok_and(|error| error.is_some())
                };
                if waiting.into_iter().any(gone) {
                    shared.over.store(true, Ordering::Relaxed);
                }
            });
        }
        if !self.has(Bug::UserWaitsForever) {
            tokio::spawn(async move {
                let limit = match self.bug {
                    Some(Bug::UserTimeShort) => Duration::from_secs(2),
                    Some(Bug::UserTimeNearlyEnough) => Duration::from_secs(6),
                    _ => USER_TIME,
                };
                sleep(limit).await;
                if let Some(port) = self.state().ports.get_mut(&number) {
                    if self.has(Bug::WaitingUserTold) {
                        let late = port.waiting.iter().filter(|(other, _)| *other == id);
                        late.for_each(|(_, user)| send_text(user, "nobody answers"));
                    }
                    port.waiting.retain(|(other, _)| *other != id);
                }
            });
        }
    }
}
