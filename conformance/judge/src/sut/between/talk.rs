//! The record of a relay, in the notation of the cases.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use netroxy_specification::message::{ATH, FieldName, TRS};
use netroxy_specification::notation::ast::{
    Action, Expectation, Field, Piece, Step, Template, Transport,
};

use crate::recording::{self, End, Sender, What, Writer};
use crate::tap::{Event, Seen};

/// The messages and bytes that two programs have sent to each other.
#[derive(Debug)]
pub struct Talk {
    started: Instant,
    /// Whether the bytes can be read: `false` with TLS.
    readable: bool,
    server: SocketAddr,
    writer: Writer,
    /// The connections by the names that the relay gave them.
    connections: BTreeMap<String, Connection>,
    /// The names of the connections, in the order in which they were opened.
    order: Vec<String>,
    /// The items by their numbers. If there are too many, those in the middle are removed, because a failure shows at
    /// the end.
    items: BTreeMap<usize, Item>,
    next: usize,
    left_out: usize,
    /// The remote port of the suite's own mapping, which is not part of the case.
    probe: Option<Vec<u8>>,
}

/// The purpose of a connection between the two programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It began with ATH.
    Control,
    /// It began with TRS.
    Data,
    /// It uses TLS, so its bytes cannot be read.
    Tls,
    /// It began with neither ATH nor TRS, sent nothing, or was not established.
    Unknown,
}

#[derive(Debug, Clone, Default)]
struct Connection {
    /// The first `WORD` bytes of the opener, which tell the kind.
    began: Vec<u8>,
    /// The bytes that the opener and the acceptor have sent.
    sent: [u64; 2],
    /// The side that sent the last bulk bytes.
    last: Option<Sender>,
    /// The item that further bytes of the opener and of the acceptor are added to.
    bulk: [Option<usize>; 2],
}

#[derive(Debug, Clone)]
struct Item {
    at: Duration,
    connection: String,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Step(Action, Option<String>),
    /// Many bytes, of which the first are kept.
    Bulk {
        sender: Sender,
        head: Vec<u8>,
        bytes: u64,
        reads: u32,
        until: Duration,
    },
}

impl Talk {
    pub(super) fn new(started: Instant, transport: Transport, server: SocketAddr) -> Self {
        Self {
            started,
            readable: transport == Transport::Plain,
            server,
            writer: Writer::default(),
            connections: BTreeMap::new(),
            order: Vec::new(),
            items: BTreeMap::new(),
            next: 0,
            left_out: 0,
            probe: None,
        }
    }

    /// Sets the remote port of the mapping that shows the suite that the two work together.
    pub(super) fn with_probe(self, port: u16) -> Self {
        Self {
            probe: Some(port.to_string().into_bytes()),
            ..self
        }
    }

    /// The start of its times.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Whether the bytes could be read: `false` with TLS.
    pub(crate) fn is_readable(&self) -> bool {
        self.readable
    }

    /// How many lines were left out, because there were too many.
    pub(crate) fn left_out(&self) -> usize {
        self.left_out
    }

    pub(super) fn see(&mut self, seen: Seen) {
        match seen {
            Seen::Event(event) => self.event(event),
            Seen::Unserved(_, why) => {
                // The relay gives such a connection no name.
                let connection = format!("unserved {}", self.order.len());
                let at = self.started.elapsed();
                let server = Template::bytes(self.server.to_string());
                self.open(&connection);
                self.add(at, &connection, Action::Refused(server), Some(why));
            }
        }
    }

    fn event(&mut self, event: Event) {
        let Event {
            at,
            connection,
            what,
            backlog: _,
        } = event;
        if matches!(what, What::Open(_)) {
            self.open(&connection);
        }
        if let What::Bytes(sender, bytes) = &what {
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.count(&connection, *sender, length);
            self.begin(&connection, *sender, bytes);
            if !self.readable {
                return;
            }
        }
        let entries = self.writer.write(at, &connection, &what);
        let note = self.note(&connection, &what);
        for entry in entries {
            self.entry(entry, note.clone());
        }
    }

