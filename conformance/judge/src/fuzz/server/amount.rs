//! Many users, mappings and logins.

use netroxy_specification::notation::ast::Action;

use super::{Server, port_of, target};
use crate::fuzz::amounts::{MAPPINGS, TUNNELS, TunnelGroup, chosen};
use crate::fuzz::steps::{
    CONNECT_SERVER, any_ars, ath, connect, expect, expect_bytes, join, map, mrs, send, send_bytes,
    srq, srs, step, text, trq, trs, var,
};

impl Server {
    /// Many users of a port are served, one after the other or all at once. Their tunnels stay open.
    pub(super) fn many_tunnels(&mut self, port: usize, pick: u32, size: u32) {
        let Some((owner, true)) = self.ports[port] else {
            return;
        };
        let Some(login) = self.logins.get(&owner) else {
            return;
        };
        let busy = self.undecided[port] || !self.queues[port].is_empty();
        if !self.long || self.group.is_some() || busy {
            return;
        }
        let (actor, token) = (login.actor.clone(), var(&login.token));
        for (table, state, event) in [
            (&self.tunnels, "Absent", "UserOpen"),
            (&self.tunnels, "Waiting", "TrsGood"),
            (&self.table, "Fresh", "TrsGood"),
        ] {
            self.case.event(table, state, event);
        }
        let count = chosen(TUNNELS, size);
        let (user, data) = (self.case.kept_name('k'), self.case.kept_name('l'));
        let one_by_one = pick.is_multiple_of(2);
        let rules = match one_by_one {
            true => ["tunnel.capacity"],
            false => ["tunnel.waiting-capacity"],
        };
        let hello = text("hello");
        let connect = step(&user, connect(port_of(port)), &["map.bound-when-true"]);
        let trq = step(&actor, expect(trq(port_of(port))), &rules);
        let open = step(&data, CONNECT_SERVER, &[]);
        let trs = step(&data, send(trs(token, port_of(port))), &[]);
        let sends = step(&user, send_bytes(hello.clone()), &[]);
        let receives = step(&data, expect_bytes(hello), &rules);
        let case = &mut self.case;
        if one_by_one {
            case.block(count, true, [connect, trq, open, trs, sends, receives]);
        } else {
            case.block(count, true, [connect, sends]);
            case.block(count, false, [trq]);
            case.block(count, true, [open, trs]);
            case.block(count, false, [receives]);
        }
        let sides = [user, data];
        let group = TunnelGroup { sides, count };
        group.still_works(case, &["tunnel.capacity"]);
        self.group = Some(group);
    }

    /// A login opens many mappings, and each of them serves a user.
    pub(super) fn many_mappings(&mut self, who: u32, size: u32) {
        let Some(login) = self.logins.get(&who) else {
            return;
        };
        if !self.long || std::mem::replace(&mut self.other_ports_used, true) {
            return;
        }
        let (actor, token) = (login.actor.clone(), var(&login.token));
        self.case.event(&self.table, "Control", "Map");
        let count = chosen(MAPPINGS, size);
        let (user, data) = (self.case.name('u'), self.case.name('d'));
        let (port, nth) = (var("nth_port"), var("nth"));
        let rules = ["map.capacity"];
        let map = send(map(port.clone(), target(), true));
        let mrs = expect(mrs(port.clone(), true));
        let answered = ["map.capacity", "map.one-reply", "map.order"];
        let served = [
            step(&user, connect(port.clone()), &rules),
            step(&actor, expect(trq(port.clone())), &rules),
            step(&data, CONNECT_SERVER, &[]),
            step(&data, send(trs(token, port)), &[]),
            step(&user, send_bytes(nth.clone()), &[]),
            step(&data, expect_bytes(nth), &rules),
        ];
        self.case.block(count, false, [step(&actor, map, &[])]);
        self.case
            .block(count, false, [step(&actor, mrs, &answered)]);
        self.case.block(count, false, served);
    }

    /// Many clients log in, at a time or in a row. A server need not allow more than 16 logins at a time, and the
    /// session has others.
    pub(super) fn many_logins(&mut self, pick: u32, size: u32) {
        if !self.long || std::mem::replace(&mut self.many_logins_done, true) {
            return;
        }
        self.case.event(&self.table, "Fresh", "AthGood");
        let m = self.case.kept_name('m');
        let name = join([&var("name"), &text(format!("-{m}-")), &var("nth")]);
        let connect = step(&m, CONNECT_SERVER, &[]);
        let ath = step(&m, send(ath(name)), &[]);
        let ars = |rules: &[&'static str]| step(&m, expect(any_ars(None)), rules);
        let close = step(&m, Action::Close, &[]);
        match pick % 2 {
            0 => {
                let count = chosen([2, 5, 9, 11], size);
                let rules = &["life.client-independence"];
                self.case.block(count, true, [connect, ath, ars(rules)]);
                let alive = [step(&m, send(srq()), &[]), step(&m, expect(srs()), rules)];
                self.case.block(count, false, alive);
                self.case.block(count, false, [close]);
            }
            _ => {
                let count = chosen([2, 5, 20, 40], size);
                let ars = ars(&["auth.ok-reply"]);
                self.case.block(count, false, [connect, ath, ars, close]);
            }
        }
    }
}
