//! TRQ, and the tunnels that it opens.

use netroxy_specification::notation::ast::Action;

use super::{Client, Map};
use crate::fuzz::act::{Act, ActKind, MAX_BYTES};
use crate::fuzz::steps::{
    CLOSED, EOF, Payload, accept, encoded, expect, join, repeated, segments, send, send_bytes,
    text, trq, trs, var,
};
use crate::fuzz::tunnel::Tunnel;

impl Client {
    /// TRQ of a mapping with a target. With a size, one side sends bytes before TRS is read.
    pub(super) fn join(&mut self, pick: u32, early: Option<u32>) {
        let Some(map) = self.live(pick) else { return };
        if !self.up || self.tunnels.len() > 8 {
            return;
        }
        let Some(step) = self.case.event(&self.tunnel_table, "Absent", "TrqMapped") else {
            return;
        };
        self.case.event(&self.table, "Up", "Trq");
        let trq = trq(var(map.port));
        let action = match pick / 8 % 3 {
            2 => segments(encoded(&trq), pick / 24),
            _ => send(trq),
        };
        self.case.act(&self.control, action);
        let (d, t) = (self.case.name('d'), self.case.name('t'));
        let rules = [step.rule, "frame.segmentation"];
        self.case.judge(&d, Action::Accept(None), &rules);
        let trs = expect(trs(self.token.clone(), var(map.port)));
        let accept = accept(var(map.target));
        let first = ["tunnel.trs-first-line", "auth.token-opaque"];
        let mut tunnel_ended = [false, false];
        match early {
            None => {
                self.case.judge(&d, trs, &first);
                self.case.judge(&t, accept, &["tunnel.target"]);
            }
            Some(size) => {
                self.case.event(&self.tunnel_table, "Dialling", "Bytes");
                let most = if self.long { MAX_BYTES } else { 40_000 };
                let from_user = Payload::new(&format!("{d}:early"), size.min(most));
                let from_target = Payload::new(&format!("{t}:banner"), size.min(most));
                let ends = (pick / 2).is_multiple_of(4);
                if pick.is_multiple_of(2) {
                    self.case.act(&d, from_user.send());
                    if ends {
                        self.case.event(&self.tunnel_table, "Dialling", "EarlyEnd");
                        self.case.act(&d, Action::Shutdown);
                        tunnel_ended[0] = true;
                    }
                }
                self.case.judge(&t, accept, &["tunnel.target"]);
                if pick % 2 == 1 {
                    self.case.act(&t, from_target.send());
                    if ends {
                        self.case.event(&self.tunnel_table, "Dialling", "EarlyEnd");
                        self.case.act(&t, Action::Shutdown);
                        tunnel_ended[1] = true;
                    }
                }
                self.case.judge(&d, trs, &first);
                let (receiver, bytes) = match pick % 2 {
                    0 => (&t, &from_user),
                    _ => (&d, &from_target),
                };
                let rules = ["tunnel.transparent"];
                self.case.judge(receiver, bytes.expect(), &rules);
                if ends {
                    self.case.judge(receiver, EOF, &["tunnel.end-passed"]);
                }
            }
        }
        self.case.event(&self.tunnel_table, "Dialling", "BothOpen");
        self.tunnels.push(Tunnel::new([d, t], tunnel_ended));
    }

