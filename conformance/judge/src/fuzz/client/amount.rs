//! Many tunnels and mappings.

use netroxy_specification::notation::ast::Action;

use super::{Client, MANY};
use crate::fuzz::amounts::{MAPPINGS, TUNNELS, TunnelGroup, chosen};
use crate::fuzz::steps::{accept, expect, expect_bytes, send, send_bytes, step, trq, trs, var};

impl Client {
    /// Many users of a mapping, one after the other or all at once. Their tunnels stay open.
    pub(super) fn many_tunnels(&mut self, pick: u32, size: u32) {
        let Some(map) = self.live(pick) else { return };
        if !self.up || !self.long || self.group.is_some() {
            return;
        }
        self.case.event(&self.table, "Up", "Trq");
        self.case.event(&self.tunnel_table, "Absent", "TrqMapped");
        self.case.event(&self.tunnel_table, "Dialling", "BothOpen");
        let count = chosen(TUNNELS, size);
        let (data, target) = (self.case.kept_name('k'), self.case.kept_name('l'));
        let rules = ["tunnel.capacity"];
        let port = var(map.port);
        let trs = expect(trs(self.token.clone(), port.clone()));
        let trq = step(&self.control, send(trq(port)), &[]);
        let opened = step(&data, Action::Accept(None), &rules);
        let trs = step(&data, trs, &rules);
        let reached = step(&target, accept(var(map.target)), &rules);
        let case = &mut self.case;
        if (pick / 2).is_multiple_of(2) {
            case.block(count, true, [trq, opened, trs, reached]);
        } else {
            case.block(count, false, [trq]);
            case.block(count, true, [opened, trs]);
            case.block(count, true, [reached]);
        }
        let sides = [data, target];
        let group = TunnelGroup { sides, count };
        group.still_works(case, &rules);
        self.group = Some(group);
    }

    /// A user of each of many mappings.
    pub(super) fn many_mappings(&mut self, size: u32) {
        if !self.up || !self.many || std::mem::replace(&mut self.many_served, true) {
            return;
        }
        self.case.event(&self.table, "Up", "Trq");
        let (data, target) = (self.case.name('d'), self.case.name('t'));
        let rules = ["map.capacity"];
        let (port, nth) = (var("nth_port"), var("nth"));
        let trs = expect(trs(self.token.clone(), port.clone()));
        let steps = [
            step(&self.control, send(trq(port)), &[]),
            step(&data, Action::Accept(None), &rules),
            step(&data, trs, &rules),
            step(&target, accept(var("target")), &rules),
            step(&data, send_bytes(nth.clone()), &[]),
            step(&target, expect_bytes(nth), &rules),
        ];
        let count = chosen(MAPPINGS, size).min(MANY);
        self.case.block(count, false, steps);
    }
}
