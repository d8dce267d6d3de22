//! What a step does or expects: whether the role allows it, and whether its values exist.

use super::scope::{Found, Scope, found, names_one};
use crate::catalog::place::Spot;
use crate::message::Shape;
use crate::notation::ast::{
    Action, Endpoint, Expectation, Field, Message, Piece, Role, Template, Way,
};
use crate::rules::REVISION;

impl Scope {
    pub(super) fn action(&mut self, action: &Action) -> Result<(), Found> {
        match action {
            Action::Connect(Endpoint::Server(_) | Endpoint::Bare | Endpoint::Drip) => {
                self.only(&[Role::Server], "connect server")
            }
            Action::Connect(Endpoint::Tls12) => {
                self.only(&[Role::Server], "connect server")?;
                self.over_tls("tls12", 3)
            }
            Action::Connect(Endpoint::Port(port)) => {
                self.only(&[Role::Server, Role::Pair], "connect $port")?;
                self.template(port, 2)
            }
            Action::Refused(port) => {
                self.only(&[Role::Server, Role::Pair], "refused")?;
                self.template(port, 2)
            }
            Action::TurnedAway { port, said } => {
                self.only(&[Role::Server, Role::Pair], "turned away")?;
                self.template(port, 3)?;
                said.iter().try_for_each(|said| self.template(said, 4))
            }
            Action::Maps(refused) => {
                self.only(&[Role::Client], "< maps")?;
                let mut refused = refused.iter().zip(4..);
                refused.try_for_each(|(port, word)| self.mapped(port, word))
            }
            Action::Accept(None) | Action::AcceptAs(Way::Drip) => {
                self.only(&[Role::Client], "accept")
            }
            Action::AcceptAs(way @ (Way::Tls12 | Way::Bare)) => {
                self.only(&[Role::Client], "accept")?;
                self.over_tls(&way.to_string(), 2)
            }
            Action::Handshake => {
                self.only(&[Role::Server], "handshake")?;
                self.over_tls("handshake", 1)
            }
            Action::Certificate(_) if !self.trusts => found(
                Spot::Word(1),
                "`certificate` needs a client that verifies certificates: `config trust`",
            ),
            Action::Certificate(_) => Ok(()),
            Action::Cut => self.over_tls("cut", 2),
            Action::Accept(Some(target)) => {
                self.only(&[Role::Client, Role::Pair], "accept $target")?;
                self.template(target, 2)
            }
            Action::Restart => self.only(&[Role::Pair], "restart"),
            Action::Distrusts => self.only(&[Role::Client], "distrusts"),
            Action::Down(10_001..) => found(Spot::Word(2), "at most 10 s"),
            Action::Down(_) => self.only(&[Role::Client], "down"),
            Action::Late(10_001..) => found(Spot::Word(2), "at most 10 s"),
            Action::Late(_) => self.only(&[Role::Client, Role::Pair], "late"),
            Action::Keep => self.only(&[Role::Server, Role::Client], "keep"),
            Action::Send(message) => self.sent(message),
            Action::SendRaw(segments) => {
                let mut segments = segments.iter().zip(2..);
                segments.try_for_each(|(one, word)| self.template(one, word))
            }
            Action::SendDrip(bytes) | Action::SendSlow(bytes) => self.template(bytes, 3),
            Action::Unguessable(value) => self.template(value, 2),
            Action::SendEvery(_, segments) => {
                let mut segments = segments.iter().zip(4..);
                segments.try_for_each(|(one, word)| self.template(one, word))
            }
            Action::Expect(expectation) => self.expectation(expectation, 2),
            Action::OneOf(alternatives) => {
                let mut alternatives = alternatives.iter().zip(1..);
                alternatives.try_for_each(|(one, down)| {
                    let checked = match one.expectation {
                        Expectation::Stalled => found(Spot::Word(0), "`stalled` is no alternative"),
                        _ => self.expectation(&one.expectation, 0),
                    };
                    checked.map_err(|Found(_, spot, message)| Found(down, spot, message))
                })
            }
            Action::Ignore(word) if Shape::of(word).is_none() => {
                found(Spot::Word(2), format!("`{word}` is no word of v{REVISION}"))
            }
            Action::SendRandom(bulk) => size(bulk.bytes.into(), 3),
            Action::Ignore(_)
            | Action::Pause
            | Action::Shutdown
            | Action::Close
            | Action::Reset => Ok(()),
        }
    }

