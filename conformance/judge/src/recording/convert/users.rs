//! A tap sees neither users nor targets. What they did follows from the messages and bytes of client and server.

use std::collections::{BTreeMap, VecDeque};

use netroxy_specification::message::{FieldName, MAP, TRQ, TRS};
use netroxy_specification::notation::ast::{
    Action, Expectation, Field, Message, Side, Step, Template,
};

use super::super::Entry;
use super::super::traffic::bytes;

/// The recording of a tap as the player of a case would have written it. The player is the other side, the users and the
/// targets.
pub(super) fn complete(entries: Vec<Entry>, side: Side) -> Vec<Entry> {
    let mut stage = Stage {
        side,
        targets: BTreeMap::new(),
        waiting: BTreeMap::new(),
        joined: BTreeMap::new(),
        silent: unused(&entries),
        number: 0,
        entries: Vec::new(),
    };
    for entry in entries {
        stage.enter(entry);
    }
    stage.entries
}

/// Data connections without bytes that the client ended first: its target refused.
fn unused(entries: &[Entry]) -> Vec<String> {
    let mut ended: BTreeMap<&str, bool> = BTreeMap::new();
    for entry in entries {
        let actor = entry.step.actor.as_str();
        match &entry.step.action {
            Action::Send(message) if message.is(&TRS) => {
                ended.insert(actor, false);
            }
            Action::SendRaw(_) | Action::Expect(_) if ended.get(actor) == Some(&false) => {
                ended.remove(actor);
            }
            Action::Shutdown | Action::Reset => {
                ended.entry(actor).and_modify(|ended| *ended = true);
            }
            _ => {}
        }
    }
    let refused = ended.into_iter().filter(|(_, ended)| *ended);
    refused.map(|(actor, _)| actor.to_owned()).collect()
}

struct Stage {
    side: Side,
    /// The target of each remote port.
    targets: BTreeMap<Vec<u8>, Template>,
    /// The waiting users of each remote port.
    waiting: BTreeMap<Vec<u8>, VecDeque<String>>,
    /// The user or the target of a data connection.
    joined: BTreeMap<String, String>,
    silent: Vec<String>,
    number: usize,
    entries: Vec<Entry>,
}

impl Stage {
    fn enter(&mut self, entry: Entry) {
        let actor = entry.step.actor.clone();
        let far = self.joined.get(&actor).cloned();
        // A tap writes the steps of the client.
        let (before, after) = match (&entry.step.action, far) {
            (Action::SendRaw(parts), Some(far)) => {
                let all: Vec<u8> = parts.iter().flat_map(bytes).collect();
                self.sent_by_client(far, Some(all))
            }
            (Action::Expect(Expectation::Raw(raw)), Some(far)) => {
                self.sent_by_server(far, Some(bytes(raw)))
            }
            (Action::Shutdown, Some(far)) => self.sent_by_client(far, None),
            (Action::Expect(Expectation::Eof), Some(far)) => self.sent_by_server(far, None),
            (Action::Reset, Some(far)) => match self.side {
                Side::Server => (None, Some((far, Action::Expect(Expectation::Closed)))),
                Side::Client => (Some((far, Action::Reset)), None),
            },
            (Action::Expect(Expectation::Closed), Some(far)) => match self.side {
                Side::Server => (Some((far, Action::Reset)), None),
                Side::Client => (None, Some((far, Action::Expect(Expectation::Closed)))),
            },
            (Action::Send(message), _) => (None, self.sent(&actor, message)),
            (Action::Expect(Expectation::Message(message)), _) if message.is(&TRQ) => {
                (self.user(message), None)
            }
            _ => (None, None),
        };
        let at = entry.at;
        let step = |(actor, action): (String, Action)| Entry {
            at,
            step: Step {
                actor,
                action,
                within: None,
                marks: Vec::new(),
                comment: None,
            },
            broken: false,
        };
        self.entries.extend(before.map(step));
        let action = match self.side {
            Side::Server => entry.step.action,
            Side::Client => mirrored(entry.step.action),
        };
        self.entries.extend([step((actor, action))]);
        self.entries.extend(after.map(step));
    }

    /// The target sends it, or the user receives it.
    fn sent_by_client(&self, far: String, bytes: Option<Vec<u8>>) -> (Aside, Aside) {
        match self.side {
            Side::Server => (None, Some((far, receives(bytes)))),
            Side::Client => (Some((far, sends(bytes))), None),
        }
    }

    /// The user sends it, or the target receives it.
    fn sent_by_server(&self, far: String, bytes: Option<Vec<u8>>) -> (Aside, Aside) {
        match self.side {
            Side::Server => (Some((far, sends(bytes))), None),
            Side::Client => (None, Some((far, receives(bytes)))),
        }
    }

    fn user(&mut self, trq: &Message) -> Aside {
        let port = field(trq, FieldName::Port);
        if self.side == Side::Client {
            return None;
        }
        self.number += 1;
        let user = format!("user{}", self.number);
        let waiting = self.waiting.entry(bytes(&port)).or_default();
        waiting.push_back(user.clone());
        let to = netroxy_specification::notation::ast::Endpoint::Port(port);
        Some((user, Action::Connect(to)))
    }

    fn sent(&mut self, actor: &str, message: &Message) -> Aside {
        let port = bytes(&field(message, FieldName::Port));
        match (message.shape(), self.side) {
            (Some(&MAP), _) => {
                let target = field(message, FieldName::Target);
                self.targets.insert(port, target);
                None
            }
            (Some(&TRS), Side::Server) => {
                let waiting = self.waiting.get_mut(&port)?;
                let user = waiting.pop_front()?;
                self.joined.insert(actor.to_owned(), user);
                None
            }
            (Some(&TRS), Side::Client) if !self.silent.iter().any(|silent| silent == actor) => {
                let target = self.targets.get(&port)?.clone();
                self.number += 1;
                let service = format!("service{}", self.number);
                self.joined.insert(actor.to_owned(), service.clone());
                Some((service, Action::Accept(Some(target))))
            }
            _ => None,
        }
    }
}

/// A user or a target, and its action beside a step.
type Aside = Option<(String, Action)>;

fn field(message: &Message, name: FieldName) -> Template {
    match message.field(name) {
        Some(Field::Text(text)) => text.clone(),
        _ => Template::bytes(Vec::new()),
    }
}

fn sends(bytes: Option<Vec<u8>>) -> Action {
    bytes.map_or(Action::Shutdown, |bytes| {
        Action::SendRaw(vec![Template::bytes(bytes)])
    })
}

fn receives(bytes: Option<Vec<u8>>) -> Action {
    Action::Expect(bytes.map_or(Expectation::Eof, |bytes| {
        Expectation::Raw(Template::bytes(bytes))
    }))
}

/// A step of a tap with the arrows of the server.
fn mirrored(action: Action) -> Action {
    match action {
        Action::Connect(_) => Action::Accept(None),
        Action::Send(message) => Action::Expect(Expectation::Message(message)),
        Action::SendRaw(parts) => {
            let all: Vec<u8> = parts.iter().flat_map(bytes).collect();
            Action::Expect(Expectation::Raw(Template::bytes(all)))
        }
        Action::Shutdown => Action::Expect(Expectation::Eof),
        Action::Reset => Action::Expect(Expectation::Closed),
        Action::Expect(Expectation::Message(message)) => Action::Send(message),
        Action::Expect(Expectation::Raw(raw)) => Action::SendRaw(vec![raw]),
        Action::Expect(Expectation::Eof) => Action::Shutdown,
        Action::Expect(Expectation::Closed) => Action::Reset,
        other => other,
    }
}
