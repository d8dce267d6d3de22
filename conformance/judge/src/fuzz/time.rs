//! Time in a session: how long something stands still, and what must be true of a tunnel then.

use super::draft::{Draft, Known};
use super::tunnel::Tunnel;

/// How long something stands still.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// As in the bounds of a step.
    pub(super) text: &'static str,
    /// In milliseconds.
    pub(super) ms: u32,
}

/// What the sizes of an act choose from, the shortest first. How long `still` is depends on the program.
const SPANS: [Span; 4] = [
    Span::of("1s", 1_000),
    Span::of("3s", 3_000),
    Span::of("9s", 9_000),
    Span::of("still", FOREVER),
];

/// What a login may come after: each of the deadlines begins at 8 seconds.
const LATE: [Span; 4] = [
    Span::of("1s", 1_000),
    Span::of("3s", 3_000),
    Span::of("5s", 5_000),
    Span::of("7s", 7_000),
];

/// After how long a silent target accepts: systems ask again after 1, 3 and 7 seconds.
pub(super) const ACCEPTS: [&str; 4] = ["1s", "2s", "5s", "6.5s"];

/// How long something has to be left open, in seconds. The rules say 8; the last one is for the machine, on which we may
/// note a connection later than the peer that has opened it.
pub(super) const FLOOR: u32 = 7;

/// Longer than any deadline.
const FOREVER: u32 = 1_000_000;

/// How many acts of a session take time at most: a session is to be over in less than a minute.
pub(super) const WAITS: u32 = 2;

impl Span {
    const fn of(text: &'static str, ms: u32) -> Self {
        Self { text, ms }
    }

    /// The span of this size, or the longest that is no longer than `room`.
    pub(super) fn within(size: u32, room: u32) -> Option<Self> {
        let most = usize::try_from(size % 4).unwrap_or(0);
        let spans = SPANS[..=most].iter().rev();
        spans.copied().find(|span| span.ms <= room)
    }

    /// How late something comes that has 8 seconds.
    pub(super) fn late(size: u32, room: u32) -> Option<Self> {
        let most = usize::try_from(size % 4).unwrap_or(0);
        let spans = LATE[..=most].iter().rev();
        spans.copied().find(|span| span.ms <= room)
    }

    /// For so long at least nothing comes on a connection.
    pub(super) fn silence(self) -> String {
        format!("< silence in {}..", self.text)
    }
}

impl Tunnel {
    /// Nothing is said for a while.
    pub(super) fn stand(&self, draft: &mut Draft, table: &Known, side: u32, span: Span) {
        draft.event(table, self.state(), "Idle");
        // Where the other side has ended its direction, an end has come.
        let side = match self.ended() {
            [true, _] => 0,
            [_, true] => 1,
            _ => usize::from(side % 2 == 1),
        };
        draft.judge(&self.sides[side], &span.silence(), &self.lasting());
    }

    /// After a while it is as it was: both sides are heard where they can still say something.
    pub(super) fn lasts(&mut self, draft: &mut Draft, table: &Known) {
        for from in [0, 1] {
            if !self.is_closed() && !self.ended()[from] {
                let rules = self.lasting();
                draft.event(table, self.state(), "Bytes");
                self.pass(draft, from, 0, &rules);
            }
        }
    }

    /// One side reads nothing for a while, and the other one has much to say.
    pub(super) fn stall(&mut self, draft: &mut Draft, table: &Known, from: u32, span: Span) {
        let from = usize::from(from % 2 == 1);
        if self.ended() != [false, false] {
            return;
        }
        draft.event(table, self.state(), "Full");
        let rules = self.lasting();
        let much = self.bytes(from, STALLS);
        draft.act(&self.sides[1 - from], "pause");
        draft.act(&self.sides[from], &format!(">> {much}"));
        draft.judge(&self.sides[from], &span.silence(), &rules);
        draft.judge(&self.sides[1 - from], &format!("<< {much}"), &rules);
    }

    /// One side says something slowly: one byte a second, or all of it in as long as `still`.
    pub(super) fn slow(&self, draft: &mut Draft, table: &Known, from: u32, still: bool) {
        let mut from = usize::from(from % 2 == 1);
        if self.ended()[from] {
            from = 1 - from;
        }
        draft.event(table, self.state(), "Bytes");
        let rules = self.lasting();
        let (sent, came) = match still {
            true => (">> slow \"slowly but surely\"", "<< \"slowly but surely\""),
            false => (">> every 1s \"s\" \"l\" \"o\" \"w\"", "<< \"slow\""),
        };
        draft.act(&self.sides[from], sent);
        draft.judge(&self.sides[1 - from], came, &rules);
    }

    /// The rules by which it lasts.
    fn lasting(&self) -> Vec<&'static str> {
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

/// More than the systems on the way take for a side that reads nothing.
const STALLS: u32 = 16 << 20;
