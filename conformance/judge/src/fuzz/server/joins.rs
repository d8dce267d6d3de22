//! TRS, good and bad, and the tunnels that it makes.

use super::{PORTS, User, World, braced};
use crate::fuzz::act::{Act, Kind};
use crate::fuzz::draft::{payload, segments};
use crate::fuzz::tunnel::Tunnel;

impl World {
    /// A good TRS for whoever has waited longest; with bytes behind it, if a size is given.
    pub(super) fn join(&mut self, port: usize, pick: u32, early: Option<u32>) {
        let (Some((owner, _)), Some(index)) =
            (self.ports[port], self.queues[port].front().copied())
        else {
            return;
        };
        let Some(token) = self.logins.get(&owner).map(|login| login.token.clone()) else {
            return;
        };
        if self.spoilt[port] {
            return;
        }
        let Some(step) = self.draft.event(&self.table, "Fresh", "TrsGood") else {
            return;
        };
        self.draft.event(&self.tunnels, "Waiting", "TrsGood");
        self.queues[port].pop_front();
        let d = self.draft.name('d');
        self.draft.act(&d, "connect server");
        let trs = format!("TRS\\n${{{token}}}\\n{}\\n", braced(port));
        let user = &mut self.users[index];
        let early = early.filter(|_| !user.gone);
        match early {
            None => self.draft.act(&d, &segments(&trs, pick)),
            Some(size) => {
                let text = format!("{d}:early");
                let more = payload(&format!("{d}:more"), size);
                match pick % 4 {
                    // Behind it, in a segment of its own.
                    0 if size > 0 => {
                        self.draft.act(&d, &format!(">> \"{trs}\""));
                        self.draft.act(&d, &format!(">> \"{text}\""));
                    }
                    3 => self
                        .draft
                        .act(&d, &segments(&format!("{trs}{text}"), pick / 4)),
                    _ => self.draft.act(&d, &format!(">> \"{trs}{text}\"")),
                }
                self.draft.act(&d, &format!(">> {more}"));
                let rule = ["tunnel.early-data"];
                self.draft
                    .judge(&user.actor, &format!("<< \"{text}\""), &rule);
                self.draft.judge(&user.actor, &format!("<< {more}"), &rule);
            }
        }
        for bytes in &user.said {
            let rules = ["tunnel.early-user-data", step.rule];
            self.draft.judge(&d, &format!("<< {bytes}"), &rules);
        }
        if user.ended || user.gone {
            self.draft.event(&self.tunnels, "Open", "DirectionEnd");
            self.draft.judge(&d, "< eof", &["tunnel.end-passed"]);
        } else if user.said.is_empty() {
            // That it is joined, and with whom.
            let bytes = format!("\"{}:here\"", user.actor);
            self.draft.act(&user.actor, &format!(">> {bytes}"));
            let rules = [step.rule, "tunnel.isolation"];
            self.draft.judge(&d, &format!("<< {bytes}"), &rules);
        }
        if user.gone {
            self.draft.act(&d, "> close");
        } else {
            let sides = [user.actor.clone(), d];
            let mut tunnel = Tunnel::new(sides, [user.ended, false]);
            if user.ended {
                // It waits for an answer.
                tunnel.say(&mut self.draft, &self.tunnels, 1, 0);
            }
            user.tunnel = Some(tunnel);
        }
    }

    /// TRS that must not be joined with anybody.
    pub(super) fn join_bad(&mut self, who: u32, port: usize, pick: u32) {
        let owner = self.ports[port].map(|(owner, _)| owner);
        let mine = owner.and_then(|owner| self.logins.get(&owner));
        let other = self.logins.iter().find(|(place, _)| Some(**place) != owner);
        let unmapped = (0..3).find(|port| self.ports[*port].is_none());
        let own = self.logins.get(&who).map(|login| &login.token);
        let (token, named, rule) = match (pick % 6, mine, other, unmapped, own) {
            (0, Some(login), ..) => (
                format!("\"${{{}}}x\"", login.token),
                port,
                "tunnel.token-exact",
            ),
            (1, Some(login), ..) => (
                format!("\" ${{{}}}\"", login.token),
                port,
                "tunnel.token-exact",
            ),
            (2, _, Some((_, login)), ..) => (
                format!("\"${{{}}}\"", login.token),
                port,
                "tunnel.bad-port-close",
            ),
            (3, _, _, Some(unmapped), Some(token)) => (
                format!("\"${{{token}}}\""),
                unmapped,
                "tunnel.bad-port-close",
            ),
            (4, ..) if self.stale.is_some() => (
                format!("\"${{{}}}\"", self.stale.clone().unwrap_or_default()),
                port,
                "life.stale-token",
            ),
            _ => (
                "ffffffffffffffffffffffffffffffff".to_owned(),
                port,
                "tunnel.bad-token-close",
            ),
        };
        self.draft.event(&self.table, "Fresh", "TrsBad");
        let x = self.draft.name('x');
        self.draft.act(&x, "connect server");
        self.draft
            .act(&x, &format!("> TRS {token} {}", PORTS[named]));
        self.draft.judge(&x, "< closed", &[rule]);
    }

    pub(super) fn join_unasked(&mut self, port: usize) {
        let Some((owner, true)) = self.ports[port] else {
            return;
        };
        let Some(token) = self.logins.get(&owner).map(|login| login.token.clone()) else {
            return;
        };
        if !self.queues[port].is_empty() || self.spoilt[port] {
            return;
        }
        self.draft.event(&self.table, "Fresh", "TrsBad");
        let x = self.draft.name('x');
        self.draft.act(&x, "connect server");
        self.draft
            .act(&x, &format!("> TRS \"${{{token}}}\" {}", PORTS[port]));
        self.draft.closed_or_silent(&x, "tunnel.no-unsolicited");
        self.draft.act(&x, "> close");
        // Who has kept it may join it with the next user.
        self.spoilt[port] = true;
    }

    pub(super) fn join_on_control(&mut self, who: u32, port: usize, pick: u32) {
        let Some(login) = self.logins.get(&who) else {
            return;
        };
        let (actor, token) = (login.actor.clone(), login.token.clone());
        let good = self.ports[port].is_some_and(|(owner, _)| owner == who)
            && !self.queues[port].is_empty();
        let (event, token) = match good && !pick.is_multiple_of(4) {
            true => ("TrsGood", format!("\"${{{token}}}\"")),
            false => ("TrsBad", "no-token".to_owned()),
        };
        let Some(step) = self.draft.event(&self.table, "Control", event) else {
            return;
        };
        self.draft
            .act(&actor, &format!("> TRS {token} {}", PORTS[port]));
        self.draft.judge(&actor, "< closed", &[step.rule]);
        self.over(who, "map.released-on-close");
    }

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
        let (draft, table) = (&mut self.draft, &self.tunnels);
        match act.kind {
            Kind::Say => tunnel.say(draft, table, act.pick, act.size),
            Kind::SayBoth => tunnel.say_both(draft, table, act.size),
            Kind::End => tunnel.end(draft, table, act.pick, act.size),
            Kind::EndAmid => tunnel.end_amid(draft, table, act.pick, act.size),
            Kind::Close => tunnel.close(draft, table, act.pick, act.size),
            _ => tunnel.reset(draft, table, act.pick),
        }
    }
}
