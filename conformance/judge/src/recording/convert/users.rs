//! A tap sees neither users nor services. What they did is known from what client and server said for them.

use std::collections::{BTreeMap, VecDeque};

use netroxy_specification::notation::ast::{
    Action, Expectation, Field, Message, Side, Step, Template,
};

use super::super::Entry;
use super::super::traffic::bytes;

/// The recording of a tap as the player of a case would have written it, who is the other side, the users and the
/// services.
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

/// Data connections that have carried nothing, and that the client has ended first: its target has refused.
fn unused(entries: &[Entry]) -> Vec<String> {
    let mut ended: BTreeMap<&str, bool> = BTreeMap::new();
    for entry in entries {
        let actor = entry.step.actor.as_str();
        match &entry.step.action {
            Action::Send(message) if message.word == "TRS" => {
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
    /// Of each remote port.
    targets: BTreeMap<Vec<u8>, Template>,
    /// Users of each remote port.
    waiting: BTreeMap<Vec<u8>, VecDeque<String>>,
    /// The user or the service of a data connection.
    joined: BTreeMap<String, String>,
    silent: Vec<String>,
    number: usize,
    entries: Vec<Entry>,
}

impl Stage {
    fn enter(&mut self, entry: Entry) {
        let actor = entry.step.actor.clone();
        let far = self.joined.get(&actor).cloned();
        // Seen from the client, as a tap writes it.
        let (before, behind) = match (&entry.step.action, far) {
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
            (Action::Send(message), _) => (None, self.said(&actor, message)),
            (Action::Expect(Expectation::Message(message)), _) if message.word == "TRQ" => {
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
        self.entries.extend(behind.map(step));
    }

    /// The service says it, or the user hears it.
    fn sent_by_client(&self, far: String, bytes: Option<Vec<u8>>) -> (Aside, Aside) {
        match self.side {
            Side::Server => (None, Some((far, heard(bytes)))),
            Side::Client => (Some((far, said(bytes))), None),
        }
    }

    /// The user says it, or the service hears it.
    fn sent_by_server(&self, far: String, bytes: Option<Vec<u8>>) -> (Aside, Aside) {
        match self.side {
            Side::Server => (Some((far, said(bytes))), None),
            Side::Client => (None, Some((far, heard(bytes)))),
        }
    }

    fn user(&mut self, trq: &Message) -> Aside {
        let port = field(trq, 0);
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

    fn said(&mut self, actor: &str, message: &Message) -> Aside {
        match (message.word.as_str(), self.side) {
            ("MAP", _) => {
                let target = field(message, 1);
                self.targets.insert(bytes(&field(message, 0)), target);
                None
            }
            ("TRS", Side::Server) => {
                let waiting = self.waiting.get_mut(&bytes(&field(message, 1)))?;
                let user = waiting.pop_front()?;
                self.joined.insert(actor.to_owned(), user);
                None
            }
            ("TRS", Side::Client) if !self.silent.iter().any(|silent| silent == actor) => {
                let target = self.targets.get(&bytes(&field(message, 1)))?.clone();
                self.number += 1;
                let service = format!("service{}", self.number);
                self.joined.insert(actor.to_owned(), service.clone());
                Some((service, Action::Accept(Some(target))))
            }
            _ => None,
        }
    }
}

/// Who does or sees something beside a step.
type Aside = Option<(String, Action)>;

fn field(message: &Message, index: usize) -> Template {
    match message.fields.get(index) {
        Some(Field::Text(text)) => text.clone(),
        _ => Template::bytes(Vec::new()),
    }
}

fn said(bytes: Option<Vec<u8>>) -> Action {
    bytes.map_or(Action::Shutdown, |bytes| {
        Action::SendRaw(vec![Template::bytes(bytes)])
    })
}

fn heard(bytes: Option<Vec<u8>>) -> Action {
    Action::Expect(bytes.map_or(Expectation::Eof, |bytes| {
        Expectation::Raw(Template::bytes(bytes))
    }))
}

/// A step of a tap as the server sees it.
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