    /// The comment of a line.
    fn note(&self, connection: &str, what: &What) -> Option<String> {
        let sent = |sender: Sender| {
            let known = self.connections.get(connection);
            known.map_or(0, |known| known.sent[side(sender)])
        };
        match what {
            What::Open(_) if !self.readable => {
                Some("TLS: what is inside cannot be read".to_owned())
            }
            What::Ended(sender, end) => {
                let how = match end {
                    End::Fin => String::new(),
                    End::Reset => "reset ".to_owned(),
                };
                let of = if self.readable { "" } else { " of TLS" };
                let bytes = sent(*sender);
                let s = if bytes == 1 { "" } else { "s" };
                Some(format!("{how}after {bytes} byte{s}{of}"))
            }
            _ => None,
        }
    }

    fn open(&mut self, connection: &str) {
        self.order.push(connection.to_owned());
        let opened = Connection::default();
        self.connections.insert(connection.to_owned(), opened);
    }

    fn begin(&mut self, connection: &str, sender: Sender, bytes: &[u8]) {
        let known = self.connections.get_mut(connection);
        if let Some(known) = known.filter(|_| sender == Sender::Opener) {
            let room = WORD.saturating_sub(known.began.len());
            known.began.extend(bytes.iter().take(room));
        }
    }

    fn kind(&self, connection: &str) -> Kind {
        let began = self.connections.get(connection).map(|known| &*known.began);
        match began {
            _ if !self.readable => Kind::Tls,
            Some(began) if ATH.begins_bytes(began) => Kind::Control,
            Some(began) if TRS.begins_bytes(began) => Kind::Data,
            _ => Kind::Unknown,
        }
    }

    fn count(&mut self, connection: &str, sender: Sender, bytes: u64) {
        if let Some(known) = self.connections.get_mut(connection) {
            known.sent[side(sender)] += bytes;
        }
    }

    fn entry(&mut self, entry: recording::Entry, note: Option<String>) {
        let connection = entry.step.actor.clone();
        let note = note.or_else(|| self.is_probe(&entry.step.action).then(|| PROBE.to_owned()));
        match raw(&entry.step.action) {
            Some((sender, bytes)) if bytes.len() > ROOM || self.continues(&connection, sender) => {
                self.bulk(entry.at, &connection, sender, bytes);
            }
            _ => self.add(entry.at, &connection, entry.step.action, note),
        }
    }

    /// Whether a message names the suite's own mapping.
    fn is_probe(&self, action: &Action) -> bool {
        let message = action.message();
        let port = message.and_then(|message| message.field(FieldName::Port));
        let own = |port: &Field| match port {
            Field::Text(text) => match text.pieces() {
                [Piece::Bytes(bytes)] => Some(bytes) == self.probe.as_ref(),
                _ => false,
            },
            Field::Bind(_) | Field::Any => false,
        };
        port.is_some_and(own)
    }

    fn add(&mut self, at: Duration, connection: &str, action: Action, note: Option<String>) {
        if let Some(known) = self.connections.get_mut(connection) {
            known.bulk = [None, None];
        }
        self.push(Item {
            at,
            connection: connection.to_owned(),
            content: Content::Step(action, note),
        });
    }

    /// Whether bytes continue the bulk of their side: the other side has sent nothing since.
    fn continues(&self, connection: &str, sender: Sender) -> bool {
        let known = self.connections.get(connection);
        known.is_some_and(|known| known.bulk[side(sender)].is_some() && known.last == Some(sender))
    }

