//! The state tables of the specification, read from its normative text.
//!
//! A test of `netroxy-proto` compares its tables with the same text.

use crate::rules::TEXT;

/// A row of a state table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The state, such as `Fresh`.
    pub state: &'static str,
    /// The event, such as `AthGood`.
    pub event: &'static str,
    /// The action of the peer, such as `Accept`.
    pub action: &'static str,
    /// The next state.
    pub next: &'static str,
    /// The rule that requires it.
    pub rule: &'static str,
}

/// A state table, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table(Vec<Step>);

impl Table {
    /// Of a connection to a server.
    pub fn server() -> Self {
        Self::of("A connection to a server")
    }

    /// Of a client.
    pub fn client() -> Self {
        Self::of("A client")
    }

    /// Of a tunnel, for both peers.
    pub fn tunnel() -> Self {
        Self::of("A tunnel")
    }

    /// The row of `state` and `event`; `None` if the event cannot happen there or has no effect.
    pub fn step(&self, state: &str, event: &str) -> Option<Step> {
        let mut steps = self.steps();
        steps.find(|step| step.state == state && step.event == event)
    }

    /// All rows.
    pub fn steps(&self) -> impl Iterator<Item = Step> {
        self.0.iter().copied()
    }

    fn of(title: &str) -> Self {
        let ends = |line: &str| {
            line.strip_prefix("### ")
                .is_some_and(|rest| rest.ends_with(title))
        };
        let section = TEXT.lines().skip_while(|line| !ends(line)).skip(1);
        let table = section
            .take_while(|line| !line.starts_with('#'))
            .skip_while(|line| *line != HEAD);
        let rows = table.skip(2).take_while(|line| line.starts_with('|'));
        Self(rows.filter_map(step).collect())
    }
}

const HEAD: &str = "| state | event | action | next state | rule |";

fn step(row: &'static str) -> Option<Step> {
    let mut cells = row.trim_matches('|').split('|').map(str::trim);
    Some(Step {
        state: cells.next()?,
        event: cells.next()?,
        action: cells.next()?,
        next: cells.next()?,
        rule: cells.next()?.trim_matches('`'),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules;

    #[test]
    fn every_row_of_the_text_is_a_step() {
        let [server, client, tunnel] = [Table::server(), Table::client(), Table::tunnel()];
        let steps = server.steps().count() + client.steps().count() + tunnel.steps().count();
        let heads = TEXT.lines().filter(|line| *line == HEAD).count();
        // Names of states begin with a capital, names of fields do not.
        let is_step = |line: &&str| {
            let capital = line.chars().nth(2).is_some_and(char::is_uppercase);
            capital && line.matches('|').count() == 6 && line.ends_with("` |")
        };
        assert_eq!((heads, steps), (3, TEXT.lines().filter(is_step).count()));
        let joined = server.step("Fresh", "TrsGood").unwrap();
        assert_eq!((joined.action, joined.next), ("Join", "Data"));
        assert_eq!(client.step("Up", "RetryDue"), None);
    }

    #[test]
    fn every_step_follows_a_rule() {
        let rules = rules::embedded().unwrap();
        for table in [Table::server(), Table::client(), Table::tunnel()] {
            for step in table.steps() {
                assert!(rules.iter().any(|rule| rule.id == step.rule), "{step:?}");
            }
        }
    }
}
