//! The crate agrees with the examples of messages and with the state tables of the specification.

use std::collections::BTreeSet;
use std::fmt::Debug;

use netroxy_proto::{ClientMessage, Decoder, Incoming, Limits, Row, ServerMessage, client, server};

use crate::revision::specified;

const SPEC: &str = specified!("netroxy.md");

#[test]
fn every_example_of_a_message_is_one_message_with_these_bytes() {
    let mut words = BTreeSet::new();
    for (line, kind, bytes) in fences() {
        let shown = format!("netroxy.md:{line}: ```{kind}");
        let again = match kind {
            "message client" => again(bytes, ClientMessage::encode),
            "message server" => again(bytes, ServerMessage::encode),
            _ => continue,
        };
        assert_eq!(again.as_deref(), Ok(bytes), "{shown}");
        words.insert(bytes.lines().next().unwrap());
    }
    let all = ["ARS", "ATH", "MAP", "MRS", "SRQ", "SRS", "TRQ", "TRS"];
    assert_eq!(words.into_iter().collect::<Vec<_>>(), all);
}

#[test]
fn every_invalid_example_is_rejected() {
    let mut checked = BTreeSet::new();
    for (line, kind, bytes) in fences() {
        let refused = match kind {
            "message client invalid" => decode::<ClientMessage>(bytes).is_err(),
            "message server invalid" => decode::<ServerMessage>(bytes).is_err(),
            _ => continue,
        };
        assert!(
            refused,
            "netroxy.md:{line}: the decoder accepts this message"
        );
        checked.insert(kind);
    }
    assert_eq!(checked.len(), 2, "{checked:?}");
}

#[test]
fn every_example_has_a_kind_that_is_checked() {
    for (line, kind, _) in fences() {
        let known = kind.is_empty()
            || kind.starts_with("case ")
            || ["message client", "message server"]
                .iter()
                .any(|known| kind.trim_end_matches(" invalid") == *known);
        assert!(known, "netroxy.md:{line}: no test checks ```{kind}");
    }
}

#[test]
fn the_server_has_the_table_of_the_specification() {
    let section = Section::of("A connection to a server");
    section.names_variants_of(include_str!("../../src/server/table.rs"));
    section.has_steps(server::table::TABLE);
}

/// The text has one event for them, and names their rules below its table.
#[test]
fn each_bad_trs_follows_a_rule_that_the_text_names() {
    let section = Section::of("A connection to a server");
    let text = section.lines.join(" ");
    let (_, rules) = text.split_once("TrsBad stands for five rules: ").unwrap();
    let (rules, _) = rules.split_once(". ").unwrap();
    let bad = server::table::TABLE.iter().filter(|row| {
        row.state == server::table::State::Fresh
            && matches!(row.event, server::table::Event::TrsBad(_))
    });
    let used: BTreeSet<&str> = bad.map(|row| row.rule).collect();
    assert_eq!(used.len(), 3, "{used:?}");
    for rule in used {
        assert!(rules.contains(&format!("`{rule}`")), "{rule} in {rules}");
    }
}

#[test]
fn the_client_has_the_table_of_the_specification() {
    let section = Section::of("A client");
    section.names_variants_of(include_str!("../../src/client/table.rs"));
    section.has_steps(client::table::TABLE);
}

/// The source has no such table, so the text is checked alone.
#[test]
fn the_table_of_a_tunnel_is_consistent() {
    let section = Section::of("A tunnel");
    let steps = section.table("state | event | action | next state | rule");
    let column = |n: usize| -> BTreeSet<&str> { steps.iter().map(|row| row[n]).collect() };
    let names = |head: &str| -> BTreeSet<&str> {
        let rows = section.table(&format!("{head} | meaning"));
        rows.iter().map(|row| row[0]).collect()
    };

    assert_eq!(column(1), names("event"));
    assert_eq!(column(2), names("action"));
    let mut reached = column(3);
    reached.insert("Absent");
    assert_eq!(reached, names("state"));
    assert!(!column(0).contains("Closed"), "an event follows the end");

    let questions: BTreeSet<(&str, &str)> = steps.iter().map(|row| (row[0], row[1])).collect();
    assert_eq!(
        questions.len(),
        steps.len(),
        "a step stands twice in the table"
    );
    for row in &steps {
        let id = row[4].trim_matches('`');
        assert!(SPEC.contains(&format!("r[{id}]")), "no such rule: {row:?}");
    }
}

