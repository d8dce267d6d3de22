//! The model of a joined tunnel, at either peer.

use netroxy_specification::notation::ast::Action;

use super::builder::{CaseBuilder, NamedTable};
use super::steps::{CLOSED, EOF, Payload};

/// A tunnel and its two sides.
#[derive(Debug, Clone)]
pub(super) struct Tunnel {
    /// The connections to the peer. With a server: user and data connection; with a client: data connection and target.
    pub(super) sides: [String; 2],
    /// Whether each side has ended its direction.
    ended: [bool; 2],
    state: &'static str,
    /// Whether the control connection has ended since the tunnel was joined.
    orphan: bool,
    /// How many payloads were sent.
    sent: u32,
}

impl Tunnel {
    /// A tunnel that has just been joined. A side may have ended its direction before that.
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
            sent: 0,
        }
    }

    pub(super) fn state(&self) -> &'static str {
        self.state
    }

    /// Whether each side has ended its direction.
    pub(super) fn ended(&self) -> [bool; 2] {
        self.ended
    }

    /// Whether the control connection has ended since the tunnel was joined.
    pub(super) fn is_orphan(&self) -> bool {
        self.orphan
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == "Closed"
    }

    /// The control connection has ended; the tunnel stays open.
    pub(super) fn control_ended(&mut self, case: &mut CaseBuilder, table: &NamedTable) {
        if case.event(table, self.state, "ControlEnd").is_some() {
            self.orphan = true;
        }
    }

    /// One side sends bytes, if it still can.
    pub(super) fn send(
        &mut self,
        case: &mut CaseBuilder,
        table: &NamedTable,
        from: u32,
        size: u32,
    ) {
        let from = side(from);
        let Some(rules) = self.transfer(case, table, from) else {
            return;
        };
        self.pass(case, from, size, &rules);
    }

    /// One side sends bytes; these rules judge what the other side receives.
    pub(super) fn pass(
        &mut self,
        case: &mut CaseBuilder,
        from: usize,
        size: u32,
        rules: &[&'static str],
    ) {
        let bytes = self.payload(from, size);
        case.act(&self.sides[from], bytes.send());
        case.judge(&self.sides[1 - from], bytes.expect(), rules);
    }

    /// Both sides send bytes at the same time.
    pub(super) fn send_both(&mut self, case: &mut CaseBuilder, table: &NamedTable, size: u32) {
        let rules = [0, 1].map(|from| self.transfer(case, table, from));
        let [Some(forth), Some(back)] = rules else {
            return;
        };
        let bytes = [0, 1].map(|from| self.payload(from, size));
        case.act(&self.sides[0], bytes[0].send());
        case.act(&self.sides[1], bytes[1].send());
        case.judge(&self.sides[1], bytes[0].expect(), &forth);
        case.judge(&self.sides[0], bytes[1].expect(), &back);
    }

    /// One side ends its direction. The other side then sends bytes, if it still can.
    pub(super) fn end(&mut self, case: &mut CaseBuilder, table: &NamedTable, from: u32, size: u32) {
        let from = side(from);
        if self.is_closed() || self.ended[from] {
            return;
        }
        let Some(step) = case.event(table, self.state, "DirectionEnd") else {
            return;
        };
        case.act(&self.sides[from], Action::Shutdown);
        self.ended[from] = true;
        self.state = step.next;
        match step.action {
            "PassEnd" => {
                case.judge(&self.sides[1 - from], EOF, &["tunnel.end-passed"]);
                self.send(case, table, u32::from(from == 0), size);
            }
            _ => {
                case.judge(&self.sides[1 - from], CLOSED, &[step.rule]);
                case.judge(&self.sides[from], CLOSED, &[step.rule]);
            }
        }
    }

    /// One side sends much and ends its direction while the other side sends much. All bytes of both sides arrive.
    pub(super) fn end_amid(
        &mut self,
        case: &mut CaseBuilder,
        table: &NamedTable,
        from: u32,
        size: u32,
    ) {
        let from = side(from);
        if self.ended != [false, false] {
            return;
        }
        let (Some(forth), Some(mut back), Some(step)) = (
            self.transfer(case, table, from),
            self.transfer(case, table, 1 - from),
            case.event(table, self.state, "DirectionEnd"),
        ) else {
            return;
        };
        let much = [0, 1].map(|side| self.payload(side, 3_000_000 + size));
        case.act(&self.sides[from], much[from].send());
        case.act(&self.sides[1 - from], much[1 - from].send());
        case.act(&self.sides[from], Action::Shutdown);
        self.ended[from] = true;
        self.state = step.next;
        case.judge(&self.sides[1 - from], much[from].expect(), &forth);
        case.judge(&self.sides[1 - from], EOF, &["tunnel.end-passed"]);
        back.insert(0, "tunnel.half-close");
        case.judge(&self.sides[from], much[1 - from].expect(), &back);
    }

    /// One side closes. If it sends bytes before that, they arrive.
    pub(super) fn close(
        &mut self,
        case: &mut CaseBuilder,
        table: &NamedTable,
        from: u32,
        size: u32,
    ) {
        let from = side(from);
        if self.is_closed() {
            return;
        }
        let Some(step) = case.event(table, self.state, "SideClosed") else {
            return;
        };
        let last = (size > 0 && !self.ended[from]).then(|| self.payload(from, size));
        if let Some(bytes) = &last {
            case.act(&self.sides[from], bytes.send());
        }
        case.act(&self.sides[from], Action::Close);
        if let Some(bytes) = &last {
            case.judge(
                &self.sides[1 - from],
                bytes.expect(),
                &["tunnel.last-bytes"],
            );
        }
        // The peer detects the close when it writes. The player sends single LFs during this step for that.
        let rules = ["tunnel.reset-propagates", "tunnel.end-passed"];
        case.judge(&self.sides[1 - from], CLOSED, &rules);
        self.state = step.next;
    }

    /// One side resets.
    pub(super) fn reset(&mut self, case: &mut CaseBuilder, table: &NamedTable, from: u32) {
        let from = side(from);
        if self.is_closed() {
            return;
        }
        let Some(step) = case.event(table, self.state, "SideClosed") else {
            return;
        };
        case.act(&self.sides[from], Action::Reset);
        case.judge(&self.sides[1 - from], CLOSED, &["tunnel.reset-propagates"]);
        self.state = step.next;
    }

    /// The rules that judge a transfer from this side; `None` if the side cannot send.
    fn transfer(
        &self,
        case: &mut CaseBuilder,
        table: &NamedTable,
        from: usize,
    ) -> Option<Vec<&'static str>> {
        if self.is_closed() || self.ended[from] {
            return None;
        }
        let step = case.event(table, self.state, "Bytes")?;
        let mut rules = vec![step.rule];
        // The most exact rule comes first.
        if self.orphan {
            rules.insert(0, "tunnel.outlives-control");
        }
        if self.ended[1 - from] && step.rule != "tunnel.half-close" {
            rules.insert(0, "tunnel.half-close");
        }
        Some(rules)
    }

    /// The next payload of a side.
    pub(super) fn payload(&mut self, from: usize, size: u32) -> Payload {
        self.sent += 1;
        Payload::new(&format!("{}:{}", self.sides[from], self.sent), size)
    }
}

/// The index of the side that a number selects.
pub(super) fn side(number: u32) -> usize {
    usize::from(number % 2 == 1)
}
