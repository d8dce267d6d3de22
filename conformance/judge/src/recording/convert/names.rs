//! Values of a recording that are others the next time: ports, tokens, names, addresses.

use std::collections::{BTreeMap, BTreeSet};

use netroxy_specification::catalog::{PORTS, TARGETS};
use netroxy_specification::notation::ast::{
    Action, Endpoint, Expectation, Field, Message, Piece, Setting, Side, Step, Template,
};

use super::super::Entry;
use super::super::traffic::bytes;
use super::Unplayable;

/// Which value has which name.
#[derive(Debug)]
pub(super) struct Names {
    side: Side,
    ports: BTreeMap<Vec<u8>, &'static str>,
    targets: BTreeMap<Vec<u8>, &'static str>,
    /// Port, target, isOpen, in their order.
    maps: Vec<(Vec<u8>, Vec<u8>, bool)>,
    /// Client names.
    clients: Vec<Vec<u8>>,
    tokens: BTreeMap<Vec<u8>, Template>,
    /// User name and password of a login that was let in.
    login: Option<[Vec<u8>; 2]>,
    timeout: Option<u64>,
}

impl Names {
    /// Those of a recording; `control` is the port of its server.
    pub(super) fn find(
        entries: &[Entry],
        side: Side,
        control: Option<u16>,
    ) -> Result<Self, Unplayable> {
        let mut names = Self {
            side,
            ports: BTreeMap::new(),
            targets: BTreeMap::new(),
            maps: Vec::new(),
            clients: Vec::new(),
            tokens: BTreeMap::new(),
            login: None,
            timeout: None,
        };
        let mut asked: BTreeMap<&str, &Message> = BTreeMap::new();
        let mut granted = BTreeSet::new();
        let mut reached = BTreeSet::new();
        let mut tunnels = BTreeSet::new();
        for Entry { step, .. } in entries {
            if let Action::Accept(Some(target)) = &step.action {
                reached.insert(bytes(target));
            }
            let Some(message) = message(&step.action) else {
                continue;
            };
            match message.word.as_str() {
                "ATH" => {
                    asked.insert(&step.actor, message);
                    names.client(text(message, 0));
                }
                "ARS" if text(message, 0) == b"true" => {
                    let ath = asked.get(step.actor.as_str());
                    let login = ath.map(|ath| [text(ath, 1), text(ath, 2)]);
                    names.login = names.login.take().or(login);
                    names.token(text(message, 2));
                    let seconds = String::from_utf8_lossy(&text(message, 1)).parse().ok();
                    names.timeout = names.timeout.or(seconds);
                }
                "MAP" => names.map(message),
                "MRS" if text(message, 1) == b"true" => {
                    granted.insert(text(message, 0));
                }
                "TRQ" => {
                    tunnels.insert(text(message, 0));
                }
                _ => {}
            }
        }
        names.name_ports(&granted)?;
        if let Some(control) = control.filter(|_| side == Side::Server) {
            names
                .ports
                .insert(control.to_string().into_bytes(), "control");
        }
        names.name_targets(&reached, &tunnels)?;
        Ok(names)
    }

    /// What the configuration of a client says.
    pub(super) fn mappings(&self) -> Vec<Setting> {
        let map = |(port, target, open): &(Vec<u8>, Vec<u8>, bool)| {
            Some(Setting::Map {
                port: variable(self.ports.get(port)?),
                target: variable(self.targets.get(target)?),
                open: *open,
            })
        };
        self.maps.iter().filter_map(map).collect()
    }

    /// That of the server, where it is not the usual one.
    pub(super) fn timeout(&self) -> Option<Setting> {
        let timeout = self.timeout.filter(|seconds| *seconds != 30);
        timeout.map(Setting::Timeout)
    }

