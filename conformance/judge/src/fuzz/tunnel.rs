//! What happens on a tunnel that has been joined, at either peer.

use super::draft::{Draft, Known, payload};

/// A tunnel and its two sides.
#[derive(Debug, Clone)]
pub(super) struct Tunnel {
    /// Who is connected with the peer: at the server user and data connection, at the client data connection and target.
    pub(super) sides: [String; 2],
    /// Whether a side has ended its direction.
    ended: [bool; 2],
    state: &'static str,
    /// Whether its control connection has ended since it was joined.
    orphan: bool,
    said: u32,
}

impl Tunnel {
    /// It has just been joined; a side may have ended its direction before that.
    pub(super) fn new(sides: [String; 2], ended: [bool; 2]) -> Self {
        let state = if ended.contains(&true) {
            "HalfClosed"
        } else {
            "Open"
        };
        Self {
            sides,
            ended,
            state,
            orphan: false,
            said: 0,
        }
    }

    pub(super) fn state(&self) -> &'static str {
        self.state
    }

    /// Whether each side has ended its direction.
    pub(super) fn ended(&self) -> [bool; 2] {
        self.ended
    }

    /// Whether its control connection has ended since it was joined.
    pub(super) fn is_orphan(&self) -> bool {
        self.orphan
    }

    /// Whether it is over.
    pub(super) fn is_closed(&self) -> bool {
        self.state == "Closed"
    }

    /// The control connection has ended, which must not matter.
    pub(super) fn outlive(&mut self, draft: &mut Draft, table: &Known) {
        if draft.event(table, self.state, "ControlEnd").is_some() {
            self.orphan = true;
        }
    }

    /// One side says something.
    pub(super) fn say(&mut self, draft: &mut Draft, table: &Known, from: u32, size: u32) {
        let from = side(from);
        let Some(rules) = self.carried(draft, table, from) else {
            return;
        };
        self.pass(draft, from, size, &rules);
    }

    /// One side says something, which is carried by these rules.
    pub(super) fn pass(
        &mut self,
        draft: &mut Draft,
        from: usize,
        size: u32,
        rules: &[&'static str],
    ) {
        let bytes = self.bytes(from, size);
        draft.act(&self.sides[from], &format!(">> {bytes}"));
        draft.judge(&self.sides[1 - from], &format!("<< {bytes}"), rules);
    }

    /// Both sides say something at the same time.
    pub(super) fn say_both(&mut self, draft: &mut Draft, table: &Known, size: u32) {
        let rules = [0, 1].map(|from| self.carried(draft, table, from));
        let [Some(forth), Some(back)] = rules else {
            return;
        };
        let bytes = [0, 1].map(|from| self.bytes(from, size));
        draft.act(&self.sides[0], &format!(">> {}", bytes[0]));
        draft.act(&self.sides[1], &format!(">> {}", bytes[1]));
        draft.judge(&self.sides[1], &format!("<< {}", bytes[0]), &forth);
        draft.judge(&self.sides[0], &format!("<< {}", bytes[1]), &back);
    }

    /// One side ends its direction, and is answered if the other one still can.
    pub(super) fn end(&mut self, draft: &mut Draft, table: &Known, from: u32, size: u32) {
        let from = side(from);
        if self.is_closed() || self.ended[from] {
            return;
        }
        let Some(step) = draft.event(table, self.state, "DirectionEnd") else {
            return;
        };
        draft.act(&self.sides[from], "> shutdown");
        self.ended[from] = true;
        self.state = step.next;
        match step.action {
            "PassEnd" => {
                draft.judge(&self.sides[1 - from], "< eof", &["tunnel.end-passed"]);
                self.say(draft, table, u32::from(from == 0), size);
            }
            _ => {
                draft.judge(&self.sides[1 - from], "< closed", &[step.rule]);
                draft.judge(&self.sides[from], "< closed", &[step.rule]);
            }
        }
    }

    /// One side says much and ends its direction while the other one talks: all of both arrives.
    pub(super) fn end_amid(&mut self, draft: &mut Draft, table: &Known, from: u32, size: u32) {
        let from = side(from);
        if self.ended != [false, false] {
            return;
        }
        let (Some(forth), Some(mut back), Some(step)) = (
            self.carried(draft, table, from),
            self.carried(draft, table, 1 - from),
            draft.event(table, self.state, "DirectionEnd"),
        ) else {
            return;
        };
        let much = [0, 1].map(|side| self.bytes(side, 3_000_000 + size));
        draft.act(&self.sides[from], &format!(">> {}", much[from]));
        draft.act(&self.sides[1 - from], &format!(">> {}", much[1 - from]));
        draft.act(&self.sides[from], "> shutdown");
        self.ended[from] = true;
        self.state = step.next;
        draft.judge(&self.sides[1 - from], &format!("<< {}", much[from]), &forth);
        draft.judge(&self.sides[1 - from], "< eof", &["tunnel.end-passed"]);
        back.insert(0, "tunnel.half-close");
        draft.judge(&self.sides[from], &format!("<< {}", much[1 - from]), &back);
    }

    /// One side closes; what it has said last arrives before that.
    pub(super) fn close(&mut self, draft: &mut Draft, table: &Known, from: u32, size: u32) {
        let from = side(from);
        if self.is_closed() {
            return;
        }
        let Some(step) = draft.event(table, self.state, "SideClosed") else {
            return;
        };
        let last = (size > 0 && !self.ended[from]).then(|| self.bytes(from, size));
        if let Some(bytes) = &last {
            draft.act(&self.sides[from], &format!(">> {bytes}"));
        }
        draft.act(&self.sides[from], "> close");
        if let Some(bytes) = &last {
            let rule = ["tunnel.last-bytes"];
            draft.judge(&self.sides[1 - from], &format!("<< {bytes}"), &rule);
        }
        // It learns of the close by writing; the single LFs of this step do.
        let rules = ["tunnel.reset-propagates", "tunnel.end-passed"];
        draft.judge(&self.sides[1 - from], "< closed", &rules);
        self.state = step.next;
    }

    /// One side is reset.
    pub(super) fn reset(&mut self, draft: &mut Draft, table: &Known, from: u32) {
        let from = side(from);
        if self.is_closed() {
            return;
        }
        let Some(step) = draft.event(table, self.state, "SideClosed") else {
            return;
        };
        draft.act(&self.sides[from], "> reset");
        let rule = ["tunnel.reset-propagates"];
        draft.judge(&self.sides[1 - from], "< closed", &rule);
        self.state = step.next;
    }

    /// The rules by which bytes of a side are carried, if it can say any.
    fn carried(&self, draft: &mut Draft, table: &Known, from: usize) -> Option<Vec<&'static str>> {
        if self.is_closed() || self.ended[from] {
            return None;
        }
        let step = draft.event(table, self.state, "Bytes")?;
        let mut rules = vec![step.rule];
        // Where there is more to it than that, the more exact rule comes first.
        if self.orphan {
            rules.insert(0, "tunnel.outlives-control");
        }
        if self.ended[1 - from] && step.rule != "tunnel.half-close" {
            rules.insert(0, "tunnel.half-close");
        }
        Some(rules)
    }

    pub(super) fn bytes(&mut self, from: usize, size: u32) -> String {
        self.said += 1;
        payload(&format!("{}:{}", self.sides[from], self.said), size)
    }
}

fn side(number: u32) -> usize {
    usize::from(number % 2 == 1)
}