    /// Several TRQ in one segment. It is unknown which target belongs to which data connection.
    pub(super) fn join_many(&mut self, pick: u32, size: u32) {
        let Some(map) = self.live(pick) else { return };
        if !self.up {
            return;
        }
        self.case.event(&self.table, "Up", "Trq");
        let Some(step) = self.case.event(&self.tunnel_table, "Absent", "TrqMapped") else {
            return;
        };
        let count = 2 + size % 6;
        let trq = encoded(&trq(var(map.port)));
        let bytes = join((0..count).map(|_| &trq));
        self.case.act(&self.control, segments(bytes, pick / 8));
        let pairs: Vec<(String, String)> = (0..count)
            .map(|_| (self.case.name('d'), self.case.name('t')))
            .collect();
        for (d, _) in &pairs {
            let rules = ["frame.pipelining", step.rule];
            self.case.judge(d, Action::Accept(None), &rules);
            let trs = expect(trs(self.token.clone(), var(map.port)));
            self.case.judge(d, trs, &["tunnel.trs-first-line"]);
        }
        for (_, t) in &pairs {
            let accept = accept(var(map.target));
            self.case.judge(t, accept, &["tunnel.target"]);
        }
        for (d, _) in &pairs {
            self.case.act(d, Action::Close);
        }
        for (_, t) in &pairs {
            self.case.judge(t, CLOSED, &["tunnel.reset-propagates"]);
        }
    }

    /// TRQ of a port that is not mapped.
    pub(super) fn join_unknown(&mut self, pick: u32) {
        if !self.up {
            return;
        }
        self.case.event(&self.tunnel_table, "Absent", "TrqUnknown");
        let ports = ["1", "0", "65536", "-1", "9223372036854775807"];
        let port = ports[usize::try_from(pick % 5).unwrap_or(0)];
        self.case.act(&self.control, send(trq(text(port))));
        self.silence("tunnel.unknown-port-ignored");
    }

    /// One or more TRQ of a mapping whose target refuses.
    pub(super) fn join_dead(&mut self, size: u32) {
        let Some(map) = self.map_to("dead_target") else {
            return;
        };
        if !self.up {
            return;
        }
        self.case.event(&self.table, "Up", "Trq");
        self.case.event(&self.tunnel_table, "Absent", "TrqMapped");
        let Some(step) = self
            .case
            .event(&self.tunnel_table, "Dialling", "TargetFailed")
        else {
            return;
        };
        let count = 1 + size % 3;
        let requests = repeated(&encoded(&trq(var(map.port))), count);
        self.case.act(&self.control, send_bytes(requests));
        for _ in 0..count {
            let d = self.case.name('d');
            self.case.judge(&d, Action::Accept(None), &[step.rule]);
            let trs = expect(trs(self.token.clone(), var(map.port)));
            self.case.judge(&d, trs, &[step.rule]);
            self.case.judge(&d, CLOSED, &[step.rule]);
        }
        self.silence("tunnel.failure-keeps-control");
    }

    /// An act on an open tunnel.
    pub(super) fn tunnel(&mut self, act: Act) {
        let open = |one: &&mut Tunnel| !one.is_closed();
        let count = self.tunnels.iter_mut().filter(open).count();
        let at = usize::try_from(act.who).unwrap_or(0) % count.max(1);
        let Some(tunnel) = self.tunnels.iter_mut().filter(open).nth(at) else {
            return;
        };
        let (case, table) = (&mut self.case, &self.tunnel_table);
        match act.kind {
            ActKind::Send => tunnel.send(case, table, act.pick, act.size),
            ActKind::SendBoth => tunnel.send_both(case, table, act.size),
            ActKind::End => tunnel.end(case, table, act.pick, act.size),
            ActKind::EndAmid => tunnel.end_amid(case, table, act.pick, act.size),
            ActKind::Close => tunnel.close(case, table, act.pick, act.size),
            _ => tunnel.reset(case, table, act.pick),
        }
    }

    /// An open mapping whose target listens.
    pub(super) fn live(&self, pick: u32) -> Option<Map> {
        let live: Vec<Map> = self
            .maps
            .iter()
            .copied()
            .filter(|map| map.target.starts_with("target") && map.open)
            .collect();
        let at = usize::try_from(pick).unwrap_or(0) % live.len().max(1);
        live.get(at).copied()
    }

    /// The mapping with this target.
    pub(super) fn map_to(&self, target: &str) -> Option<Map> {
        let mut maps = self.maps.iter();
        maps.find(|map| map.target == target).copied()
    }
}
