//! Turns what a tap sees into lines of the notation: whole messages as messages, everything else as bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use netroxy_specification::message::{Decoded, TRS, first_message};
use netroxy_specification::notation::ast::{Action, Endpoint, Expectation, Step, Template};

use super::{End, Entry, Sender, What};
use crate::transcript;

/// Knows the unfinished message of each direction.
#[derive(Debug, Default)]
pub struct Writer {
    open: BTreeMap<String, [Direction; 2]>,
}

/// A direction of a connection.
#[derive(Debug, Default)]
struct Direction {
    /// The beginning of an unfinished message; at most [`LONGEST`] bytes.
    partial: Vec<u8>,
    /// Whether no messages follow.
    raw: bool,
}

/// A longer message is written as bytes.
const LONGEST: usize = 16 << 10;

impl Writer {
    /// The lines for an event.
    pub fn write(&mut self, at: Duration, connection: &str, what: &What) -> Vec<Entry> {
        let entry = |action, comment: Option<&str>| Entry {
            at: Duration::from_micros(u64::try_from(at.as_micros()).unwrap_or(u64::MAX)),
            step: Step {
                actor: connection.to_owned(),
                action,
                within: None,
                marks: Vec::new(),
                comment: comment.map(str::to_owned),
            },
            broken: false,
        };
        match what {
            What::Open(_) => {
                self.open.insert(connection.to_owned(), Default::default());
                vec![entry(Action::Connect(Endpoint::Server(None)), None)]
            }
            What::Gone => {
                self.open.remove(connection);
                Vec::new()
            }
            What::Ended(Sender::Opener, End::Fin) => vec![entry(Action::Shutdown, None)],
            What::Ended(Sender::Opener, End::Reset) => vec![entry(Action::Reset, None)],
            What::Ended(Sender::Acceptor, End::Fin) => {
                vec![entry(Action::Expect(Expectation::Eof), None)]
            }
            What::Ended(Sender::Acceptor, End::Reset) => {
                vec![entry(Action::Expect(Expectation::Closed), Some("reset"))]
            }
            What::Bytes(sender, bytes) => {
                let Some(open) = self.open.get_mut(connection) else {
                    return Vec::new();
                };
                let parts = split(open, *sender, bytes);
                let parts = parts.into_iter().map(|part| action(*sender, part));
                parts.map(|action| entry(action, None)).collect()
            }
        }
    }
}

enum Part {
    Message(Vec<Vec<u8>>),
    Raw(Vec<u8>),
}

fn action(sender: Sender, part: Part) -> Action {
    match (sender, part) {
        (Sender::Opener, Part::Message(lines)) => Action::Send(transcript::message(&lines)),
        (Sender::Opener, Part::Raw(bytes)) => Action::SendRaw(vec![Template::bytes(bytes)]),
        (Sender::Acceptor, Part::Message(lines)) => {
            Action::Expect(Expectation::Message(transcript::message(&lines)))
        }
        (Sender::Acceptor, Part::Raw(bytes)) => {
            Action::Expect(Expectation::Raw(Template::bytes(bytes)))
        }
    }
}

fn split(open: &mut [Direction; 2], sender: Sender, bytes: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let [opener, acceptor] = open;
        let direction = match sender {
            Sender::Opener => opener,
            Sender::Acceptor => acceptor,
        };
        if direction.raw {
            parts.push(Part::Raw(rest.to_vec()));
            break;
        }
        let before = direction.partial.len();
        direction.partial.extend_from_slice(rest);
        match first_message(&direction.partial) {
            Decoded::Whole { lines, length } => {
                let (message, more) = rest.split_at(length.saturating_sub(before));
                direction.partial.clear();
                // After TRS both directions have bytes only.
                let tunnel = TRS.begins(&lines);
                parts.push(match before {
                    0 => Part::Message(lines),
                    _ => Part::Raw(message.to_vec()),
                });
                rest = more;
                if tunnel && sender == Sender::Opener {
                    open.iter_mut().for_each(Direction::end_messages);
                }
            }
            Decoded::Partial if direction.partial.len() <= LONGEST => {
                parts.push(Part::Raw(rest.to_vec()));
                break;
            }
            Decoded::Partial | Decoded::Unknown => direction.end_messages(),
        }
    }
    parts
}

impl Direction {
    fn end_messages(&mut self) {
        *self = Self {
            partial: Vec::new(),
            raw: true,
        };
    }
}
