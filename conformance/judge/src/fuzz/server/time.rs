//! Time: what stands still, or is slow, stays; what waits is waited for.

use super::{PORTS, World};
use crate::fuzz::act::{Act, Kind};
use crate::fuzz::time::{FLOOR, Span, WAITS};

impl World {
    /// How long everything may stand still: a user waits for 8 seconds at least, and comes and goes take time too.
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
            PATIENCE.saturating_sub(self.clock - since)
        })
    }

    /// So much time passes.
    fn pass(&mut self, ms: u32) {
        self.clock += ms;
        self.waits += 1;
    }

    /// Everything stands still.
    pub(super) fn stand(&mut self, who: u32, pick: u32, size: u32) {
        let Some(span) = Span::within(size, self.room()) else {
            return;
        };
        let at = usize::try_from(who).unwrap_or(0);
        let waiting = (0..3).find_map(|port| self.waiting(port, who));
        let open: Vec<usize> = self.open_tunnels();
        match (pick % 4, waiting, open.len()) {
            (0, Some(index), _) => {
                let actor = &self.users[index].actor;
                let rules = ["tunnel.user-patience"];
                self.draft.judge(actor, &span.silence(), &rules);
            }
            (1.., _, 1..) => {
                let index = open[at % open.len()];
                if let Some(tunnel) = &self.users[index].tunnel {
                    tunnel.stand(&mut self.draft, &self.tunnels, pick / 4, span);
                }
            }
            _ => {
                let mut logins = self.logins.values();
                let Some(login) = logins.nth(at % self.logins.len().max(1)) else {
                    return;
                };
                let rules = ["keep.not-early"];
                self.draft.judge(&login.actor, &span.silence(), &rules);
            }
        }
        self.pass(span.ms);
        self.all_last();
    }

    /// A tunnel is stalled, or slow.
    pub(super) fn linger(&mut self, act: Act) {
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
            Kind::Stall => {
                let Some(span) = Span::within(act.size, room) else {
                    return;
                };
                tunnel.stall(&mut self.draft, &self.tunnels, act.pick, span);
                span.ms
            }
            _ => {
                let still = act.size % 4 > 1 && room == u32::MAX;
                if room < SLOW {
                    return;
                }
                tunnel.slow(&mut self.draft, &self.tunnels, act.pick, still);
                SLOW
            }
        };
        self.pass(ms);
        self.all_last();
    }

    /// A connection stands still before its login, which is good all the same.
    pub(super) fn login_late(&mut self, who: u32, pick: u32, size: u32) {
        let Some(span) = Span::late(size, self.room()) else {
            return;
        };
        if self.logins.contains_key(&who) {
            return;
        }
        let actor = self.draft.name('c');
        self.draft.act(&actor, "connect server");
        let rules = ["auth.deadline-floor"];
        self.draft.judge(&actor, &span.silence(), &rules);
        self.pass(span.ms);
        self.log_in(who, &actor, pick, &rules);
        self.all_last();
    }

    /// A connection on which nothing comes is left open, and closed in the end.
    pub(super) fn login_never(&mut self, pick: u32) {
        if self.room() < u32::MAX {
            return;
        }
        self.draft.event(&self.table, "Fresh", "Overdue");
        let x = self.draft.name('x');
        self.draft.act(&x, "connect server");
        match pick % 2 {
            0 => self.draft.open_for(&x, FLOOR, "auth.deadline-floor"),
            _ => self.draft.closed_within(&x, 15, "auth.deadline"),
        }
        self.draft.act(&x, "> close");
        self.pass(LONG);
        self.all_last();
    }

    /// A user for whom no data connection comes is left open, and closed in the end.
    pub(super) fn user_overdue(&mut self, port: usize, pick: u32) {
        let Some((owner, true)) = self.ports[port] else {
            return;
        };
        let Some(control) = self.actor(owner) else {
            return;
        };
        // Another one would not wait as long, and a bound counts from what we have done last.
        if self.room() < u32::MAX || self.spoilt[port] {
            return;
        }
        let Some(step) = self.draft.event(&self.tunnels, "Absent", "UserOpen") else {
            return;
        };
        self.draft.event(&self.tunnels, "Waiting", "WaitOver");
        let user = self.draft.name('u');
        let connect = format!("connect {}", PORTS[port]);
        self.draft.judge(&user, &connect, &["map.bound-when-true"]);
        let trq = format!("< TRQ {}", PORTS[port]);
        self.draft.judge(&control, &trq, &[step.rule]);
        match pick % 2 {
            0 => self.draft.open_for(&user, FLOOR, "tunnel.user-patience"),
            _ => self.draft.closed_within(&user, 15, "tunnel.user-timeout"),
        }
        self.draft.act(&user, "> close");
        // Whether the server still holds a place for it is its own affair.
        self.spoilt[port] = true;
        self.pass(LONG);
        self.all_last();
    }

    /// After a while everybody is there, and is served.
    fn all_last(&mut self) {
        for login in self.logins.values() {
            self.draft
                .judge(&login.actor, "< silence", &["keep.not-early"]);
        }
        for port in 0..PORTS.len() {
            for index in &self.queues[port] {
                let user = &self.users[*index];
                if !user.gone {
                    let rules = ["tunnel.user-patience"];
                    self.draft.judge(&user.actor, "< silence", &rules);
                }
            }
        }
        for user in &mut self.users {
            if let Some(tunnel) = &mut user.tunnel {
                tunnel.lasts(&mut self.draft, &self.tunnels);
            }
        }
        if let Some(crowd) = &self.crowd {
            crowd.lasts(&mut self.draft, &["tunnel.idle"]);
        }
    }

    fn open_tunnels(&self) -> Vec<usize> {
        let open = |index: &usize| {
            let tunnel = self.users[*index].tunnel.as_ref();
            tunnel.is_some_and(|one| !one.is_closed())
        };
        (0..self.users.len()).filter(open).collect()
    }
}

/// So long a user may wait in a session that goes on, in milliseconds: less than the 8 seconds that it has at least,
/// because the rest of the session takes time too.
const PATIENCE: u32 = 5_000;

/// How long a few bytes take that come one a second.
const SLOW: u32 = 4_000;

/// The longest deadline.
const LONG: u32 = 15_000;
