//! Times in a session: how long nothing is sent, and what a tunnel must still do after that.

use netroxy_specification::notation::ast::{Action, Low};

use super::builder::{CaseBuilder, NamedTable};
use super::steps::{SILENCE, expect_bytes, from_low, text};
use super::tunnel::{Tunnel, side};

/// How long nothing is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// The bound in the step.
    low: Low,
    /// In milliseconds; more than any deadline for `still`, whose length depends on the program.
    pub(super) ms: u32,
}

/// The spans of an idle act, the shortest first.
const IDLE: [Span; 4] = [
    Span::of(1_000),
    Span::of(3_000),
    Span::of(9_000),
    Span {
        low: Low::Still,
        ms: 1_000_000,
    },
];

/// The spans before a late login or its late answer: each of these deadlines is at least 8 seconds.
const LATE: [Span; 4] = [
    Span::of(1_000),
    Span::of(3_000),
    Span::of(5_000),
    Span::of(7_000),
];

/// When a silent target accepts, in milliseconds: systems repeat a SYN after 1, 3 and 7 seconds.
pub(super) const ACCEPTS: [u32; 4] = [1_000, 2_000, 5_000, 6_500];

/// How long a peer must leave something open, in seconds. The rules say 8; one second is for the machine, on which the
/// suite may accept a connection later than the peer opened it.
pub(super) const FLOOR: u32 = 7;

/// How many acts of a session take time at most, so that a session takes less than a minute.
pub(super) const WAITS: u32 = 2;

impl Span {
    const fn of(ms: u32) -> Self {
        let low = Low::Ms(ms);
        Self { low, ms }
    }

    /// The idle span of this size, or the longest one that takes at most `room` milliseconds.
    pub(super) fn idle(size: u32, room: u32) -> Option<Self> {
        Self::longest(&IDLE, size, room)
    }

    /// The span before a late login of this size, or the longest one that takes at most `room` milliseconds.
    pub(super) fn late(size: u32, room: u32) -> Option<Self> {
        Self::longest(&LATE, size, room)
    }

    fn longest(spans: &[Self; 4], size: u32, room: u32) -> Option<Self> {
        let most = usize::try_from(size % 4).unwrap_or(0);
        let mut spans = spans[..=most].iter().rev();
        spans.find(|span| span.ms <= room).copied()
    }

    /// A connection receives nothing for this span.
    pub(super) fn silence(self, case: &mut CaseBuilder, actor: &str, rules: &[&'static str]) {
        case.judge_within(actor, SILENCE, from_low(self.low), rules);
    }
}

impl Tunnel {
    /// Neither side sends for a while.
    pub(super) fn idle(&self, case: &mut CaseBuilder, table: &NamedTable, pick: u32, span: Span) {
        case.event(table, self.state(), "Idle");
        // The side whose peer has ended its direction has already received an end.
        let side = match self.ended() {
            [true, _] => 0,
            [_, true] => 1,
            _ => side(pick),
        };
        span.silence(case, &self.sides[side], &self.lasting_rules());
    }

    /// After a wait the tunnel works as before: each side that has not ended its direction sends bytes, which arrive.
    pub(super) fn still_works(&mut self, case: &mut CaseBuilder, table: &NamedTable) {
        for from in [0, 1] {
            if !self.is_closed() && !self.ended()[from] {
                let rules = self.lasting_rules();
                case.event(table, self.state(), "Bytes");
                self.pass(case, from, 0, &rules);
            }
        }
    }

    /// One side reads nothing for a while, and the other side sends more than the systems buffer.
    pub(super) fn stall(
        &mut self,
        case: &mut CaseBuilder,
        table: &NamedTable,
        from: u32,
        span: Span,
    ) {
        let from = side(from);
        if self.ended() != [false, false] {
            return;
        }
        case.event(table, self.state(), "Full");
        let rules = self.lasting_rules();
        let much = self.payload(from, STALL_BYTES);
        case.act(&self.sides[1 - from], Action::Pause);
        case.act(&self.sides[from], much.send());
        span.silence(case, &self.sides[from], &rules);
        case.judge(&self.sides[1 - from], much.expect(), &rules);
    }

    /// One side sends slowly: one byte a second, or a text spread over `still`.
    pub(super) fn slow(&self, case: &mut CaseBuilder, table: &NamedTable, from: u32, still: bool) {
        let mut from = side(from);
        if self.ended()[from] {
            from = 1 - from;
        }
        case.event(table, self.state(), "Bytes");
        let rules = self.lasting_rules();
        let (send, bytes) = match still {
            true => {
                let bytes = text("slowly but surely");
                (Action::SendSlow(bytes.clone()), bytes)
            }
            false => {
                let segments = ["s", "l", "o", "w"].map(text);
                (Action::SendEvery(1_000, segments.to_vec()), text("slow"))
            }
        };
        case.act(&self.sides[from], send);
        case.judge(&self.sides[1 - from], expect_bytes(bytes), &rules);
    }

    /// The rules by which the tunnel stays open.
    fn lasting_rules(&self) -> Vec<&'static str> {
        let mut rules = match self.ended() {
            [false, false] => vec!["tunnel.idle"],
            _ => vec!["tunnel.half-close"],
        };
        if self.is_orphan() {
            rules.push("tunnel.outlives-control");
        }
        rules
    }
}

/// More bytes than the systems between two sides buffer.
const STALL_BYTES: u32 = 16 << 20;
