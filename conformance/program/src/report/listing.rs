//! The output of commands that list, explain, check or write files.

mod explain;

use std::sync::Arc;

pub(crate) use explain::explain;
use netroxy_judge::run::{Found, Ready};
use netroxy_judge::sut::Subject;
use netroxy_specification::catalog::Entry;
use netroxy_specification::notation::ast::{Role, Transport};
use netroxy_specification::rules::Rule;
use serde_json::{Value, json};

use super::cite::citing;
use super::text::counted;
use crate::baseline::List;
use crate::output::out;

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
        out(&format!("{}\n", rule_line(rule, entries, width)));
    }
    0
}

/// The result of `sut check`.
pub(crate) fn ready(subject: &Subject, ready: &Ready, unclaimed: &[Transport]) {
    let (role, name, after) = (subject.role(), subject.name(), ready.after.as_millis());
    out(&format!("{role} {name} is ready in {after} ms\n"));
    for (transport, trips) in &ready.trips {
        out(&format!("login over {transport}: yes, {trips}\n"));
    }
    for transport in unclaimed {
        out(&format!(
            "note: a login over {transport} works too, but the manifest does not name {transport}\n"
        ));
    }
    if subject.role() == Role::Server {
        out("timeout: ARS announces what is configured\n");
    }
}

/// The results of the other checks of `sut check`.
pub(crate) fn checks(found: &[Found]) {
    for one in found {
        out(&match one {
            Found::Good(text) => format!("{text}\n"),
            Found::Warning(text) => format!("warning: {text}\n"),
            Found::Fault(text) => format!("fault: {text}\n"),
        });
    }
}

/// The built-in manifests or baselines, one a line.
pub(crate) fn built_in(files: &[(&str, &str)], as_json: bool) -> u8 {
    let parsed = |text| serde_json::from_str::<Value>(text).unwrap_or_default();
    if as_json {
        return print_json(files.iter().map(|(_, text)| parsed(text)).collect());
    }
    for (name, text) in files {
        let value = parsed(text);
        let field = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let entries = value["entries"].as_array();
        let what = match entries {
            Some(entries) => format!("profile {}, {} entries", field("profile"), entries.len()),
            None => variables(&value),
        };
        out(&format!("{name:16}  {:6}  {what}\n", field("role")));
    }
    0
}

/// The program that a manifest starts.
fn variables(manifest: &Value) -> String {
    match manifest["launch"]["command"][0].as_str() {
        Some(program) => format!("starts {program}"),
        None => "embedded".to_owned(),
    }
}

/// The result of `baseline write`.
pub(crate) fn baseline_written(file: &str, list: &List) -> u8 {
    let entries = list.entries.len();
    let entries = match entries {
        1 => "1 entry".to_owned(),
        _ => format!("{entries} entries"),
    };
    out(&format!("wrote {file}: {entries}\n"));
    for entry in list.without_reason() {
        out(&format!("needs a `why`: {}\n", entry.run));
    }
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

fn case_json(entry: &Entry) -> Value {
    let over: Vec<String> = entry.transports().iter().map(ToString::to_string).collect();
    json!({
        "id": entry.id, "title": entry.case.title.value, "role": entry.case.role.value.to_string(),
        "rules": entry.case.rules.value, "twin": entry.case.twin.as_ref().map(|twin| &twin.value),
        "over": over, "file": entry.file,
    })
}

fn rule_line(rule: &Rule, entries: &[Arc<Entry>], width: usize) -> String {
    let judged = match &rule.unjudged {
        Some(why) => format!("unjudged: {why}"),
        None => counted(citing(&rule.id, entries).count(), "case"),
    };
    format!(
        "{:width$}  {:6} {:6}  {:9}  {judged}",
        rule.id,
        rule.level.to_string(),
        rule.subject,
        rule.origin.to_string()
    )
}

/// An entry of `rules.json`, with its line in the specification and the cases that judge it.
fn rule_json(rule: &Rule, entries: &[Arc<Entry>]) -> Value {
    let cases: Vec<&str> = citing(&rule.id, entries)
        .map(|entry| entry.id.as_str())
        .collect();
    let mut value = json!(rule);
    value["line"] = json!(rule.line);
    value["cases"] = json!(cases);
    value
}

fn print_json(values: Vec<Value>) -> u8 {
    out(&format!("{:#}\n", Value::Array(values)));
    0
}
