//! TRQ, and the tunnels that it makes.

use super::{Map, World, braced};
use crate::fuzz::act::{Act, Kind, MOST};
use crate::fuzz::draft::{payload, segments};
use crate::fuzz::tunnel::Tunnel;

impl World {
    /// TRQ of a mapping with a service; what comes early is said before TRS is read.
    pub(super) fn join(&mut self, pick: u32, early: Option<u32>) {
        let Some(map) = self.live(pick) else { return };
        if !self.up || self.tunnels.len() > 8 {
            return;
        }
        let Some(step) = self.draft.event(&self.joined, "Absent", "TrqMapped") else {
            return;
        };
        self.draft.event(&self.table, "Up", "Trq");
        let control = self.control.clone();
        match pick / 8 % 3 {
            2 => {
                let text = format!("TRQ\\n{}\\n", braced(map.port));
                self.draft.act(&control, &segments(&text, pick / 24));
            }
            _ => self.draft.act(&control, &format!("> TRQ {}", map.port)),
        }
        let (d, t) = (self.draft.name('d'), self.draft.name('t'));
        self.draft
            .judge(&d, "accept", &[step.rule, "frame.segmentation"]);
        let trs = format!("< TRS {} {}", self.token, map.port);
        let accept = format!("accept {}", map.target);
        let first = ["tunnel.trs-first-line", "auth.token-opaque"];
        let mut tunnel_ended = [false, false];
        match early {
            None => {
                self.draft.judge(&d, &trs, &first);
                self.draft.judge(&t, &accept, &["tunnel.target"]);
            }
            Some(size) => {
                self.draft.event(&self.joined, "Dialling", "Bytes");
                let most = if self.long { MOST } else { 40_000 };
                let from_user = payload(&format!("{d}:early"), size.min(most));
                let from_target = payload(&format!("{t}:banner"), size.min(most));
                let ends = (pick / 2).is_multiple_of(4);
                if pick.is_multiple_of(2) {
                    self.draft.act(&d, &format!(">> {from_user}"));
                    if ends {
                        self.draft.event(&self.joined, "Dialling", "EarlyEnd");
                        self.draft.act(&d, "> shutdown");
                        tunnel_ended[0] = true;
                    }
                }
                self.draft.judge(&t, &accept, &["tunnel.target"]);
                if pick % 2 == 1 {
                    self.draft.act(&t, &format!(">> {from_target}"));
                    if ends {
                        self.draft.event(&self.joined, "Dialling", "EarlyEnd");
                        self.draft.act(&t, "> shutdown");
                        tunnel_ended[1] = true;
                    }
                }
                self.draft.judge(&d, &trs, &first);
                let (hears, bytes) = match pick % 2 {
                    0 => (&t, &from_user),
                    _ => (&d, &from_target),
                };
                self.draft
                    .judge(hears, &format!("<< {bytes}"), &["tunnel.transparent"]);
                if ends {
                    self.draft.judge(hears, "< eof", &["tunnel.end-passed"]);
                }
            }
        }
        self.draft.event(&self.joined, "Dialling", "BothOpen");
        self.tunnels.push(Tunnel::new([d, t], tunnel_ended));
    }

    /// Several in one segment; nobody can tell which target belongs to which data connection.
    pub(super) fn join_many(&mut self, pick: u32, size: u32) {
        let Some(map) = self.live(pick) else { return };
        if !self.up {
            return;
        }
        self.draft.event(&self.table, "Up", "Trq");
        let Some(step) = self.draft.event(&self.joined, "Absent", "TrqMapped") else {
            return;
        };
        let count = 2 + size % 6;
        let trq = format!("TRQ\\n{}\\n", braced(map.port));
        let text = trq.repeat(usize::try_from(count).unwrap_or(2));
        let control = self.control.clone();
        self.draft.act(&control, &segments(&text, pick / 8));
        let pairs: Vec<(String, String)> = (0..count)
            .map(|_| (self.draft.name('d'), self.draft.name('t')))
            .collect();
        for (d, _) in &pairs {
            let rules = ["frame.pipelining", step.rule];
            self.draft.judge(d, "accept", &rules);
            let trs = format!("< TRS {} {}", self.token, map.port);
            self.draft.judge(d, &trs, &["tunnel.trs-first-line"]);
        }
        for (_, t) in &pairs {
            let accept = format!("accept {}", map.target);
            self.draft.judge(t, &accept, &["tunnel.target"]);
        }
        for (d, _) in &pairs {
            self.draft.act(d, "> close");
        }
        for (_, t) in &pairs {
            self.draft
                .judge(t, "< closed", &["tunnel.reset-propagates"]);
        }
    }

    pub(super) fn join_unknown(&mut self, pick: u32) {
        if !self.up {
            return;
        }
        self.draft.event(&self.joined, "Absent", "TrqUnknown");
        let port = ["1", "0", "65536", "-1", "9223372036854775807"]
            [usize::try_from(pick % 5).unwrap_or(0)];
        let control = self.control.clone();
        self.draft.act(&control, &format!("> TRQ {port}"));
        self.silence("tunnel.unknown-port-ignored");
    }

    pub(super) fn join_dead(&mut self, size: u32) {
        let dead = |map: &&Map| map.target == "$dead_target";
        let Some(map) = self.maps.iter().find(dead).copied() else {
            return;
        };
        if !self.up {
            return;
        }
        self.draft.event(&self.table, "Up", "Trq");
        self.draft.event(&self.joined, "Absent", "TrqMapped");
        let Some(step) = self.draft.event(&self.joined, "Dialling", "TargetFailed") else {
            return;
        };
        let count = 1 + size % 3;
        let control = self.control.clone();
        self.draft.act(
            &control,
            &format!(">> \"TRQ\\n{}\\n\"*{count}", braced(map.port)),
        );
        for _ in 0..count {
            let d = self.draft.name('d');
            self.draft.judge(&d, "accept", &[step.rule]);
            let trs = format!("< TRS {} {}", self.token, map.port);
            self.draft.judge(&d, &trs, &[step.rule]);
            self.draft.judge(&d, "< closed", &[step.rule]);
        }
        self.silence("tunnel.failure-keeps-control");
    }

    pub(super) fn tunnel(&mut self, act: Act) {
        let open = |one: &&mut Tunnel| !one.is_closed();
        let count = self.tunnels.iter_mut().filter(open).count();
        let at = usize::try_from(act.who).unwrap_or(0) % count.max(1);
        let Some(tunnel) = self.tunnels.iter_mut().filter(open).nth(at) else {
            return;
        };
        let (draft, table) = (&mut self.draft, &self.joined);
        match act.kind {
            Kind::Say => tunnel.say(draft, table, act.pick, act.size),
            Kind::SayBoth => tunnel.say_both(draft, table, act.size),
            Kind::End => tunnel.end(draft, table, act.pick, act.size),
            Kind::EndAmid => tunnel.end_amid(draft, table, act.pick, act.size),
            Kind::Close => tunnel.close(draft, table, act.pick, act.size),
            _ => tunnel.reset(draft, table, act.pick),
        }
    }

    /// A mapping whose service listens.
    pub(super) fn live(&self, pick: u32) -> Option<Map> {
        let live: Vec<Map> = self
            .maps
            .iter()
            .copied()
            .filter(|map| map.target.starts_with("$target") && map.open)
            .collect();
        let at = usize::try_from(pick).unwrap_or(0) % live.len().max(1);
        live.get(at).copied()
    }
}
