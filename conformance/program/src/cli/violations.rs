//! The violations that a passive judge has found: each kind is shown a few times, further ones are counted.

use std::collections::{BTreeMap, BTreeSet};

use netroxy_judge::monitor::{Monitor, Violation};
use netroxy_specification::notation::ast::Side;
use netroxy_specification::rules::Rule;

use crate::report::Totals;

/// Counts violations, and shows new ones.
pub(super) struct Violations<'a> {
    /// The command, such as `tap`.
    name: &'static str,
    rules: &'a [Rule],
    /// The number of violations by the server and by the client.
    found: [u64; 2],
    kinds: BTreeMap<(&'static str, bool), Kind>,
    /// The connections with a violation, at most [`BLAMED`].
    blamed: BTreeSet<String>,
}

/// The violations of one rule by one side.
#[derive(Debug, Default)]
struct Kind {
    /// The connections of which one was shown, at most [`SHOWN`].
    connections: BTreeSet<String>,
    /// How many were not shown.
    hidden: u64,
    /// The last one that was not shown.
    last: Option<Violation>,
}

/// How many violations of one rule by one side are shown, each on another connection.
const SHOWN: usize = 10;

/// How many connections with a violation are remembered, because a tap may run for months.
const BLAMED: usize = 1 << 16;

impl<'a> Violations<'a> {
    /// Without any violation yet.
    pub(super) fn new(name: &'static str, rules: &'a [Rule]) -> Self {
        Self {
            name,
            rules,
            found: [0; 2],
            kinds: BTreeMap::new(),
            blamed: BTreeSet::new(),
        }
    }

    /// Counts a violation. Returns its text, unless it is a repetition.
    pub(super) fn note(&mut self, violation: Violation) -> Option<String> {
        let client = violation.side == Side::Client;
        self.found[usize::from(client)] += 1;
        if self.blamed.len() < BLAMED {
            self.blamed.insert(violation.connection.clone());
        }
        let kind = self.kinds.entry((violation.rule, client)).or_default();
        let new =
            kind.connections.len() < SHOWN && kind.connections.insert(violation.connection.clone());
        if new {
            return Some(shown(&violation, self.rules));
        }
        kind.hidden += 1;
        kind.last = Some(violation);
        None
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.found == [0; 2]
    }

    /// The last lines: the violations that were not shown, and how many connections, messages and violations there were.
    pub(super) fn summary(&self, monitor: &Monitor) -> String {
        let name = self.name;
        let mut text = String::new();
        for ((rule, _), kind) in &self.kinds {
            let Some(last) = &kind.last else { continue };
            text.push_str(&format!(
                "{name}: {} more of {} {rule}, the last at {:.3} on {}: {}\n",
                kind.hidden,
                last.side,
                last.at.as_secs_f64(),
                last.connection,
                last.seen
            ));
        }
        if monitor.unread() > 0 {
            let count = monitor.unread();
            text.push_str(&format!(
                "{name}: {count} of the connections were TLS and are not judged\n"
            ));
        }
        let [server, client] = self.found;
        text.push_str(&format!(
            "{name}: {}, {}, {} (server {server}, client {client})\n",
            counted(monitor.opened(), "connection"),
            counted(monitor.messages(), "message"),
            counted(server + client, "violation"),
        ));
        text
    }

    /// The connections without a violation, with one, and not readable.
    pub(super) fn totals(&self, monitor: &Monitor) -> Totals {
        let opened = usize::try_from(monitor.opened()).unwrap_or(usize::MAX);
        let (unread, blamed) = (monitor.unread(), self.blamed.len());
        Totals {
            passed: opened.saturating_sub(unread + blamed),
            failed: blamed,
            skipped: unread,
        }
    }
}

/// Two lines: what was seen, and the rule.
fn shown(violation: &Violation, rules: &[Rule]) -> String {
    let Violation {
        at,
        connection,
        side,
        rule,
        seen,
    } = violation;
    let found = rules.iter().find(|one| one.id == *rule);
    let (level, says) = match found {
        Some(rule) => (
            format!(" ({})", rule.level),
            format!(
                "{}\n           {}:{}",
                rule.text,
                netroxy_specification::rules::FILE,
                rule.line
            ),
        ),
        // Does not happen: a test checks that every violation names a rule of the specification.
        None => (String::new(), netroxy_specification::rules::FILE.to_owned()),
    };
    format!(
        "{:>9.3}  {connection}: VIOLATION {side} {rule}{level}: {seen}\n           {says}\n",
        at.as_secs_f64()
    )
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use netroxy_judge::monitor::Limits;

    use super::*;

    #[test]
    fn a_repeated_violation_is_counted_and_shown_once_for_each_connection() {
        let mut violations = Violations::new("tap", &[]);
        let violation = |connection: usize, at| Violation {
            at: Duration::from_secs(at),
            connection: format!("c{connection}"),
            side: Side::Server,
            rule: "keep.srs",
            seen: "SRS answers no SRQ".to_owned(),
        };
        assert!(violations.note(violation(1, 1)).is_some());
        assert!(violations.note(violation(1, 2)).is_none());
        let shown = (2..100).filter_map(|one| violations.note(violation(one, 3)));
        assert_eq!(shown.count(), SHOWN - 1);
        assert!(violations.note(violation(7, 4)).is_none());
        let monitor = Monitor::new(Limits::scaled(1.0), None);
        assert_eq!(
            violations.summary(&monitor),
            "tap: 91 more of server keep.srs, the last at 4.000 on c7: SRS answers no SRQ\n\
             tap: 0 connections, 0 messages, 101 violations (server 101, client 0)\n"
        );
        assert_eq!(violations.totals(&monitor).failed, 99);
    }
}
