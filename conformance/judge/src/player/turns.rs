//! `repeat kept`: the connections and values of each turn stay after the block.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use netroxy_specification::notation::ast::{
    Action, Alternative, Expectation, Field, Line, Repeat, Step,
};

/// The connections and values that blocks keep.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The names of connections as the case writes them.
    connections: BTreeSet<String>,
    /// The names of the values that the current block keeps.
    binding: BTreeSet<String>,
    /// The values of each turn.
    values: BTreeMap<u32, BTreeMap<String, Vec<u8>>>,
}

impl Turns {
    /// Collects the names that a block keeps.
    pub(super) fn begin_block(&mut self, block: &Repeat) {
        self.binding.clear();
        if !block.kept {
            return;
        }
        for line in &block.body {
            let Line::Step(step) = line else {
                continue;
            };
            match &step.action {
                Action::Connect(_) | Action::Accept(_) | Action::AcceptAs(_) => {
                    self.connections.insert(step.actor.clone());
                }
                Action::Expect(expectation) => self.binding.extend(binds(expectation)),
                Action::OneOf(alternatives) => {
                    let each = |one: &Alternative| binds(&one.expectation);
                    self.binding.extend(alternatives.iter().flat_map(each));
                }
                _ => {}
            }
        }
    }

    /// The step in this turn: the number of the turn is added to the name of a connection that is kept.
    pub(super) fn step<'a>(&self, step: &'a Step, turn: u32) -> Cow<'a, Step> {
        if !self.connections.contains(&step.actor) {
            return Cow::Borrowed(step);
        }
        Cow::Owned(Step {
            actor: format!("{}{turn}", step.actor),
            ..step.clone()
        })
    }

    /// Keeps the values of a turn.
    pub(super) fn keep(&mut self, turn: u32, vars: &BTreeMap<String, Vec<u8>>) {
        let found = |name: &String| vars.get(name).map(|value| (name.clone(), value.clone()));
        let values = self.values.entry(turn).or_default();
        values.extend(self.binding.iter().filter_map(found));
    }

    /// The values that turns of this number have kept.
    pub(super) fn remembered(&self, turn: u32) -> BTreeMap<String, Vec<u8>> {
        self.values.get(&turn).cloned().unwrap_or_default()
    }
}

/// The names of the values that an expectation binds.
fn binds(expectation: &Expectation) -> Vec<String> {
    let Expectation::Message(message) = expectation else {
        return Vec::new();
    };
    let bind = |field: &Field| match field {
        Field::Bind(name) => Some(name.clone()),
        Field::Text(_) | Field::Any => None,
    };
    message.fields.iter().filter_map(bind).collect()
}

/// Lines with their numbers; the alternatives of a step and the body of a block take lines too.
pub(super) fn numbered(first: usize, body: &[Line]) -> impl Iterator<Item = (usize, &Line)> {
    let mut next = first;
    body.iter().map(move |line| {
        let number = next;
        next += line.height();
        (number, line)
    })
}

#[cfg(test)]
mod tests {
    use netroxy_specification::notation::parse;

    use super::*;

    fn blocks(body: &str) -> Vec<Repeat> {
        let text = format!("title x\nrole server\nrules a.b\n\n{body}");
        let lines = parse(&text).unwrap().body.into_iter();
        let block = |line| match line {
            Line::Repeat(repeat) => Some(repeat),
            _ => None,
        };
        lines.filter_map(block).collect()
    }

    #[test]
    fn kept_connections_and_values_have_the_number_of_their_turn() {
        let blocks = blocks(
            "repeat 2 kept\n  c     connect server\n  c     < ARS true _ ?token\n  d     < TRQ ?other\n\n\
             repeat 2\n  e     connect server\n  c     < ARS true _ ?late\n",
        );
        let mut turns = Turns::default();
        turns.begin_block(&blocks[0]);
        let actors = |turns: &Turns, block: &Repeat| -> Vec<String> {
            let steps = block.body.iter().filter_map(|line| match line {
                Line::Step(step) => Some(turns.step(step, 2).actor.clone()),
                _ => None,
            });
            steps.collect()
        };
        assert_eq!(actors(&turns, &blocks[0]), ["c2", "c2", "d"]);
        let value = |text: &str| text.as_bytes().to_vec();
        for turn in [1, 2] {
            let seen = ["token", "other", "port"]
                .map(|name| (name.into(), value(&format!("{name}{turn}"))));
            turns.keep(turn, &seen.into());
        }
        turns.begin_block(&blocks[1]);
        assert_eq!(actors(&turns, &blocks[1]), ["e", "c2"]);
        let known = [
            ("other".into(), value("other1")),
            ("token".into(), value("token1")),
        ];
        assert_eq!(turns.remembered(1), known.into());
        assert_eq!(turns.remembered(3), BTreeMap::new());
    }
}
