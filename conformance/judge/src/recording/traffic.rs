//! A recording as events on connections, for the monitor and for captures.

use std::collections::BTreeMap;
use std::time::Duration;

use netroxy_specification::message::FieldName;
use netroxy_specification::noise::noise;
use netroxy_specification::notation::ast::{
    Action, Endpoint, Expectation, Field, Message, Piece, Step, Template, Transport, Way,
};

use super::{Entry, Recording, Source};
use crate::note::Note;
use crate::wire;

/// An event on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Since the recording began.
    pub at: Duration,
    /// A name that no other connection has.
    pub connection: String,
    /// What happened.
    pub what: What,
    /// The rules that the step judges.
    pub marks: Vec<String>,
    /// Whether the tap was behind. The event may be late only because of that.
    pub held_up: bool,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The connection was opened.
    Open(Kind),
    /// One side has sent these bytes.
    Bytes(Sender, Vec<u8>),
    /// One side has ended its direction.
    Ended(Sender, End),
    /// Nothing more is known of it.
    Gone,
}

/// What a connection is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A control or data connection, to the listener of this transport.
    Control(Transport),
    /// A user's connection to a remote port.
    User(u16),
    /// A client's connection to a target.
    Target(String),
    /// A connection without TLS to a TLS listener.
    Foreign,
}

/// The sender of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sender {
    /// The program that opened the connection: the client, or a user.
    Opener,
    /// The program that accepted it: the server, or a target.
    Acceptor,
}

/// How a direction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By a FIN; on TLS after close_notify.
    Fin,
    /// Both directions at once.
    Reset,
}

impl Sender {
    /// The other side.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Opener => Self::Acceptor,
            Self::Acceptor => Self::Opener,
        }
    }
}

/// The events of a recording in their order. A step that failed is no event.
pub fn events(recording: &Recording) -> Vec<Event> {
    let mut book = Book::default();
    let happened = recording.entries.iter().filter(|entry| !entry.broken);
    happened.for_each(|entry| book.enter(recording, entry));
    match recording.head.source {
        Source::Tap => whole_segments(book.events),
        Source::Case(_) => book.events,
    }
}

/// Joins the bytes that a tap read at once.
fn whole_segments(events: Vec<Event>) -> Vec<Event> {
    let mut joined: Vec<Event> = Vec::new();
    for event in events {
        if let Some(Event {
            at,
            connection,
            what: What::Bytes(sender, bytes),
            ..
        }) = joined.last_mut()
            && let What::Bytes(from, more) = &event.what
            && (&*at, &*connection, &*sender) == (&event.at, &event.connection, from)
        {
            bytes.extend_from_slice(more);
        } else {
            joined.push(event);
        }
    }
    joined
}

#[derive(Default)]
struct Book {
    events: Vec<Event>,
    /// The open connection of each actor: its name, and the side of the suite.
    open: BTreeMap<String, (String, Sender)>,
    /// How many connections an actor has had.
    turns: BTreeMap<String, usize>,
}

