//! Users until their tunnels are joined.

use netroxy_specification::notation::ast::Action;

use super::{Server, User, port_of};
use crate::fuzz::act::MAX_BYTES;
use crate::fuzz::steps::{Payload, SILENCE, connect, expect, from, text, trq};

impl Server {
    /// One or more users of a port connect at the same time.
    pub(super) fn users_connect(&mut self, port: usize, pick: u32) {
        let Some((who, open)) = self.ports[port] else {
            return;
        };
        let (Some(actor), false) = (self.actor(who), self.undecided[port]) else {
            return;
        };
        let event = if open { "UserOpen" } else { "UserNotOpen" };
        let Some(step) = self.case.event(&self.tunnels, "Absent", event) else {
            return;
        };
        let count = [1, 1, 1, 1, 2, 3, 5][usize::try_from(pick).unwrap_or(0) % 7];
        if self.users.len() + count > 12 {
            return;
        }
        let names: Vec<String> = (0..count).map(|_| self.case.name('u')).collect();
        for user in &names {
            if !open {
                let request = (pick / 7).is_multiple_of(2);
                let turned_away = Action::TurnedAway {
                    port: port_of(port),
                    said: request.then(|| text("GET / HTTP/1.0\r\n\r\n")),
                };
                self.case.judge(user, turned_away, &[step.rule]);
                continue;
            }
            let rules = ["map.bound-when-true"];
            self.case.judge(user, connect(port_of(port)), &rules);
        }
        if !open {
            let rules = ["map.closed-no-tunnel"];
            self.case.judge(&actor, SILENCE, &rules);
            return;
        }
        for user in names {
            let trq = expect(trq(port_of(port)));
            let rules = [step.rule, "tunnel.trq-port"];
            self.case.judge(&actor, trq, &rules);
            self.queues[port].push_back(self.users.len());
            self.users.push(User {
                actor: user,
                port,
                sent: Vec::new(),
                ended: false,
                gone: false,
                since: self.clock,
                tunnel: None,
            });
        }
    }

    /// One of the waiting users of a port whose connection is open.
    pub(super) fn waiting(&self, port: usize, who: u32) -> Option<usize> {
        let open: Vec<usize> = self.queues[port]
            .iter()
            .copied()
            .filter(|index| !self.users[*index].gone)
            .collect();
        let at = usize::try_from(who).unwrap_or(0) % open.len().max(1);
        open.get(at).copied()
    }

    /// A waiting user sends bytes.
    pub(super) fn user_sends(&mut self, port: usize, who: u32, size: u32) {
        let Some(index) = self.waiting(port, who) else {
            return;
        };
        if self.users[index].ended {
            return;
        }
        self.case.event(&self.tunnels, "Waiting", "Bytes");
        let user = &mut self.users[index];
        // The systems buffer 40 kB if the server does not read yet. If the user stays open, the suite can hold more.
        let most = if self.long { MAX_BYTES } else { 40_000 };
        let tag = format!("{}:early{}", user.actor, user.sent.len());
        let bytes = Payload::new(&tag, size.min(most));
        self.case.act(&user.actor, bytes.send());
        user.sent.push(bytes);
        // The server must keep the bytes that it reads before the tunnel is joined. This gives it time to read.
        let owner = self.ports[port].and_then(|(owner, _)| self.actor(owner));
        if let Some(control) = owner.filter(|_| self.long) {
            let rules = ["tunnel.one-trq-per-user"];
            self.case.judge_within(&control, SILENCE, from(200), &rules);
        }
    }

    /// A waiting user ends its direction.
    pub(super) fn user_ends(&mut self, port: usize, who: u32) {
        let Some(index) = self.waiting(port, who) else {
            return;
        };
        if self.users[index].ended {
            return;
        }
        self.case.event(&self.tunnels, "Waiting", "UserEnd");
        self.case.act(&self.users[index].actor, Action::Shutdown);
        self.users[index].ended = true;
    }

    /// The last waiting user sends bytes and closes. The server must still deliver the bytes.
    pub(super) fn user_closes(&mut self, port: usize, size: u32) {
        let Some(index) = self.queues[port].back().copied() else {
            return;
        };
        if self.users[index].ended || self.users[index].gone {
            return;
        }
        self.case.event(&self.tunnels, "Waiting", "UserEnd");
        let user = &mut self.users[index];
        let bytes = Payload::new(&format!("{}:gone", user.actor), size.min(40_000));
        self.case.act(&user.actor, bytes.send());
        self.case.act(&user.actor, Action::Close);
        user.sent.push(bytes);
        user.gone = true;
    }

    /// A waiting user resets its connection.
    pub(super) fn user_resets(&mut self, port: usize, who: u32) {
        let (Some(index), Some((owner, _))) = (self.waiting(port, who), self.ports[port]) else {
            return;
        };
        let Some(control) = self.actor(owner) else {
            return;
        };
        self.case.event(&self.tunnels, "Waiting", "UserReset");
        self.case.act(&self.users[index].actor, Action::Reset);
        // This gives the server time to detect the reset.
        self.case.judge(&control, SILENCE, &["life.survives-abort"]);
        self.users[index].gone = true;
        self.queues[port].retain(|waiting| *waiting != index);
    }

    /// The server closes a waiting user, because the login of its port has ended.
    pub(super) fn close_waiting(&mut self, index: usize) {
        let user = &mut self.users[index];
        if user.gone {
            return;
        }
        user.gone = true;
        let actor = user.actor.clone();
        self.case.event(&self.tunnels, "Waiting", "ControlEnd");
        self.case.closed_or_silent(&actor, "tunnel.waiting-closed");
        self.case.act(&actor, Action::Close);
        // The step before may have taken time.
        if self.short {
            self.keep_alive();
        }
    }
}
