//! Users until they are served.

use super::{PORTS, User, World};
use crate::fuzz::act::MOST;
use crate::fuzz::draft::payload;

impl World {
    /// Users of a port; several of them come at once.
    pub(super) fn come(&mut self, port: usize, pick: u32) {
        let Some((who, open)) = self.ports[port] else {
            return;
        };
        let (Some(actor), false) = (self.actor(who), self.spoilt[port]) else {
            return;
        };
        let event = if open { "UserOpen" } else { "UserNotOpen" };
        let Some(step) = self.draft.event(&self.tunnels, "Absent", event) else {
            return;
        };
        let count = [1, 1, 1, 1, 2, 3, 5][usize::try_from(pick).unwrap_or(0) % 7];
        if self.users.len() + count > 12 {
            return;
        }
        let names: Vec<String> = (0..count).map(|_| self.draft.name('u')).collect();
        for user in &names {
            if !open {
                let said = match (pick / 7).is_multiple_of(2) {
                    true => " \"GET / HTTP/1.0\\r\\n\\r\\n\"",
                    false => "",
                };
                let turned_away = format!("turned away {}{said}", PORTS[port]);
                self.draft.judge(user, &turned_away, &[step.rule]);
                continue;
            }
            let connect = format!("connect {}", PORTS[port]);
            self.draft.judge(user, &connect, &["map.bound-when-true"]);
        }
        if !open {
            self.draft
                .judge(&actor, "< silence", &["map.closed-no-tunnel"]);
            return;
        }
        for user in names {
            let trq = format!("< TRQ {}", PORTS[port]);
            self.draft
                .judge(&actor, &trq, &[step.rule, "tunnel.trq-port"]);
            self.queues[port].push_back(self.users.len());
            self.users.push(User {
                actor: user,
                port,
                said: Vec::new(),
                ended: false,
                gone: false,
                since: self.clock,
                tunnel: None,
            });
        }
    }

    /// One of those who wait on a port and are still there.
    pub(super) fn waiting(&self, port: usize, who: u32) -> Option<usize> {
        let there: Vec<usize> = self.queues[port]
            .iter()
            .copied()
            .filter(|index| !self.users[*index].gone)
            .collect();
        let at = usize::try_from(who).unwrap_or(0) % there.len().max(1);
        there.get(at).copied()
    }

    pub(super) fn user_says(&mut self, port: usize, who: u32, size: u32) {
        let Some(index) = self.waiting(port, who) else {
            return;
        };
        if self.users[index].ended {
            return;
        }
        self.draft.event(&self.tunnels, "Waiting", "Bytes");
        let user = &mut self.users[index];
        // So much fits on its way to a server that does not read yet; where it stays open, more can wait with us.
        let most = if self.long { MOST } else { 40_000 };
        let tag = format!("{}:early{}", user.actor, user.said.len());
        let bytes = payload(&tag, size.min(most));
        self.draft.act(&user.actor, &format!(">> {bytes}"));
        user.said.push(bytes);
        // What the server takes before the tunnel is joined, it has to keep.
        let owner = self.ports[port].and_then(|(owner, _)| self.actor(owner));
        if let Some(control) = owner.filter(|_| self.long) {
            let rules = ["tunnel.one-trq-per-user"];
            self.draft.judge(&control, "< silence in 0.2s..", &rules);
        }
    }

    pub(super) fn user_ends(&mut self, port: usize, who: u32) {
        let Some(index) = self.waiting(port, who) else {
            return;
        };
        if self.users[index].ended {
            return;
        }
        self.draft.event(&self.tunnels, "Waiting", "UserEnd");
        self.draft.act(&self.users[index].actor, "> shutdown");
        self.users[index].ended = true;
    }

    /// The last one says something and closes: that is to be delivered all the same.
    pub(super) fn user_leaves(&mut self, port: usize, size: u32) {
        let Some(index) = self.queues[port].back().copied() else {
            return;
        };
        if self.users[index].ended || self.users[index].gone {
            return;
        }
        self.draft.event(&self.tunnels, "Waiting", "UserEnd");
        let user = &mut self.users[index];
        let bytes = payload(&format!("{}:gone", user.actor), size.min(40_000));
        self.draft.act(&user.actor, &format!(">> {bytes}"));
        self.draft.act(&user.actor, "> close");
        user.said.push(bytes);
        user.gone = true;
    }

    pub(super) fn user_resets(&mut self, port: usize, who: u32) {
        let (Some(index), Some((owner, _))) = (self.waiting(port, who), self.ports[port]) else {
            return;
        };
        let Some(control) = self.actor(owner) else {
            return;
        };
        self.draft.event(&self.tunnels, "Waiting", "UserReset");
        self.draft.act(&self.users[index].actor, "> reset");
        // The server has had time to notice.
        self.draft
            .judge(&control, "< silence", &["life.survives-abort"]);
        self.users[index].gone = true;
        self.queues[port].retain(|waiting| *waiting != index);
    }

    pub(super) fn close_waiting(&mut self, index: usize) {
        let user = &mut self.users[index];
        if user.gone {
            return;
        }
        user.gone = true;
        let actor = user.actor.clone();
        self.draft.event(&self.tunnels, "Waiting", "ControlEnd");
        self.draft.closed_or_silent(&actor, "tunnel.waiting-closed");
        self.draft.act(&actor, "> close");
        // It may have taken its time.
        if self.short {
            self.keep_alive();
        }
    }
}
