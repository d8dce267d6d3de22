//! TRS, valid and wrong, and the tunnels that it joins.

use netroxy_specification::notation::ast::Action;

use super::{Server, User, port_of};
use crate::fuzz::act::{Act, ActKind};
use crate::fuzz::steps::{
    CLOSED, CONNECT_SERVER, EOF, Payload, encoded, expect_bytes, join, segments, send, send_bytes,
    text, trs, var,
};
use crate::fuzz::tunnel::Tunnel;

impl Server {
    /// A valid TRS for the first waiting user of a port. With a size, bytes follow TRS.
    pub(super) fn join(&mut self, port: usize, pick: u32, early: Option<u32>) {
        let (Some((owner, _)), Some(index)) =
            (self.ports[port], self.queues[port].front().copied())
        else {
            return;
        };
        let Some(token) = self.logins.get(&owner).map(|login| var(&login.token)) else {
            return;
        };
        if self.undecided[port] {
            return;
        }
        let Some(step) = self.case.event(&self.table, "Fresh", "TrsGood") else {
            return;
        };
        self.case.event(&self.tunnels, "Waiting", "TrsGood");
        self.queues[port].pop_front();
        let d = self.case.name('d');
        self.case.act(&d, CONNECT_SERVER);
        let trs = encoded(&trs(token, port_of(port)));
        let user = &mut self.users[index];
        let early = early.filter(|_| !user.gone);
        match early {
            None => self.case.act(&d, segments(trs, pick)),
            Some(size) => {
                let first = text(format!("{d}:early"));
                let more = Payload::new(&format!("{d}:more"), size);
                match pick % 4 {
                    // The bytes come in a segment of their own.
                    0 if size > 0 => {
                        self.case.act(&d, send_bytes(trs));
                        self.case.act(&d, send_bytes(first.clone()));
                    }
                    3 => {
                        let bytes = join([&trs, &first]);
                        self.case.act(&d, segments(bytes, pick / 4));
                    }
                    _ => self.case.act(&d, send_bytes(join([&trs, &first]))),
                }
                self.case.act(&d, more.send());
                let rules = ["tunnel.early-data"];
                self.case.judge(&user.actor, expect_bytes(first), &rules);
                self.case.judge(&user.actor, more.expect(), &rules);
            }
        }
        for bytes in &user.sent {
            let rules = ["tunnel.early-user-data", step.rule];
            self.case.judge(&d, bytes.expect(), &rules);
        }
        if user.ended || user.gone {
            self.case.event(&self.tunnels, "Open", "DirectionEnd");
            self.case.judge(&d, EOF, &["tunnel.end-passed"]);
        } else if user.sent.is_empty() {
            // This shows that the tunnel is joined, and with which user.
            let bytes = text(format!("{}:here", user.actor));
            self.case.act(&user.actor, send_bytes(bytes.clone()));
            let rules = [step.rule, "tunnel.isolation"];
            self.case.judge(&d, expect_bytes(bytes), &rules);
        }
        if user.gone {
            self.case.act(&d, Action::Close);
        } else {
            let sides = [user.actor.clone(), d];
            let mut tunnel = Tunnel::new(sides, [user.ended, false]);
            if user.ended {
                // The user waits for an answer.
                tunnel.send(&mut self.case, &self.tunnels, 1, 0);
            }
            user.tunnel = Some(tunnel);
        }
    }

