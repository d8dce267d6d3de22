//! How long a step without bounds waits.

use std::collections::BTreeSet;
use std::time::Duration;

use netroxy_specification::message::{ARS, Shape, TRQ, TRS};
use netroxy_specification::notation::ast::{Action, Case, Expectation, Line, Step, Template};

use super::pattern::Pattern;
use super::scene::Scene;
use super::state::Player;
use super::turns::numbered;

impl Player<'_> {
    /// How long to wait for the next connection, to a target or to the suite; `control` if a control connection is
    /// expected.
    pub(super) fn connection_limit(&self, target: Option<&Template>, control: bool) -> Duration {
        match (&self.scene, target) {
            // The server sends TRQ first, after a user has connected.
            (Scene::Pair { .. }, _) => self.tempo.tunnel(),
            (_, None) if control => self.tempo.reconnect(),
            (_, None) => self.tempo.trs() + self.dial,
            (_, Some(_)) => self.tempo.trs(),
        }
    }

    /// How long to wait for what these patterns expect on a connection.
    pub(super) fn answer_limit(&self, name: &str, patterns: &[Pattern]) -> Duration {
        let awaits = |wanted: &Shape| {
            let is =
                |one: &Pattern| matches!(one, Pattern::Message { word, .. } if wanted.is(word));
            patterns.iter().any(is)
        };
        let dial = self.actors.get(name).map_or(Duration::ZERO, |one| one.dial);
        let limit = match &self.scene {
            Scene::Server { .. } if awaits(&ARS) => self.tempo.reply(),
            Scene::Client(_) if awaits(&TRS) => self.tempo.trs(),
            _ => self.limit(),
        };
        limit + dial
    }

    /// The extra time that a client may take for a TRQ of this port, because its target does not answer or refuses.
    pub(super) fn dials(&self, port: &[u8]) -> Duration {
        let Scene::Client(scene) = &self.scene else {
            return Duration::ZERO;
        };
        let mut mapped = scene.mappings.iter();
        let mapped = mapped.find(|(one, _, _)| one.to_string().as_bytes() == port);
        let unreachable = mapped.is_some_and(|(_, target, _)| {
            let names = ["dead_target", "silent_target"];
            let target = target.to_string().into_bytes();
            names
                .iter()
                .any(|name| self.vars.get(*name) == Some(&target))
        });
        match unreachable {
            true => self.tempo.dial(),
            false => Duration::ZERO,
        }
    }
}

/// The lines on which a control connection is accepted, or may be: the first message expected on it is not TRS. If no
/// message is expected on it, it is a data connection if TRQ was sent since the last connection.
pub(super) fn control_connections(case: &Case) -> BTreeSet<usize> {
    let mut steps: Vec<(usize, &Step)> = Vec::new();
    for (number, line) in numbered(case.first_line(), &case.body) {
        match line {
            Line::Step(step) => steps.push((number, step)),
            Line::Repeat(repeat) => {
                for (number, line) in numbered(number + 1, &repeat.body) {
                    if let Line::Step(step) = line {
                        steps.push((number, step));
                    }
                }
            }
            Line::Blank | Line::Comment(_) => {}
        }
    }
    let mut found = BTreeSet::new();
    // Whether TRQ was sent since the last connection.
    let mut requested = false;
    for (index, (number, step)) in steps.iter().enumerate() {
        let accepts = matches!(
            step.action,
            Action::Accept(None) | Action::AcceptAs(_) | Action::Distrusts
        );
        let next = steps[index + 1..].iter().map(|(_, next)| next);
        let next = next.filter(|next| next.actor == step.actor);
        let answers = next.clone().find_map(|next| begins(&next.action));
        let data = answers.unwrap_or(requested);
        if accepts && !data {
            found.insert(*number);
        }
        match &step.action {
            Action::Send(message) => requested |= message.is(&TRQ),
            _ if accepts => requested = false,
            _ => {}
        }
    }
    found
}

/// Whether a connection is a data connection, by the first expectation on it; `None` if the action tells nothing.
fn begins(action: &Action) -> Option<bool> {
    match action {
        Action::Expect(Expectation::Message(message)) => Some(message.is(&TRS)),
        Action::Expect(Expectation::Raw(raw)) => match raw.pieces().first() {
            Some(netroxy_specification::notation::ast::Piece::Bytes(bytes)) => {
                Some(TRS.begins_bytes(bytes))
            }
            _ => Some(false),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use netroxy_specification::catalog;

    use super::*;

    #[test]
    fn a_connection_is_a_data_connection_if_trs_is_expected_first() {
        let entries = catalog::embedded().unwrap();
        let lines = |id: &str| control_connections(&entries[id].case).len();
        // One login, and a tunnel; a login, then another, and its tunnel.
        assert_eq!(lines("client/tunnel/echo"), 1);
        assert_eq!(lines("client/life/reconnect"), 2);
        assert_eq!(lines("client/life/closed-four-times"), 2);
        assert_eq!(lines("client/tunnel/dropped-at-once"), 1);
        for entry in entries.values() {
            for line in control_connections(&entry.case) {
                let text = entry.text.lines().nth(line - 1).unwrap();
                let actor = text.split_whitespace().next().unwrap();
                assert!(!actor.starts_with("tun"), "{}:{line}: {text}", entry.file);
            }
        }
    }
}