impl Book {
    fn enter(&mut self, recording: &Recording, entry: &Entry) {
        let step = &entry.step;
        let text = |template: &Template| String::from_utf8_lossy(&bytes(template)).into_owned();
        let over_tls = recording.head.over == Transport::Tls;
        let opened = match &step.action {
            Action::Connect(Endpoint::Port(port)) => {
                let port = text(port).parse().ok();
                port.map(|port| (Kind::User(port), Sender::Opener))
            }
            Action::Connect(Endpoint::Bare) if over_tls => Some((Kind::Foreign, Sender::Opener)),
            Action::Connect(Endpoint::Server(Some(named))) => {
                Some((Kind::Control(*named), Sender::Opener))
            }
            Action::Connect(_) => Some((Kind::Control(recording.head.over), Sender::Opener)),
            Action::Accept(Some(target)) => Some((Kind::Target(text(target)), Sender::Acceptor)),
            Action::Accept(None) | Action::AcceptAs(Way::Drip | Way::Tls12) => {
                Some((Kind::Control(recording.head.over), Sender::Acceptor))
            }
            Action::AcceptAs(Way::Bare) => Some((Kind::Foreign, Sender::Acceptor)),
            // A connection without TLS becomes one to the server.
            Action::Handshake => Some((Kind::Control(recording.head.over), Sender::Opener)),
            _ => None,
        };
        if let Some((kind, we)) = opened {
            if self.open.contains_key(&step.actor) {
                self.add(entry, What::Gone);
            }
            let turn = self.turns.entry(step.actor.clone()).or_default();
            *turn += 1;
            let name = match turn {
                1 => step.actor.clone(),
                turn => format!("{}#{turn}", step.actor),
            };
            self.open.insert(step.actor.clone(), (name, we));
            self.add(entry, What::Open(kind));
            return;
        }
        let Some((_, we)) = self.open.get(&step.actor) else {
            return;
        };
        let (we, they) = (*we, we.other());
        match &step.action {
            Action::Send(message) => self.add(entry, What::Bytes(we, encoded(message))),
            Action::SendRaw(segments) | Action::SendEvery(_, segments) => {
                for segment in segments {
                    self.add(entry, What::Bytes(we, bytes(segment)));
                }
            }
            Action::SendDrip(drips) | Action::SendSlow(drips) => {
                for byte in bytes(drips) {
                    self.add(entry, What::Bytes(we, vec![byte]));
                }
            }
            Action::SendRandom(bulk) => {
                self.add(entry, What::Bytes(we, noise(bulk.bytes, bulk.seed)));
            }
            Action::Shutdown => self.add(entry, What::Ended(we, End::Fin)),
            Action::Close => {
                self.add(entry, What::Ended(we, End::Fin));
                // A tap sees the other direction until it ends.
                if recording.head.source != Source::Tap {
                    self.add(entry, What::Gone);
                    self.open.remove(&step.actor);
                }
            }
            // Without close_notify the end may be forged, so it counts as a reset.
            Action::Cut => self.add(entry, What::Ended(we, End::Reset)),
            Action::Reset => {
                self.add(entry, What::Ended(we, End::Reset));
                self.open.remove(&step.actor);
            }
            Action::Expect(Expectation::Message(message)) => {
                self.add(entry, What::Bytes(they, encoded(message)));
            }
            Action::Expect(Expectation::Raw(raw)) => {
                self.add(entry, What::Bytes(they, bytes(raw)));
            }
            Action::Expect(Expectation::Random(bulk)) => {
                self.add(entry, What::Bytes(they, noise(bulk.bytes, bulk.seed)));
            }
            Action::Expect(Expectation::Eof) => self.add(entry, What::Ended(they, End::Fin)),
            Action::Expect(Expectation::Reset) => self.add(entry, What::Ended(they, End::Reset)),
            Action::Expect(Expectation::Closed) if is_no_end(step) => {}
            Action::Expect(Expectation::Closed) => {
                let end = match noted(step) {
                    Some(Note::Ended(wire::End::Eof | wire::End::Cut)) => End::Fin,
                    _ => End::Reset,
                };
                self.add(entry, What::Ended(they, end));
            }
            _ => {}
        }
    }

    fn add(&mut self, entry: &Entry, what: What) {
        let Some((connection, _)) = self.open.get(&entry.step.actor) else {
            return;
        };
        self.events.push(Event {
            at: entry.at,
            connection: connection.clone(),
            what,
            marks: entry.step.marks.clone(),
            held_up: noted(&entry.step) == Some(Note::HeldUp),
        });
    }
}

/// Whether the peer did not close a connection that the suite had stopped reading.
pub(super) fn is_no_end(step: &Step) -> bool {
    matches!(noted(step), Some(Note::Ended(end)) if !end.is_closed())
}

fn noted(step: &Step) -> Option<Note> {
    Note::of_comment(step.comment.as_deref()?)
}

/// The bytes of a template. A recording has no variables.
pub(super) fn bytes(template: &Template) -> Vec<u8> {
    let mut once = Vec::new();
    for piece in template.pieces() {
        match piece {
            Piece::Bytes(bytes) => once.extend_from_slice(bytes),
            // Only a step that failed can have one.
            Piece::Var(name) | Piece::Near(_, name) => {
                once.extend_from_slice(format!("${name}").as_bytes());
            }
        }
    }
    once.repeat(usize::try_from(template.times()).unwrap_or(usize::MAX))
}

/// The value of a field; nothing if the message has no such field, or the field has no value.
pub(super) fn text(message: &Message, name: FieldName) -> Vec<u8> {
    match message.field(name) {
        Some(Field::Text(text)) => bytes(text),
        Some(Field::Bind(_) | Field::Any) | None => Vec::new(),
    }
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut out = message.word.clone().into_bytes();
    for field in &message.fields {
        out.push(b'\n');
        match field {
            Field::Text(text) => out.extend(bytes(text)),
            Field::Bind(_) | Field::Any => {}
        }
    }
    out.push(b'\n');
    out
}