/// Line, kind and text of each fenced block, its last LF included.
fn fences() -> Vec<(usize, &'static str, &'static str)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, &str, usize)> = None;
    let mut at = 0;
    for (line, number) in SPEC.split_inclusive('\n').zip(1..) {
        let after = at + line.len();
        if let Some(kind) = line.strip_prefix("```") {
            open = match open {
                None => Some((number, kind.trim_end(), after)),
                Some((number, kind, from)) => {
                    found.push((number, kind, &SPEC[from..at]));
                    None
                }
            };
        }
        at = after;
    }
    assert_eq!(open, None, "a fence is not closed");
    found
}

/// The one message that `bytes` are.
fn decode<M: Incoming>(bytes: &str) -> Result<M, String> {
    let mut decoder = Decoder::<M>::new(Limits::default());
    decoder.push(bytes.as_bytes());
    let mut next = || decoder.next_message().map_err(|error| error.to_string());
    let message = next()?.ok_or("the message is not complete")?;
    if next()?.is_some() || !decoder.into_tail().is_empty() {
        return Err("this is more than one message".to_owned());
    }
    Ok(message)
}

/// `bytes` decoded and encoded.
fn again<M: Incoming>(bytes: &str, encode: fn(&M, &mut Vec<u8>)) -> Result<String, String> {
    let mut out = Vec::new();
    encode(&decode(bytes)?, &mut out);
    String::from_utf8(out).map_err(|error| error.to_string())
}

/// A section with state tables.
struct Section {
    title: &'static str,
    lines: Vec<&'static str>,
}

impl Section {
    fn of(title: &'static str) -> Self {
        let mut lines = SPEC.lines().skip_while(|line| {
            let heading = line.strip_prefix("### ");
            heading
                .and_then(|rest| rest.split_once(". "))
                .is_none_or(|(_, rest)| rest != title)
        });
        assert!(lines.next().is_some(), "no section is called {title}");
        Self {
            title,
            lines: lines.take_while(|line| !line.starts_with('#')).collect(),
        }
    }

    /// The cells of the table with this head, row by row.
    fn table(&self, head: &str) -> Vec<Vec<&'static str>> {
        let head = format!("| {head} |");
        let from = self.lines.iter().position(|line| **line == head);
        let from = from.unwrap_or_else(|| panic!("{} has no table {head}", self.title));
        let rows = self.lines.iter().skip(from + 2);
        rows.take_while(|line| line.starts_with('|'))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect()
    }

    /// The names of states, events and actions are those of the enums, in their order.
    fn names_variants_of(&self, source: &str) {
        for (name, head) in [("State", "state"), ("Event", "event"), ("Action", "action")] {
            let rows = self.table(&format!("{head} | meaning"));
            let described: Vec<&str> = rows.iter().map(|row| row[0]).collect();
            assert_eq!(described, variants(source, name), "{}: {name}", self.title);
        }
    }

    /// Both tables have the same rows in the same order. Rows of the source that differ only in the part of
    /// an event in parentheses are one row of the text, with the rule of the first.
    fn has_steps<S: Debug, E: Debug, A: Debug, R>(&self, table: &[Row<S, E, A, R>]) {
        let steps = self.table("state | event | action | next state | rule");
        let said: Vec<String> = steps.iter().map(|row| row.join(" ")).collect();
        let mut done: Vec<(String, String)> = table
            .iter()
            .map(|row| {
                let Row {
                    state,
                    event,
                    action,
                    next,
                    rule,
                    reason: _,
                } = row;
                let (event, action) = (word(event), word(action));
                let step = format!("{state:?} {event} {action} {next:?}");
                (step, rule.to_string())
            })
            .collect();
        done.dedup_by(|(next, _), (step, _)| next == step);
        let done: Vec<String> = done
            .iter()
            .map(|(step, rule)| format!("{step} `{rule}`"))
            .collect();
        assert_eq!(
            said, done,
            "{}: left is the text, right the source",
            self.title
        );
    }
}

/// The name of an event or an action, without the part in parentheses.
fn word(name: &impl Debug) -> String {
    let name = format!("{name:?}");
    name.split('(').next().unwrap().to_owned()
}

/// The variants of an enum in `source`, without what they hold.
fn variants<'a>(source: &'a str, name: &str) -> Vec<&'a str> {
    let (_, list) = source.split_once(&format!("pub enum {name} {{")).unwrap();
    let (list, _) = list.split_once("\n}").unwrap();
    list.lines()
        .filter_map(|line| line.trim().strip_suffix(','))
        .filter(|line| !line.starts_with('/'))
        .map(|line| line.split('(').next().unwrap())
        .collect()
}