    /// `< maps` answers the mappings of the header. The client never sends MAP for another port.
    fn mapped(&self, port: &Template, word: usize) -> Result<(), Found> {
        if names_one(port, &self.mapped) {
            return Ok(());
        }
        let known: Vec<String> = self.mapped.iter().map(|port| format!("${port}")).collect();
        let known = known.join(", ");
        let message = match known.is_empty() {
            true => "the header has no `config map` whose mapping could be refused".to_owned(),
            false => format!("only a mapping of the header can be refused: {known}"),
        };
        found(Spot::Word(word), message)
    }

    /// Such a step needs a case that is run over TLS alone.
    fn over_tls(&self, what: &str, word: usize) -> Result<(), Found> {
        match self.tls_alone {
            true => Ok(()),
            false => found(
                Spot::Word(word),
                format!("`{what}` needs TLS: write `over tls` without another transport"),
            ),
        }
    }

    fn only(&self, roles: &[Role], verb: &str) -> Result<(), Found> {
        if roles.contains(&self.role) {
            return Ok(());
        }
        let names: Vec<String> = roles.iter().map(ToString::to_string).collect();
        let message = format!("`{verb}` is for cases of role {}", names.join(" or "));
        found(Spot::Word(1), message)
    }

    fn sent(&self, message: &Message) -> Result<(), Found> {
        let mut fields = message.fields.iter().zip(3..);
        fields.try_for_each(|(field, word)| match field {
            Field::Text(text) => self.template(text, word),
            Field::Bind(_) | Field::Any => found(
                Spot::Word(word),
                "a sent message needs values, not `_` or `?name`",
            ),
        })
    }

    /// `word` is the place of what is expected.
    fn expectation(&mut self, expectation: &Expectation, word: usize) -> Result<(), Found> {
        match expectation {
            Expectation::Message(message) => self.expected(message, word),
            Expectation::Raw(bytes) if bytes.pieces().is_empty() => {
                found(Spot::Word(word), "no bytes are expected: give some")
            }
            Expectation::Raw(bytes) => self.template(bytes, word),
            Expectation::Random(bulk) if bulk.bytes == 0 => {
                found(Spot::Word(word + 1), "no bytes are expected: give a size")
            }
            Expectation::Random(_)
            | Expectation::Closed
            | Expectation::Eof
            | Expectation::Reset
            | Expectation::Silence
            | Expectation::Stalled => Ok(()),
        }
    }

    /// A message with a wrong number of fields can never come.
    fn expected(&mut self, message: &Message, place: usize) -> Result<(), Found> {
        let first = match message.fields.first() {
            Some(Field::Text(text)) => match text.pieces() {
                [Piece::Bytes(bytes)] => Some(bytes.as_slice()),
                _ => None,
            },
            _ => None,
        };
        let word = &message.word;
        let Some(shape) = message.shape() else {
            return found(
                Spot::Word(place),
                format!("`{word}` is no word of v{REVISION}"),
            );
        };
        let (wanted, given) = (shape.count(first), message.fields.len());
        if wanted != given {
            let message = format!("`{word}` has {wanted} fields here, not {given}");
            return found(Spot::Word(place), message);
        }
        for (field, place) in message.fields.iter().zip(place + 1..) {
            match field {
                Field::Text(text) => self.template(text, place)?,
                Field::Bind(name) => drop(self.vars.insert(name.clone())),
                Field::Any => {}
            }
        }
        Ok(())
    }

    /// `word` is its place.
    fn template(&self, template: &Template, word: usize) -> Result<(), Found> {
        let once: usize = template
            .pieces()
            .iter()
            .map(|piece| match piece {
                Piece::Bytes(bytes) => bytes.len(),
                Piece::Var(_) | Piece::Near(..) => 1,
            })
            .sum();
        size(
            u64::from(template.times()).saturating_mul(once as u64),
            word,
        )?;
        template.pieces().iter().try_for_each(|piece| match piece {
            Piece::Var(name) | Piece::Near(_, name) if !self.vars.contains(name) => {
                let known: Vec<&str> = self.vars.iter().map(String::as_str).collect();
                let message = format!(
                    "nothing is called ${name} here; there are {}",
                    known.join(", ")
                );
                found(Spot::Variable(name.clone()), message)
            }
            Piece::Var(_) | Piece::Near(..) | Piece::Bytes(_) => Ok(()),
        })
    }
}

/// Bounds what a case holds in memory. `word` is the place of the value.
fn size(bytes: u64, word: usize) -> Result<(), Found> {
    const LIMIT: u64 = 64 << 20;
    if bytes > LIMIT {
        found(Spot::Word(word), "more than 64 MiB at once")
    } else {
        Ok(())
    }
}
