//! Lists and explanations.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::text::out;
use crate::catalog::Entry;
use crate::rules::{self, Rule};
use crate::sut::Subject;

/// Every case, one a line.
pub(crate) fn cases(entries: &[Arc<Entry>], as_json: bool) -> u8 {
    if as_json {
        return print_json(entries.iter().map(|entry| case_json(entry)).collect());
    }
    let width = entries
        .iter()
        .map(|entry| entry.id.len())
        .max()
        .unwrap_or(0);
    for entry in entries {
        out(&format!(
            "{:width$}  {}\n",
            entry.id, entry.case.title.value
        ));
    }
    0
}

/// Every rule, one a line.
pub(crate) fn rules(rules: &[Rule], entries: &[Arc<Entry>], as_json: bool) -> u8 {
    if as_json {
        return print_json(rules.iter().map(|rule| rule_json(rule, entries)).collect());
    }
    let width = rules.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
    for rule in rules {
        let cases = citing(&rule.id, entries).count();
        let Rule {
            id,
            level,
            subject,
            origin,
            ..
        } = rule;
        out(&format!(
            "{id:width$}  {:6} {subject:6}  {:9}  {cases} cases\n",
            level.to_string(),
            origin.to_string()
        ));
    }
    0
}

/// A rule with its cases, or a case with its rules; `None` when the name is unknown.
pub(crate) fn explain(id: &str, rules: &[Rule], entries: &[Arc<Entry>]) -> Option<u8> {
    let mut text = String::new();
    if let Some(rule) = rules.iter().find(|rule| rule.id == id) {
        let profile = if rule.is_wire() { "wire" } else { "hardened" };
        let _ = writeln!(
            text,
            "{} {}  {}:{}\n",
            rule.id,
            rule.level,
            rules::FILE,
            rule.line
        );
        let _ = writeln!(text, "{}\n", rule.text);
        let _ = writeln!(
            text,
            "subject {}  origin {}  profile {profile}",
            rule.subject, rule.origin
        );
        for entry in citing(id, entries) {
            let _ = writeln!(text, "case {}  {}", entry.id, entry.case.title.value);
        }
        out(&text);
        return Some(0);
    }
    let entry = entries.iter().find(|entry| entry.id == id)?;
    let _ = writeln!(text, "{}  {}\n\n{}", entry.id, entry.file, entry.text);
    for rule in rules
        .iter()
        .filter(|rule| entry.case.rules.value.contains(&rule.id))
    {
        let _ = writeln!(
            text,
            "{} {}  {}:{}\n    {}",
            rule.id,
            rule.level,
            rules::FILE,
            rule.line,
            rule.text
        );
    }
    out(&text);
    Some(0)
}

/// The result of `sut check`.
pub(crate) fn ready(subject: &Subject, took: Duration) -> u8 {
    out(&format!(
        "{} {} is ready: a login succeeded after {} ms\n",
        subject.role(),
        subject.name(),
        took.as_millis()
    ));
    0
}

/// The result of `format`.
pub(crate) fn formatted(changed: &[String], check: bool, failure: u8) -> u8 {
    let verb = if check {
        "is not canonical"
    } else {
        "rewritten"
    };
    for file in changed {
        out(&format!("{file}: {verb}\n"));
    }
    if check && !changed.is_empty() {
        failure
    } else {
        0
    }
}

fn citing<'a>(id: &'a str, entries: &'a [Arc<Entry>]) -> impl Iterator<Item = &'a Arc<Entry>> {
    entries
        .iter()
        .filter(move |entry| entry.case.rules.value.iter().any(|rule| rule == id))
}

fn case_json(entry: &Entry) -> Value {
    let over: Vec<String> = entry.transports().iter().map(ToString::to_string).collect();
    json!({
        "id": entry.id, "title": entry.case.title.value, "role": entry.case.role.value.to_string(),
        "rules": entry.case.rules.value, "twin": entry.case.twin.as_ref().map(|twin| &twin.value),
        "over": over, "file": entry.file,
    })
}

fn rule_json(rule: &Rule, entries: &[Arc<Entry>]) -> Value {
    let cases: Vec<&str> = citing(&rule.id, entries)
        .map(|entry| entry.id.as_str())
        .collect();
    json!({
        "id": rule.id, "level": rule.level.to_string(), "subject": rule.subject, "origin": rule.origin.to_string(),
        "profile": if rule.is_wire() { "wire" } else { "hardened" }, "text": rule.text, "line": rule.line,
        "cases": cases,
    })
}

fn print_json(values: Vec<Value>) -> u8 {
    out(&format!("{:#}\n", Value::Array(values)));
    0
}
