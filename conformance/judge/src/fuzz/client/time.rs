//! Time: what stands still, or is slow, stays; what comes late is waited for.

use super::World;
use crate::fuzz::act::{Act, Kind};
use crate::fuzz::time::{ACCEPTS, FLOOR, Span, WAITS};
use crate::fuzz::tunnel::Tunnel;

impl World {
    /// Whether something may take time once more.
    fn may_wait(&self) -> bool {
        self.long && self.waits < WAITS
    }

    /// Whether nothing has been done since ATH came: its deadline counts from there.
    fn has_just_come(&self) -> bool {
        self.draft.height() == self.arrived
    }

    /// Everything stands still.
    pub(super) fn stand(&mut self, act: Act) {
        let Some(span) = Span::within(act.size, u32::MAX) else {
            return;
        };
        // Who has not been let in gives up.
        if !self.may_wait() || !self.up {
            return;
        }
        let at = self.open_tunnel(act.who);
        match at.filter(|_| !act.pick.is_multiple_of(4)) {
            Some(at) => {
                let (draft, table) = (&mut self.draft, &self.joined);
                self.tunnels[at].stand(draft, table, act.pick / 4, span);
            }
            None => {
                let rules = ["keep.client-patience"];
                self.draft.judge(&self.control, &span.silence(), &rules);
            }
        }
        self.waits += 1;
        self.all_last();
    }

    /// A tunnel is stalled, or slow.
    pub(super) fn linger(&mut self, act: Act) {
        let Some(at) = self.open_tunnel(act.who) else {
            return;
        };
        if !self.may_wait() || !self.up {
            return;
        }
        let (draft, table) = (&mut self.draft, &self.joined);
        match (act.kind, Span::within(act.size, u32::MAX)) {
            (Kind::Stall, Some(span)) => self.tunnels[at].stall(draft, table, act.pick, span),
            _ => self.tunnels[at].slow(draft, table, act.pick, act.size % 4 > 1),
        }
        self.waits += 1;
        self.all_last();
    }

    /// ARS comes late, and that is good all the same.
    pub(super) fn accept_late(&mut self, pick: u32, size: u32) {
        let Some(span) = Span::late(size, u32::MAX) else {
            return;
        };
        if self.up || !self.may_wait() || !self.has_just_come() {
            return;
        }
        let rules = ["auth.client-deadline-floor"];
        self.draft.judge(&self.control, &span.silence(), &rules);
        self.waits += 1;
        self.accept(pick, size);
        self.all_last();
    }

    /// ARS does not come: the client waits for a while, and then no more.
    pub(super) fn accept_never(&mut self, pick: u32) {
        if self.up || !self.may_wait() || !self.has_just_come() || !self.may_return() {
            return;
        }
        self.draft.event(&self.table, "LoggingIn", "LoginOverdue");
        match pick % 2 {
            0 => self
                .draft
                .open_for(&self.control, FLOOR, "auth.client-deadline-floor"),
            _ => self
                .draft
                .closed_within(&self.control, 15, "auth.client-deadline"),
        }
        self.draft.act(&self.control, "> close");
        self.waits += 1;
        self.come_back("life.reconnect");
    }

    /// TRQ of a mapping whose target accepts after some seconds.
    pub(super) fn target_late(&mut self, size: u32) {
        let silent = |map: &&super::Map| map.target == "$silent_target";
        let Some(map) = self.maps.iter().find(silent).copied() else {
            return;
        };
        if !self.up || !self.may_wait() || std::mem::replace(&mut self.reachable, true) {
            return;
        }
        self.draft.event(&self.table, "Up", "Trq");
        self.draft.event(&self.joined, "Absent", "TrqMapped");
        self.draft.event(&self.joined, "Dialling", "BothOpen");
        let (d, t) = (self.draft.name('d'), self.draft.name('t'));
        let after = ACCEPTS[usize::try_from(size % 4).unwrap_or(0)];
        let rules = ["tunnel.dial-patience"];
        let control = self.control.clone();
        self.draft.act(&t, &format!("late {after}"));
        self.draft.act(&control, &format!("> TRQ {}", map.port));
        let accept = format!("accept {} in ..10s", map.target);
        self.draft.judge(&t, &accept, &rules);
        self.draft.judge(&d, "accept", &rules);
        let trs = format!("< TRS {} {}", self.token, map.port);
        self.draft.judge(&d, &trs, &rules);
        let mut tunnel = Tunnel::new([d, t], [false, false]);
        tunnel.pass(&mut self.draft, 0, 0, &rules);
        tunnel.pass(&mut self.draft, 1, 0, &rules);
        self.tunnels.push(tunnel);
        self.waits += 1;
        self.all_last();
    }

    /// After a while everything is as it was.
    fn all_last(&mut self) {
        self.silence("keep.client-patience");
        for tunnel in &mut self.tunnels {
            tunnel.lasts(&mut self.draft, &self.joined);
        }
        if let Some(crowd) = &self.crowd {
            crowd.lasts(&mut self.draft, &["tunnel.idle"]);
        }
    }

    fn open_tunnel(&self, who: u32) -> Option<usize> {
        let open = |at: &usize| !self.tunnels[*at].is_closed();
        let open: Vec<usize> = (0..self.tunnels.len()).filter(open).collect();
        let at = usize::try_from(who).unwrap_or(0) % open.len().max(1);
        open.get(at).copied()
    }
}
