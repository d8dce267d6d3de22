//! Acts that take time. Idle and slow connections must stay open, and the client must wait for what comes late.

use netroxy_specification::notation::ast::Action;

use super::Client;
use crate::fuzz::act::{Act, ActKind};
use crate::fuzz::steps::{accept, expect, send, trq, trs, until, var};
use crate::fuzz::time::{ACCEPTS, FLOOR, Span, WAITS};
use crate::fuzz::tunnel::Tunnel;

impl Client {
    /// Whether an act may take time once more.
    fn may_wait(&self) -> bool {
        self.long && self.waits < WAITS
    }

    /// Whether ATH was the last step: the deadline for ARS counts from there.
    fn has_just_connected(&self) -> bool {
        self.case.height() == self.arrived
    }

    /// Nothing is sent for a while.
    pub(super) fn idle(&mut self, act: Act) {
        let Some(span) = Span::idle(act.size, u32::MAX) else {
            return;
        };
        // Without ARS the client would give up.
        if !self.may_wait() || !self.up {
            return;
        }
        let at = self.open_tunnel(act.who);
        match at.filter(|_| !act.pick.is_multiple_of(4)) {
            Some(at) => {
                let (case, table) = (&mut self.case, &self.tunnel_table);
                self.tunnels[at].idle(case, table, act.pick / 4, span);
            }
            None => {
                let rules = ["keep.client-patience"];
                span.silence(&mut self.case, &self.control, &rules);
            }
        }
        self.waits += 1;
        self.all_still_work();
    }

    /// One side of a tunnel reads nothing for a while, or sends slowly.
    pub(super) fn slow_tunnel(&mut self, act: Act) {
        let Some(at) = self.open_tunnel(act.who) else {
            return;
        };
        if !self.may_wait() || !self.up {
            return;
        }
        let (case, table) = (&mut self.case, &self.tunnel_table);
        match (act.kind, Span::idle(act.size, u32::MAX)) {
            (ActKind::Stall, Some(span)) => self.tunnels[at].stall(case, table, act.pick, span),
            _ => self.tunnels[at].slow(case, table, act.pick, act.size % 4 > 1),
        }
        self.waits += 1;
        self.all_still_work();
    }

    /// ARS comes late; the client must wait for it.
    pub(super) fn ars_late(&mut self, pick: u32, size: u32) {
        let Some(span) = Span::late(size, u32::MAX) else {
            return;
        };
        if self.up || !self.may_wait() || !self.has_just_connected() {
            return;
        }
        let rules = ["auth.client-deadline-floor"];
        span.silence(&mut self.case, &self.control, &rules);
        self.waits += 1;
        self.ars_true(pick, size);
        self.all_still_work();
    }

    /// ARS does not come. The client waits for a while, or closes in the end.
    pub(super) fn ars_never(&mut self, pick: u32) {
        if self.up || !self.may_wait() || !self.has_just_connected() || !self.may_reconnect() {
            return;
        }
        self.case.event(&self.table, "LoggingIn", "LoginOverdue");
        let control = &self.control;
        match pick % 2 {
            0 => self
                .case
                .open_for(control, FLOOR, "auth.client-deadline-floor"),
            _ => self.case.closed_within(control, 15, "auth.client-deadline"),
        }
        self.case.act(control, Action::Close);
        self.waits += 1;
        self.reconnects("life.reconnect");
    }

    /// TRQ of a mapping whose target accepts after some seconds.
    pub(super) fn target_late(&mut self, size: u32) {
        let Some(map) = self.map_to("silent_target") else {
            return;
        };
        let busy = !self.up || !self.may_wait();
        if busy || std::mem::replace(&mut self.silent_target_used, true) {
            return;
        }
        self.case.event(&self.table, "Up", "Trq");
        self.case.event(&self.tunnel_table, "Absent", "TrqMapped");
        self.case.event(&self.tunnel_table, "Dialling", "BothOpen");
        let (d, t) = (self.case.name('d'), self.case.name('t'));
        let after = ACCEPTS[usize::try_from(size % 4).unwrap_or(0)];
        let rules = ["tunnel.dial-patience"];
        self.case.act(&t, Action::Late(after));
        self.case.act(&self.control, send(trq(var(map.port))));
        let accept = accept(var(map.target));
        self.case.judge_within(&t, accept, until(10_000), &rules);
        self.case.judge(&d, Action::Accept(None), &rules);
        let trs = expect(trs(self.token.clone(), var(map.port)));
        self.case.judge(&d, trs, &rules);
        let mut tunnel = Tunnel::new([d, t], [false, false]);
        tunnel.pass(&mut self.case, 0, 0, &rules);
        tunnel.pass(&mut self.case, 1, 0, &rules);
        self.tunnels.push(tunnel);
        self.waits += 1;
        self.all_still_work();
    }

    /// After a wait the control connection is open, and every tunnel carries bytes.
    fn all_still_work(&mut self) {
        self.silence("keep.client-patience");
        for tunnel in &mut self.tunnels {
            tunnel.still_works(&mut self.case, &self.tunnel_table);
        }
        if let Some(group) = &self.group {
            group.still_works(&mut self.case, &["tunnel.idle"]);
        }
    }

    /// One of the open tunnels.
    fn open_tunnel(&self, who: u32) -> Option<usize> {
        let open = |at: &usize| !self.tunnels[*at].is_closed();
        let open: Vec<usize> = (0..self.tunnels.len()).filter(open).collect();
        let at = usize::try_from(who).unwrap_or(0) % open.len().max(1);
        open.get(at).copied()
    }
}
