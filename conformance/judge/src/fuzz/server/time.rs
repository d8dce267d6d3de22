//! Acts that take time. Idle and slow connections must stay open.

use netroxy_specification::notation::ast::Action;

use super::{PORTS, Server, port_of};
use crate::fuzz::act::{Act, ActKind};
use crate::fuzz::steps::{CONNECT_SERVER, SILENCE, connect, expect, trq};
use crate::fuzz::time::{FLOOR, Span, WAITS};

impl Server {
    /// How long an act may take, in milliseconds: a waiting user must be joined before the server gives it up.
    fn room(&self) -> u32 {
        if !self.long || self.waits == WAITS {
            return 0;
        }
        let waiting = self
            .queues
            .iter()
            .flatten()
            .map(|index| &self.users[*index]);
        let since = waiting
            .filter(|user| !user.gone)
            .map(|user| user.since)
            .min();
        since.map_or(u32::MAX, |since| {
            USER_WAIT.saturating_sub(self.clock - since)
        })
    }

    /// An act has taken this time.
    fn pass(&mut self, ms: u32) {
        self.clock += ms;
        self.waits += 1;
    }

    /// Nothing is sent for a while.
    pub(super) fn idle(&mut self, who: u32, pick: u32, size: u32) {
        let Some(span) = Span::idle(size, self.room()) else {
            return;
        };
        let at = usize::try_from(who).unwrap_or(0);
        let waiting = (0..3).find_map(|port| self.waiting(port, who));
        let open: Vec<usize> = self.open_tunnels();
        match (pick % 4, waiting, open.len()) {
            (0, Some(index), _) => {
                let actor = &self.users[index].actor;
                span.silence(&mut self.case, actor, &["tunnel.user-patience"]);
            }
            (1.., _, 1..) => {
                let index = open[at % open.len()];
                if let Some(tunnel) = &self.users[index].tunnel {
                    tunnel.idle(&mut self.case, &self.tunnels, pick / 4, span);
                }
            }
            _ => {
                let mut logins = self.logins.values();
                let Some(login) = logins.nth(at % self.logins.len().max(1)) else {
                    return;
                };
                span.silence(&mut self.case, &login.actor, &["keep.not-early"]);
            }
        }
        self.pass(span.ms);
        self.all_still_work();
    }

    /// One side of a tunnel reads nothing for a while, or sends slowly.
    pub(super) fn slow_tunnel(&mut self, act: Act) {
        let open = self.open_tunnels();
        let at = usize::try_from(act.who).unwrap_or(0) % open.len().max(1);
        let Some(index) = open.get(at).copied() else {
            return;
        };
        let room = self.room();
        let Some(tunnel) = &mut self.users[index].tunnel else {
            return;
        };
        let ms = match act.kind {
            ActKind::Stall => {
                let Some(span) = Span::idle(act.size, room) else {
                    return;
                };
                tunnel.stall(&mut self.case, &self.tunnels, act.pick, span);
                span.ms
            }
            _ => {
                let still = act.size % 4 > 1 && room == u32::MAX;
                if room < SLOW {
                    return;
                }
                tunnel.slow(&mut self.case, &self.tunnels, act.pick, still);
                SLOW
            }
        };
        self.pass(ms);
        self.all_still_work();
    }

    /// A connection is idle first, then a login on it succeeds.
    pub(super) fn login_late(&mut self, who: u32, pick: u32, size: u32) {
        let Some(span) = Span::late(size, self.room()) else {
            return;
        };
        if self.logins.contains_key(&who) {
            return;
        }
        let actor = self.case.name('c');
        self.case.act(&actor, CONNECT_SERVER);
        let rules = ["auth.deadline-floor"];
        span.silence(&mut self.case, &actor, &rules);
        self.pass(span.ms);
        self.log_in(who, &actor, pick, &rules);
        self.all_still_work();
    }

    /// A connection on which nothing comes stays open for a while, or is closed in the end.
    pub(super) fn login_never(&mut self, pick: u32) {
        if self.room() < u32::MAX {
            return;
        }
        self.case.event(&self.table, "Fresh", "Overdue");
        let x = self.case.name('x');
        self.case.act(&x, CONNECT_SERVER);
        match pick % 2 {
            0 => self.case.open_for(&x, FLOOR, "auth.deadline-floor"),
            _ => self.case.closed_within(&x, 15, "auth.deadline"),
        }
        self.case.act(&x, Action::Close);
        self.pass(LONGEST_DEADLINE);
        self.all_still_work();
    }

    /// A user without a data connection stays open for a while, or is closed in the end.
    pub(super) fn user_overdue(&mut self, port: usize, pick: u32) {
        let Some((owner, true)) = self.ports[port] else {
            return;
        };
        let Some(control) = self.actor(owner) else {
            return;
        };
        // No other user can wait as long, and a bound counts from the last step of the suite.
        if self.room() < u32::MAX || self.undecided[port] {
            return;
        }
        let Some(step) = self.case.event(&self.tunnels, "Absent", "UserOpen") else {
            return;
        };
        self.case.event(&self.tunnels, "Waiting", "WaitOver");
        let user = self.case.name('u');
        let rules = ["map.bound-when-true"];
        self.case.judge(&user, connect(port_of(port)), &rules);
        let trq = expect(trq(port_of(port)));
        self.case.judge(&control, trq, &[step.rule]);
        match pick % 2 {
            0 => self.case.open_for(&user, FLOOR, "tunnel.user-patience"),
            _ => self.case.closed_within(&user, 15, "tunnel.user-timeout"),
        }
        self.case.act(&user, Action::Close);
        // The server may still have a place in its queue for this user.
        self.undecided[port] = true;
        self.pass(LONGEST_DEADLINE);
        self.all_still_work();
    }

    /// After a wait every login and every waiting user is open, and every tunnel carries bytes.
    fn all_still_work(&mut self) {
        for login in self.logins.values() {
            self.case.judge(&login.actor, SILENCE, &["keep.not-early"]);
        }
        for port in 0..PORTS.len() {
            for index in &self.queues[port] {
                let user = &self.users[*index];
                if !user.gone {
                    let rules = ["tunnel.user-patience"];
                    self.case.judge(&user.actor, SILENCE, &rules);
                }
            }
        }
        for user in &mut self.users {
            if let Some(tunnel) = &mut user.tunnel {
                tunnel.still_works(&mut self.case, &self.tunnels);
            }
        }
        if let Some(group) = &self.group {
            group.still_works(&mut self.case, &["tunnel.idle"]);
        }
    }

    /// The users with an open tunnel.
    fn open_tunnels(&self) -> Vec<usize> {
        let open = |index: &usize| {
            let tunnel = self.users[*index].tunnel.as_ref();
            tunnel.is_some_and(|one| !one.is_closed())
        };
        (0..self.users.len()).filter(open).collect()
    }
}

/// How long a user waits at most before its tunnel is joined, in milliseconds. The server must let it wait for 8
/// seconds; the other steps of the session take time too.
const USER_WAIT: u32 = 5_000;

/// How long four bytes take that are sent one a second, in milliseconds.
const SLOW: u32 = 4_000;

/// The longest deadline of a server, in milliseconds.
const LONGEST_DEADLINE: u32 = 15_000;
