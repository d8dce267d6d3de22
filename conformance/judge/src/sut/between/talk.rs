//! What was said, in the notation of the cases.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use netroxy_specification::message::{ATH, FieldName, TRS};
use netroxy_specification::notation::ast::{
    Action, Expectation, Field, Piece, Step, Template, Transport,
};

use crate::recording::{self, End, Sender, What, Writer};
use crate::tap::{Event, Seen};

/// What two programs have said to each other.
#[derive(Debug)]
pub struct Talk {
    started: Instant,
    /// Whether it can be read: not on TLS.
    readable: bool,
    server: SocketAddr,
    writer: Writer,
    /// By the name that the relay has given.
    connections: BTreeMap<String, Connection>,
    /// In which connections were seen first.
    order: Vec<String>,
    /// By their numbers. Of too many, those in the middle are left out: a failure shows at the end.
    items: BTreeMap<usize, Item>,
    next: usize,
    left_out: usize,
    /// A remote port that is not of the case.
    probe: Option<Vec<u8>>,
}

/// What a connection between the two was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It began with ATH.
    Control,
    /// It began with TRS.
    Data,
    /// What is inside cannot be read.
    Tls,
    /// It began with nothing that is known, or did not come to be.
    Unknown,
}

#[derive(Debug, Clone, Default)]
struct Connection {
    /// What the opener has sent first, as far as it tells the kind.
    began: Vec<u8>,
    /// How much each side has sent: the opener, and the acceptor.
    sent: [u64; 2],
    /// Who has said something last.
    last: Option<Sender>,
    /// The item that further bytes of each side are added to.
    bulk: [Option<usize>; 2],
}

#[derive(Debug, Clone)]
struct Item {
    at: Duration,
    connection: String,
    what: Said,
}

#[derive(Debug, Clone)]
enum Said {
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

    /// The mapping by which the suite sees that the two work together.
    pub(super) fn with_probe(self, port: u16) -> Self {
        Self {
            probe: Some(port.to_string().into_bytes()),
            ..self
        }
    }

    /// When its times begin to count.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Whether what was said could be read.
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
                // The relay does not name it.
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

    /// What a line says beyond its action.
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

    /// Whether a message names the mapping that is not of the case.
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
            what: Said::Step(action, note),
        });
    }

    /// Whether few bytes are the rest of many: the other side has said nothing since.
    fn continues(&self, connection: &str, sender: Sender) -> bool {
        let known = self.connections.get(connection);
        known.is_some_and(|known| known.bulk[side(sender)].is_some() && known.last == Some(sender))
    }

    /// Many bytes of one side are one line, however many reads it took.
    fn bulk(&mut self, at: Duration, connection: &str, sender: Sender, bytes: &[u8]) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let known = self.connections.get_mut(connection);
        let place = known.and_then(|known| {
            known.last = Some(sender);
            known.bulk[side(sender)]
        });
        let item = place.and_then(|place| self.items.get_mut(&place));
        if let Some(Said::Bulk {
            bytes: so_far,
            reads,
            until,
            ..
        }) = item.map(|item| &mut item.what)
        {
            *so_far += length;
            *reads += 1;
            *until = at;
            return;
        }
        let what = Said::Bulk {
            sender,
            head: bytes.get(..SHOWN).unwrap_or(bytes).to_vec(),
            bytes: length,
            reads: 1,
            until: at,
        };
        let place = self.push(Item {
            at,
            connection: connection.to_owned(),
            what,
        });
        if let Some(known) = self.connections.get_mut(connection) {
            known.bulk[side(sender)] = Some(place);
        }
    }

    /// The number of the item.
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

    /// The connections of the steps by the names that they have there, which are none of `taken`.
    pub(crate) fn connections(&self, taken: &[&str]) -> Vec<(String, Kind)> {
        let named = self.named(taken).into_iter();
        named.map(|(_, connection)| connection).collect()
    }

    /// The connections of the items: by what they are called here, how a reader calls them.
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

    /// What was said, with its times and the names of [`Self::connections`].
    pub(crate) fn steps(&self, taken: &[&str]) -> Vec<(Duration, Step)> {
        let names: BTreeMap<&str, (String, Kind)> = self.named(taken).into_iter().collect();
        let step = |item: &Item| {
            let (action, comment) = item.what.shown();
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

impl Said {
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
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Data => "data",
            Self::Tls => "tls",
            Self::Unknown => "unknown",
        }
    }

    /// How the names of such connections begin.
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

/// Who has sent which bytes, where they are no message.
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

/// As much as tells what a connection is for: a word and its end.
const WORD: usize = 4;

/// What a line says that is not of the case.
const PROBE: &str = "a probe of the suite";

/// More bytes at a time than this are kept as a number, and what follows on the same side is added to it.
const ROOM: usize = 1024;

/// So many bytes of them are shown.
const SHOWN: usize = 24;

/// So many lines at the beginning, and as many at the end, are kept.
const HALF: usize = 1000;

#[cfg(test)]
mod tests;