    /// A TRS that the server must not join with a user.
    pub(super) fn join_bad(&mut self, who: u32, port: usize, pick: u32) {
        let owner = self.ports[port].map(|(owner, _)| owner);
        let of_port = owner.and_then(|owner| self.logins.get(&owner));
        let other = self.logins.iter().find(|(place, _)| Some(**place) != owner);
        let unmapped = (0..3).find(|port| self.ports[*port].is_none());
        let own = self.logins.get(&who);
        let (token, port, rule) = match (pick % 6, of_port, other, unmapped, own) {
            (0, Some(login), ..) => {
                let token = join([&var(&login.token), &text("x")]);
                (token, port, "tunnel.token-exact")
            }
            (1, Some(login), ..) => {
                let token = join([&text(" "), &var(&login.token)]);
                (token, port, "tunnel.token-exact")
            }
            (2, _, Some((_, login)), ..) => (var(&login.token), port, "tunnel.bad-port-close"),
            (3, _, _, Some(unmapped), Some(login)) => {
                (var(&login.token), unmapped, "tunnel.bad-port-close")
            }
            (4, ..) if self.stale.is_some() => {
                let stale = self.stale.as_deref().unwrap_or_default();
                (var(stale), port, "life.stale-token")
            }
            _ => {
                let token = text("ffffffffffffffffffffffffffffffff");
                (token, port, "tunnel.bad-token-close")
            }
        };
        self.case.event(&self.table, "Fresh", "TrsBad");
        let x = self.case.name('x');
        self.case.act(&x, CONNECT_SERVER);
        self.case.act(&x, send(trs(token, port_of(port))));
        self.case.judge(&x, CLOSED, &[rule]);
    }

    /// A TRS with a valid token and port, but no user waits.
    pub(super) fn join_unrequested(&mut self, port: usize) {
        let Some((owner, true)) = self.ports[port] else {
            return;
        };
        let Some(token) = self.logins.get(&owner).map(|login| var(&login.token)) else {
            return;
        };
        if !self.queues[port].is_empty() || self.undecided[port] {
            return;
        }
        self.case.event(&self.table, "Fresh", "TrsBad");
        let x = self.case.name('x');
        self.case.act(&x, CONNECT_SERVER);
        self.case.act(&x, send(trs(token, port_of(port))));
        self.case.closed_or_silent(&x, "tunnel.no-unsolicited");
        self.case.act(&x, Action::Close);
        // A server that kept the connection may join it with the next user.
        self.undecided[port] = true;
    }

    /// TRS on a control connection, for a waiting user or not.
    pub(super) fn join_on_control(&mut self, who: u32, port: usize, pick: u32) {
        let Some(login) = self.logins.get(&who) else {
            return;
        };
        let (actor, token) = (login.actor.clone(), var(&login.token));
        let good = self.ports[port].is_some_and(|(owner, _)| owner == who)
            && !self.queues[port].is_empty();
        let (event, token) = match good && !pick.is_multiple_of(4) {
            true => ("TrsGood", token),
            false => ("TrsBad", text("no-token")),
        };
        let Some(step) = self.case.event(&self.table, "Control", event) else {
            return;
        };
        self.case.act(&actor, send(trs(token, port_of(port))));
        self.case.judge(&actor, CLOSED, &[step.rule]);
        self.login_ended(who, "map.released-on-close");
    }

    /// An act on an open tunnel.
    pub(super) fn tunnel(&mut self, act: Act) {
        let open = |user: &&mut User| user.tunnel.as_ref().is_some_and(|one| !one.is_closed());
        let count = self.users.iter_mut().filter(open).count();
        let at = usize::try_from(act.who).unwrap_or(0) % count.max(1);
        let Some(user) = self.users.iter_mut().filter(open).nth(at) else {
            return;
        };
        let Some(tunnel) = &mut user.tunnel else {
            return;
        };
        let (case, table) = (&mut self.case, &self.tunnels);
        match act.kind {
            ActKind::Send => tunnel.send(case, table, act.pick, act.size),
            ActKind::SendBoth => tunnel.send_both(case, table, act.size),
            ActKind::End => tunnel.end(case, table, act.pick, act.size),
            ActKind::EndAmid => tunnel.end_amid(case, table, act.pick, act.size),
            ActKind::Close => tunnel.close(case, table, act.pick, act.size),
            _ => tunnel.reset(case, table, act.pick),
        }
    }
}