    /// A step with names instead of values.
    pub(super) fn rename(&self, step: &Step, configured: bool) -> Action {
        match &step.action {
            Action::Connect(Endpoint::Port(port)) => {
                Action::Connect(Endpoint::Port(self.port(&bytes(port))))
            }
            Action::Refused(port) => Action::Refused(self.port(&bytes(port))),
            Action::Accept(Some(target)) => Action::Accept(Some(self.target(&bytes(target)))),
            Action::Maps(refused) => {
                Action::Maps(refused.iter().map(|port| self.port(&bytes(port))).collect())
            }
            Action::Send(message) => Action::Send(self.message(message, false, configured)),
            Action::Expect(Expectation::Message(message)) => {
                let message = self.message(message, true, configured);
                Action::Expect(Expectation::Message(message))
            }
            Action::SendRaw(parts) => {
                Action::SendRaw(parts.iter().map(|part| self.raw(&bytes(part))).collect())
            }
            Action::SendDrip(raw) => Action::SendDrip(self.raw(&bytes(raw))),
            Action::SendSlow(raw) => Action::SendSlow(self.raw(&bytes(raw))),
            Action::SendEvery(ms, parts) => {
                let parts = parts.iter().map(|part| self.raw(&bytes(part))).collect();
                Action::SendEvery(*ms, parts)
            }
            Action::Expect(Expectation::Raw(raw)) => {
                Action::Expect(Expectation::Raw(self.raw(&bytes(raw))))
            }
            other => other.clone(),
        }
    }

    fn message(&self, message: &Message, expected: bool, configured: bool) -> Message {
        let field = |index: usize| text(message, index);
        let is_token = self.tokens.contains_key(&field(2));
        let values: Vec<Field> = match message.word.as_str() {
            "ATH" => {
                let name = match expected {
                    true => Field::Any,
                    false => Field::Text(self.client_name(&field(0))),
                };
                let login = self.credentials(&field(1), &field(2));
                [vec![name], login.map(Field::Text).to_vec()].concat()
            }
            "ARS" if field(0) == b"true" && is_token => {
                let timeout = match expected && !configured {
                    true => Field::Any,
                    false => Field::Text(Template::bytes(field(1))),
                };
                let token = self.token_name(&field(2));
                let token = match token.pieces() {
                    [Piece::Var(name)] if expected => Field::Bind(name.clone()),
                    _ => Field::Text(token),
                };
                let ok = Field::Text(Template::bytes(field(0)));
                vec![ok, timeout, token]
            }
            "MAP" => {
                let target = match self.side {
                    Side::Client => self.target(&field(1)),
                    Side::Server => Template::bytes(field(1)),
                };
                let open = Template::bytes(field(2));
                [self.port(&field(0)), target, open]
                    .map(Field::Text)
                    .to_vec()
            }
            "MRS" => {
                let ok = Template::bytes(field(1));
                [self.port(&field(0)), ok].map(Field::Text).to_vec()
            }
            "TRQ" => vec![Field::Text(self.port(&field(0)))],
            "TRS" => {
                let fields = [self.token_name(&field(0)), self.port(&field(1))];
                fields.map(Field::Text).to_vec()
            }
            _ => message.fields.clone(),
        };
        Message {
            word: message.word.clone(),
            fields: values,
        }
    }

    /// Bytes in which a token, or a port on a line of its own, may stand.
    fn raw(&self, bytes: &[u8]) -> Template {
        let ports = self.ports.iter().map(|(port, name)| {
            let line = [b"\n", port.as_slice(), b"\n"].concat();
            let pieces = [
                Piece::Bytes(b"\n".to_vec()),
                Piece::Var((*name).to_owned()),
                Piece::Bytes(b"\n".to_vec()),
            ];
            (line, pieces.to_vec())
        });
        let tokens = self.tokens.iter().filter(|(token, _)| token.len() >= 8);
        let tokens = tokens.map(|(token, name)| (token.clone(), name.pieces().to_vec()));
        let known: Vec<(Vec<u8>, Vec<Piece>)> = tokens.chain(ports).collect();
        let mut pieces = Vec::new();
        let (mut rest, mut plain) = (bytes, Vec::new());
        while let Some((first, more)) = rest.split_first() {
            if let Some((value, name)) = known.iter().find(|(value, _)| rest.starts_with(value)) {
                pieces.push(Piece::Bytes(std::mem::take(&mut plain)));
                pieces.extend(name.iter().cloned());
                rest = rest.get(value.len()..).unwrap_or_default();
            } else {
                plain.push(*first);
                rest = more;
            }
        }
        pieces.push(Piece::Bytes(plain));
        Template::new(pieces, 1)
    }

