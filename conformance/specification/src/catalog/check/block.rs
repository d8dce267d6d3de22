//! `repeat` blocks, and the connections that stay open after a turn.

use std::collections::BTreeSet;

use super::scope::{Found, Scope, Wrong, found};
use crate::catalog::place::Spot;
use crate::notation::ast::{Action, Line, Repeat, Step};

impl Scope {
    /// `next` is the line of `repeat`.
    pub(super) fn block(
        &mut self,
        repeat: &Repeat,
        next: usize,
        marked: &mut Vec<(usize, String)>,
    ) -> Result<(), Wrong> {
        let outside = self.actors.clone();
        let lasting = self
            .kept
            .iter()
            .filter(|(_, turns)| **turns >= repeat.count);
        let lasting: Vec<String> = lasting.map(|(name, _)| name.clone()).collect();
        self.actors.extend(lasting.iter().cloned());
        self.vars.extend(OF_TURN.map(str::to_owned));
        let mut inner = next + 1;
        let mut opened = Vec::new();
        for line in &repeat.body {
            if let Line::Step(step) = line {
                let checked = self.opens(repeat, step, &outside);
                let checked = checked.and_then(|opens| {
                    opened.extend(opens);
                    self.step(step, inner, marked)
                });
                checked.map_err(|found| found.on(inner))?;
            }
            inner += line.height();
        }
        for name in OF_TURN {
            self.vars.remove(name);
        }
        let open = |name: &String| self.actors.contains(name);
        let closed: Vec<String> = lasting.into_iter().filter(|name| !open(name)).collect();
        if repeat.kept {
            let stays = opened.into_iter().filter(open).collect::<Vec<_>>();
            let stays = stays.into_iter().map(|name| (name, repeat.count));
            self.kept.extend(stays);
        }
        for name in closed {
            self.kept.remove(&name);
        }
        self.actors.retain(|name| outside.contains(name));
        Ok(())
    }

    /// The connection that a step of a block opens. A name must not mean two connections.
    fn opens(
        &self,
        repeat: &Repeat,
        step: &Step,
        outside: &BTreeSet<String>,
    ) -> Result<Option<String>, Found> {
        let opens = matches!(
            step.action,
            Action::Connect(_) | Action::Accept(_) | Action::AcceptAs(_)
        );
        let name = &step.actor;
        if !opens {
            return Ok(None);
        }
        let turn_of = |turn: &str, name: &str| {
            turn.strip_prefix(name)
                .is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit()))
        };
        let taken = self.kept.keys().any(|kept| turn_of(name, kept));
        if taken || repeat.kept && outside.iter().any(|other| turn_of(other, name)) {
            let message = format!("`{name}` is open already, outside of this block");
            return found(Spot::Word(0), message);
        }
        if repeat.kept && name.ends_with(|last: char| last.is_ascii_digit()) {
            let message = format!(
                "`{name}` is to be kept, so the number of its turn is added to its name: end the name in a letter"
            );
            return found(Spot::Word(0), message);
        }
        Ok(Some(name.clone()))
    }

    /// Why a step cannot use a connection of this name.
    pub(super) fn no_connection(&self, name: &str) -> String {
        match self.kept.get(name) {
            Some(turns) => format!(
                "`{name}` belongs to the turns of a block: it needs a `repeat` of {turns} turns or fewer"
            ),
            None => format!(
                "`{name}` is no connection yet, or closed: it needs `connect` or `accept` first"
            ),
        }
    }
}

/// Variables inside a block only: a remote port of the turn, and the number of the turn.
const OF_TURN: [&str; 2] = ["nth_port", "nth"];

#[cfg(test)]
mod tests {
    use super::super::check;
    use crate::notation::parse;

    fn complaint(body: &str) -> Option<(usize, String)> {
        let head = "title x\nrole server\nrules a.b\n\n";
        let case = parse(&format!("{head}{body}c refused $port [a.b]\n")).unwrap();
        check(&case).err().map(|wrong| (wrong.line, wrong.message))
    }

    #[test]
    fn a_kept_connection_can_be_used_in_the_same_turn_of_a_later_block() {
        let kept = "repeat 3 kept\n  user connect $nth_port\n\n";
        let used = |turns: u32| format!("{kept}repeat {turns}\n  user >> \"$nth\"\n\n");
        assert_eq!(complaint(&used(3)), None);
        assert_eq!(complaint(&used(2)), None);
        let (line, message) = complaint(&used(4)).unwrap();
        assert_eq!(line, 9);
        assert!(message.contains("3 turns or fewer"), "{message}");
    }

    #[test]
    fn a_name_means_one_connection() {
        let kept = "repeat 3 kept\n  user connect $port\n\n";
        for (body, line, told) in [
            (format!("{kept}user > close\n"), 8, "belongs to the turns"),
            (format!("user connect $port\n{kept}"), 7, "open already"),
            (format!("{kept}{kept}"), 9, "open already"),
            (
                format!("{kept}repeat 3\n  user > close\n\nrepeat 3\n  user > close\n\n"),
                12,
                "no connection yet",
            ),
            (
                "repeat 2 kept\n  u1 connect $port\n\n".into(),
                6,
                "end the name in a letter",
            ),
        ] {
            let (at, message) = complaint(&body).unwrap();
            assert!(at == line && message.contains(told), "{at}: {message}");
        }
        assert_eq!(complaint("repeat 2\n  u1 connect $port\n\n"), None);
    }
}
