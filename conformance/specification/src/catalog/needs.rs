//! What a case needs of the judged program and of the machine, read from its steps.

use crate::message::{ATH, FieldName, MAP, Shape, TRS};
use crate::notation::ast::{
    Action, Case, Endpoint, Expectation, Field, Line, Piece, Role, Step, Transport,
};

impl Case {
    /// The transports that its steps name.
    pub fn named_transports(&self) -> impl Iterator<Item = Transport> {
        self.steps().filter_map(|step| match step.action {
            Action::Connect(Endpoint::Server(named)) => named,
            _ => None,
        })
    }

    /// Whether it has tunnels, and one direction of a user, a data connection or a target ends before the other.
    pub fn half_closes(&self) -> bool {
        let says = |step: &Step, shape: &Shape| {
            match &step.action {
            Action::SendRaw(segments) => segments.iter().any(|segment| {
                let first = segment.pieces().first();
                matches!(first, Some(Piece::Bytes(bytes)) if bytes.starts_with(shape.word.as_bytes()))
            }),
            action => action.message().is_some_and(|message| message.is(shape)),
        }
        };
        let logs_in = |actor: &str| {
            self.steps()
                .any(|step| step.actor == actor && says(step, &ATH))
        };
        let ends = |step: &Step| {
            let half = matches!(
                step.action,
                Action::Shutdown | Action::Expect(Expectation::Eof)
            );
            half && !logs_in(&step.actor)
        };
        self.steps().any(|step| says(step, &TRS)) && self.steps().any(ends)
    }

    /// Whether it asks a server to listen on a port given as a number, not on one that the suite has leased.
    pub fn names_a_port(&self) -> bool {
        let port = |field: &Field| match field {
            Field::Text(template) => match template.pieces() {
                [Piece::Bytes(digits)] => {
                    let digits = std::str::from_utf8(digits).ok()?;
                    digits.parse::<u16>().ok()
                }
                _ => None,
            },
            Field::Bind(_) | Field::Any => None,
        };
        self.steps().any(|step| match &step.action {
            Action::Send(map) if map.is(&MAP) => map
                .field(FieldName::Port)
                .and_then(port)
                .is_some_and(|port| port > 0),
            _ => false,
        })
    }

    /// All steps, those of blocks once.
    fn steps(&self) -> impl Iterator<Item = &Step> {
        let lines = self.body.iter().flat_map(|line| match line {
            Line::Repeat(repeat) => repeat.body.as_slice(),
            line => std::slice::from_ref(line),
        });
        lines.filter_map(|line| match line {
            Line::Step(step) => Some(step),
            Line::Blank | Line::Comment(_) | Line::Repeat(_) => None,
        })
    }

    /// Whether a client has to connect again in it.
    pub fn needs_reconnect(&self) -> bool {
        let logs_in = |line: &Line| match line {
            Line::Step(step) => match &step.action {
                Action::Expect(Expectation::Message(message)) => usize::from(message.is(&ATH)),
                Action::Restart if step.actor == "server" => 2,
                _ => 0,
            },
            Line::Blank | Line::Comment(_) | Line::Repeat(_) => 0,
        };
        let logins = self.body.iter().map(|line| match line {
            Line::Repeat(repeat) => {
                let count = usize::try_from(repeat.count).unwrap_or(usize::MAX);
                let turn: usize = repeat.body.iter().map(logs_in).sum();
                turn.saturating_mul(count)
            }
            _ => logs_in(line),
        });
        let after_a_break = self.body.iter().any(|line| {
            matches!(
                line,
                Line::Step(Step {
                    action: Action::Down(_),
                    ..
                })
            )
        });
        self.role.value != Role::Server && (logins.sum::<usize>() > 1 || after_a_break)
    }
}
