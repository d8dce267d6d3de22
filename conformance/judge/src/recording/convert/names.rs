//! Names for values of a recording that another run does not have: ports, tokens, client names, addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use netroxy_specification::catalog::{PORTS, TARGETS};
use netroxy_specification::message::{ARS, ATH, FieldName, MAP, MRS, TRQ, TRS};
use netroxy_specification::notation::ast::{
    Action, Endpoint, Expectation, Field, Message, Piece, Setting, Side, Step, Template,
};

use super::super::Entry;
use super::super::traffic::{bytes, text};
use super::unplayable::Unplayable;

/// The name of each value.
#[derive(Debug)]
pub(super) struct Names {
    side: Side,
    ports: BTreeMap<Vec<u8>, &'static str>,
    targets: BTreeMap<Vec<u8>, &'static str>,
    /// Port, target and isOpen of each MAP, in their order.
    maps: Vec<(Vec<u8>, Vec<u8>, bool)>,
    /// Client names.
    clients: Vec<Vec<u8>>,
    tokens: BTreeMap<Vec<u8>, Template>,
    /// Username and password of a login.
    login: Option<[Vec<u8>; 2]>,
    timeout: Option<u64>,
}

impl Names {
    /// The names of a recording; `control` is the port of its server.
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
            let Some(message) = step.action.message() else {
                continue;
            };
            let field = |name| text(message, name);
            match message.shape() {
                Some(&ATH) => {
                    asked.insert(&step.actor, message);
                    names.client(field(FieldName::ClientName));
                }
                Some(&ARS) if field(FieldName::IsOk) == b"true" => {
                    let ath = asked.get(step.actor.as_str());
                    let login = [FieldName::Username, FieldName::Password];
                    let login = ath.map(|ath| login.map(|name| text(ath, name)));
                    names.login = names.login.take().or(login);
                    names.token(field(FieldName::Token));
                    let seconds = String::from_utf8_lossy(&field(FieldName::Timeout))
                        .parse()
                        .ok();
                    names.timeout = names.timeout.or(seconds);
                }
                Some(&MAP) => names.map(message),
                Some(&MRS) if field(FieldName::IsOk) == b"true" => {
                    granted.insert(field(FieldName::Port));
                }
                Some(&TRQ) => {
                    tunnels.insert(field(FieldName::Port));
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

    /// The mappings in the configuration of a client.
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

    /// The timeout of the server, if it is not the usual one.
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

    /// A message with names instead of values. A value that the next run cannot know is not expected.
    fn message(&self, message: &Message, expected: bool, configured: bool) -> Message {
        let granted = text(message, FieldName::IsOk) == b"true"
            && self.tokens.contains_key(&text(message, FieldName::Token));
        let renamed = |name: FieldName, value: &Template| {
            let value = bytes(value);
            let field = match (message.shape()?, name) {
                (&ATH, FieldName::ClientName) if expected => Field::Any,
                (&ATH, FieldName::ClientName) => Field::Text(self.client_name(&value)),
                (&ATH, FieldName::Username) => Field::Text(self.credential(0, &value)),
                (&ATH, FieldName::Password) => Field::Text(self.credential(1, &value)),
                (&ARS, FieldName::Timeout) if granted && expected && !configured => Field::Any,
                (&ARS, FieldName::Token) if granted => {
                    let token = self.token_name(&value);
                    match token.pieces() {
                        [Piece::Var(name)] if expected => Field::Bind(name.clone()),
                        _ => Field::Text(token),
                    }
                }
                (&MAP, FieldName::Target) if self.side == Side::Client => {
                    Field::Text(self.target(&value))
                }
                (&TRS, FieldName::Token) => Field::Text(self.token_name(&value)),
                (_, FieldName::Port) => Field::Text(self.port(&value)),
                (&ARS, _) if !granted => return None,
                _ => Field::Text(Template::bytes(value)),
            };
            Some(field)
        };
        let names = message.shape().map_or(&[][..], |shape| shape.fields);
        let names = names
            .iter()
            .map(|(name, _)| Some(*name))
            .chain(iter::repeat(None));
        let fields = message.fields.iter().zip(names).map(|(field, name)| {
            let known = match (field, name) {
                (Field::Text(value), Some(name)) => renamed(name, value),
                _ => None,
            };
            known.unwrap_or_else(|| field.clone())
        });
        Message {
            word: message.word.clone(),
            fields: fields.collect(),
        }
    }

    /// Bytes that may contain a token, or a port on a line of its own.
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

    /// `which`: 0 for a username, 1 for a password.
    fn credential(&self, which: usize, value: &[u8]) -> Template {
        match &self.login {
            Some(login) if login[which] == value => variable(["username", "password"][which]),
            _ => Template::bytes(value),
        }
    }

    fn token(&mut self, token: Vec<u8>) {
        let name = match (self.tokens.len(), self.side) {
            (0, _) => variable("token"),
            (index, Side::Server) => variable(&format!("token{}", index + 1)),
            // A case of role client has one token; others are made from it.
            (index, Side::Client) => numbered("token", index),
        };
        self.tokens.entry(token).or_insert(name);
    }

    fn token_name(&self, token: &[u8]) -> Template {
        let known = self.tokens.get(token).cloned();
        known.unwrap_or_else(|| Template::bytes(token))
    }

    fn map(&mut self, message: &Message) {
        let port = text(message, FieldName::Port);
        let target = text(message, FieldName::Target);
        if !self.maps.iter().any(|(known, _, _)| *known == port) {
            let open = text(message, FieldName::IsOpen) == b"true";
            self.maps.push((port, target, open));
        }
    }

    /// Names the ports. A port that the server refused keeps its number, because the number may be the reason.
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

    /// Names the targets. A target to which no tunnel came is one that refuses.
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

fn variable(name: &str) -> Template {
    Template::new([Piece::Var(name.to_owned())], 1)
}

/// A value made from that of a variable.
fn numbered(name: &str, index: usize) -> Template {
    let number = format!("-{}", index + 1).into_bytes();
    Template::new([Piece::Var(name.to_owned()), Piece::Bytes(number)], 1)
}