    fn client(&mut self, name: Vec<u8>) {
        if !name.is_empty() && !self.clients.contains(&name) {
            self.clients.push(name);
        }
    }

    fn client_name(&self, name: &[u8]) -> Template {
        match self.clients.iter().position(|known| known == name) {
            None => Template::bytes(name),
            Some(0) => variable("name"),
            Some(index) => numbered("name", index),
        }
    }

    fn credentials(&self, user: &[u8], password: &[u8]) -> [Template; 2] {
        let known = self.login.as_ref();
        let value = |index: usize, value: &[u8], name: &str| match known {
            Some(login) if login[index] == value => variable(name),
            _ => Template::bytes(value),
        };
        [value(0, user, "username"), value(1, password, "password")]
    }

    fn token(&mut self, token: Vec<u8>) {
        let name = match (self.tokens.len(), self.side) {
            (0, _) => variable("token"),
            (index, Side::Server) => variable(&format!("token{}", index + 1)),
            // There is one, and others are made from it.
            (index, Side::Client) => numbered("token", index),
        };
        self.tokens.entry(token).or_insert(name);
    }

    fn token_name(&self, token: &[u8]) -> Template {
        let known = self.tokens.get(token).cloned();
        known.unwrap_or_else(|| Template::bytes(token))
    }

    fn map(&mut self, message: &Message) {
        let (port, target) = (text(message, 0), text(message, 1));
        if !self.maps.iter().any(|(known, _, _)| *known == port) {
            self.maps.push((port, target, text(message, 2) == b"true"));
        }
    }

    /// A port that the server has refused may be one that only means something by its number.
    fn name_ports(&mut self, granted: &BTreeSet<Vec<u8>>) -> Result<(), Unplayable> {
        let all = self.side == Side::Client;
        let named = self
            .maps
            .iter()
            .filter(|(port, _, _)| all || granted.contains(port));
        let ports: Vec<Vec<u8>> = named.map(|(port, _, _)| port.clone()).collect();
        if ports.len() > PORTS.len() {
            return Err(Unplayable::TooMany(ports.len(), "ports", PORTS.len()));
        }
        self.ports = ports.into_iter().zip(PORTS).collect();
        Ok(())
    }

    /// A target to which no tunnel has come is one that refuses.
    fn name_targets(
        &mut self,
        reached: &BTreeSet<Vec<u8>>,
        tunnels: &BTreeSet<Vec<u8>>,
    ) -> Result<(), Unplayable> {
        let [first, second, ..] = TARGETS;
        let mut free = [first, second].into_iter();
        let mut count = 0;
        for (port, target, _) in &self.maps {
            if self.targets.contains_key(target) || self.side == Side::Server {
                continue;
            }
            let refuses = tunnels.contains(port) && !reached.contains(target);
            let name = if refuses {
                Some("dead_target")
            } else {
                count += 1;
                free.next()
            };
            let name = name.ok_or(Unplayable::TooMany(count, "targets", 2))?;
            self.targets.insert(target.clone(), name);
        }
        Ok(())
    }

    fn port(&self, port: &[u8]) -> Template {
        let name = self.ports.get(port);
        name.map_or_else(|| Template::bytes(port), |name| variable(name))
    }

    fn target(&self, target: &[u8]) -> Template {
        let name = self.targets.get(target);
        name.map_or_else(|| Template::bytes(target), |name| variable(name))
    }
}

pub(super) fn message(action: &Action) -> Option<&Message> {
    match action {
        Action::Send(message) | Action::Expect(Expectation::Message(message)) => Some(message),
        _ => None,
    }
}

pub(super) fn text(message: &Message, index: usize) -> Vec<u8> {
    match message.fields.get(index) {
        Some(Field::Text(text)) => bytes(text),
        _ => Vec::new(),
    }
}

fn variable(name: &str) -> Template {
    Template::new([Piece::Var(name.to_owned())], 1)
}

/// A value that is made from another one.
fn numbered(name: &str, index: usize) -> Template {
    let number = format!("-{}", index + 1).into_bytes();
    Template::new([Piece::Var(name.to_owned()), Piece::Bytes(number)], 1)
}