    /// Adds many bytes of one side as one line, independent of the number of reads.
    fn bulk(&mut self, at: Duration, connection: &str, sender: Sender, bytes: &[u8]) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let known = self.connections.get_mut(connection);
        let place = known.and_then(|known| {
            known.last = Some(sender);
            known.bulk[side(sender)]
        });
        let item = place.and_then(|place| self.items.get_mut(&place));
        if let Some(Content::Bulk {
            bytes: so_far,
            reads,
            until,
            ..
        }) = item.map(|item| &mut item.content)
        {
            *so_far += length;
            *reads += 1;
            *until = at;
            return;
        }
        let content = Content::Bulk {
            sender,
            head: bytes.get(..SHOWN).unwrap_or(bytes).to_vec(),
            bytes: length,
            reads: 1,
            until: at,
        };
        let place = self.push(Item {
            at,
            connection: connection.to_owned(),
            content,
        });
        if let Some(known) = self.connections.get_mut(connection) {
            known.bulk[side(sender)] = Some(place);
        }
    }

    /// Adds an item and returns its number.
    fn push(&mut self, item: Item) -> usize {
        let number = self.next;
        self.next += 1;
        self.items.insert(number, item);
        if self.items.len() > 2 * HALF {
            self.items.remove(&(HALF + self.left_out));
            self.left_out += 1;
        }
        number
    }

    /// The connections by their names in the steps. No name is in `taken`.
    pub(crate) fn connections(&self, taken: &[&str]) -> Vec<(String, Kind)> {
        let named = self.named(taken).into_iter();
        named.map(|(_, connection)| connection).collect()
    }

    /// The connections of the items: the name that the relay gave, the name for a reader, and the kind.
    fn named(&self, taken: &[&str]) -> Vec<(&str, (String, Kind))> {
        let shown: BTreeSet<&str> = self.items.values().map(|item| &*item.connection).collect();
        let shown = self.order.iter().filter(|one| shown.contains(one.as_str()));
        let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
        let named = shown.map(|connection| {
            let kind = self.kind(connection);
            let stem = kind.stem();
            let turn = turns.entry(stem).or_default();
            let name = loop {
                *turn += 1;
                let name = format!("{stem}{turn}");
                if !taken.contains(&name.as_str()) {
                    break name;
                }
            };
            (connection.as_str(), (name, kind))
        });
        named.collect()
    }

    /// The record as steps with their times and the names of [`Self::connections`].
    pub(crate) fn steps(&self, taken: &[&str]) -> Vec<(Duration, Step)> {
        let names: BTreeMap<&str, (String, Kind)> = self.named(taken).into_iter().collect();
        let step = |item: &Item| {
            let (action, comment) = item.content.shown();
            let named = names.get(item.connection.as_str());
            let step = Step {
                actor: named.map_or_else(String::new, |(name, _)| name.clone()),
                action,
                within: None,
                marks: Vec::new(),
                comment,
            };
            (item.at, step)
        };
        self.items.values().map(step).collect()
    }
}

impl Content {
    fn shown(&self) -> (Action, Option<String>) {
        match self {
            Self::Step(action, note) => (action.clone(), note.clone()),
            Self::Bulk {
                sender,
                head,
                bytes,
                reads,
                until,
            } => {
                let more = u64::try_from(head.len()).is_ok_and(|head| head < *bytes);
                let shown = if more {
                    [head.as_slice(), b"..."].concat()
                } else {
                    head.clone()
                };
                let template = Template::bytes(shown);
                let action = match sender {
                    Sender::Opener => Action::SendRaw(vec![template]),
                    Sender::Acceptor => Action::Expect(Expectation::Raw(template)),
                };
                let note = match reads {
                    1 => format!("cut, {bytes} bytes"),
                    _ => format!(
                        "cut, {bytes} bytes in {reads} reads, the last at {:.3}",
                        until.as_secs_f64()
                    ),
                };
                (action, Some(note))
            }
        }
    }
}

impl Kind {
    /// Its name in one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Data => "data",
            Self::Tls => "tls",
            Self::Unknown => "unknown",
        }
    }

    /// The beginning of the names of such connections.
    fn stem(self) -> &'static str {
        match self {
            Self::Control => "ctl",
            Self::Data => "data",
            Self::Tls => "tls",
            Self::Unknown => "conn",
        }
    }
}

fn side(sender: Sender) -> usize {
    match sender {
        Sender::Opener => 0,
        Sender::Acceptor => 1,
    }
}

/// The sender and the bytes of an action that is no message.
fn raw(action: &Action) -> Option<(Sender, &[u8])> {
    let (sender, template) = match action {
        Action::SendRaw(segments) => match &segments[..] {
            [segment] => (Sender::Opener, segment),
            _ => return None,
        },
        Action::Expect(Expectation::Raw(raw)) => (Sender::Acceptor, raw),
        _ => return None,
    };
    match template.pieces() {
        [Piece::Bytes(bytes)] if template.times() == 1 => Some((sender, bytes)),
        _ => None,
    }
}

/// The bytes that tell the purpose of a connection: the name of a message and its line end.
const WORD: usize = 4;

/// The comment of a message about the suite's own mapping.
const PROBE: &str = "a probe of the suite";

/// If more bytes than this come at a time, only their beginning and their number are kept. Further bytes of the same
/// side are added to that number.
const ROOM: usize = 1024;

/// The number of bytes at the beginning that are kept and shown.
const SHOWN: usize = 24;

/// The number of lines that are kept at the beginning, and at the end.
const HALF: usize = 1000;

#[cfg(test)]
mod tests;
