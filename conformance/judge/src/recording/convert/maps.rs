//! The MAPs of a client. Another client may send them in another order, or wait for each answer.

use std::collections::{BTreeMap, BTreeSet};

use netroxy_specification::message::{ARS, FieldName, MAP, MRS};
use netroxy_specification::notation::ast::{Action, Expectation, Message, Template};

use super::super::Entry;
use super::super::traffic::text;

/// Replaces the MAPs of a login and their answers by one step `maps`, if all `count` mappings were asked for and answered.
/// Other steps between them follow it.
pub(super) fn gather(entries: Vec<Entry>, count: usize) -> Vec<Entry> {
    let mut logins: Vec<Login> = Vec::new();
    let mut current: BTreeMap<String, usize> = BTreeMap::new();
    for (at, entry) in entries.iter().enumerate() {
        let actor = entry.step.actor.as_str();
        let Some(message) = entry.step.action.message() else {
            continue;
        };
        if message.is(&ARS) && text(message, FieldName::IsOk) == b"true" {
            current.insert(actor.to_owned(), logins.len());
            logins.push(Login::default());
        } else if let Some(login) = current.get(actor).and_then(|index| logins.get_mut(*index)) {
            login.see(at, message, &entry.step.action);
        }
    }
    let mut gathered: BTreeMap<usize, Vec<Template>> = BTreeMap::new();
    let mut dropped: BTreeSet<usize> = BTreeSet::new();
    for login in logins {
        let Some(first) = login.asked.values().min().copied() else {
            continue;
        };
        if login.asked.len() == count && login.answered.len() == count {
            let refused = login.answered.iter().filter(|(_, (_, ok))| !ok);
            let refused = refused.map(|(port, _)| Template::bytes(port.clone()));
            gathered.insert(first, refused.collect());
            dropped.extend(login.asked.into_values());
            dropped.extend(login.answered.into_values().map(|(at, _)| at));
        }
    }
    let mut kept = Vec::new();
    for (at, mut entry) in entries.into_iter().enumerate() {
        if let Some(refused) = gathered.remove(&at) {
            entry.step.action = Action::Maps(refused);
            kept.push(entry);
        } else if !dropped.contains(&at) {
            kept.push(entry);
        }
    }
    kept
}

/// The MAPs after one ARS.
#[derive(Default)]
struct Login {
    /// The place of the first MAP of each port.
    asked: BTreeMap<Vec<u8>, usize>,
    /// The place of its first answer, and its value.
    answered: BTreeMap<Vec<u8>, (usize, bool)>,
}

impl Login {
    fn see(&mut self, at: usize, message: &Message, action: &Action) {
        let port = text(message, FieldName::Port);
        match (message.shape(), action) {
            (Some(&MAP), Action::Expect(Expectation::Message(_))) => {
                self.asked.entry(port).or_insert(at);
            }
            (Some(&MRS), Action::Send(_)) if self.asked.contains_key(&port) => {
                let ok = text(message, FieldName::IsOk) == b"true";
                self.answered.entry(port).or_insert((at, ok));
            }
            _ => {}
        }
    }
}
