//! One rule, or one case, with all that is known about it.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{citing, out};
use crate::catalog::Entry;
use crate::rules::{self, Rule};

/// A rule with its cases, or a case with its rules; `None` when the name is unknown.
pub(crate) fn explain(id: &str, rules: &[Rule], entries: &[Arc<Entry>]) -> Option<u8> {
    let text = match rules.iter().find(|rule| rule.id == id) {
        Some(rule) => of_rule(rule, entries),
        None => of_case(entries.iter().find(|entry| entry.id == id)?, rules),
    };
    out(&text);
    Some(0)
}

fn of_rule(rule: &Rule, entries: &[Arc<Entry>]) -> String {
    let mut text = format!("{}\n\n{}\n\n", place(rule), rule.text);
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "subject {}  origin {}  since {}  profile {}\nsection {}",
        rule.subject, rule.origin, rule.since, rule.profile, rule.section
    );
    if let Some(why) = &rule.rationale {
        let _ = writeln!(text, "why {why}");
    }
    if let Some(why) = &rule.unjudged {
        let _ = writeln!(text, "not judged: {why}");
    }
    for entry in citing(&rule.id, entries) {
        let _ = writeln!(text, "case {}  {}", entry.id, entry.case.title.value);
    }
    for (program, instead) in originals(&rule.id) {
        let _ = writeln!(text, "the original {program} {instead}");
    }
    text
}

fn of_case(entry: &Entry, rules: &[Rule]) -> String {
    let mut text = format!("{}  {}\n\n{}\n", entry.id, entry.file, entry.text);
    for rule in rules
        .iter()
        .filter(|rule| entry.case.rules.value.contains(&rule.id))
    {
        let _ = writeln!(text, "{}\n    {}", place(rule), rule.text);
    }
    text
}

fn place(rule: &Rule) -> String {
    format!("{} {}  {}:{}", rule.id, rule.level, rules::FILE, rule.line)
}

/// The original programs speak v0.3, whichever revision is judged.
const ORIGINALS: &str = include_str!("../../../../spec/v0.3/originals.md");

/// What an original program does instead of following a rule: `server` or `client`, and the last
/// cell of the rule's row in the page about them.
fn originals(id: &str) -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    let mut program = "server";
    for line in ORIGINALS.lines() {
        match line {
            "## Server" => program = "server",
            "## Client" => program = "client",
            row => {
                let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
                let [named, _cases, instead] = cells.as_slice() else {
                    continue;
                };
                if named.split([',', ' ']).any(|word| word == id) {
                    found.push((program, *instead));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::embedded;

    fn explained(id: &str) -> String {
        let rules = rules::embedded().unwrap();
        let entries: Vec<Arc<Entry>> = embedded().unwrap().into_values().map(Arc::new).collect();
        of_rule(rules.iter().find(|rule| rule.id == id).unwrap(), &entries)
    }

    #[test]
    fn a_rule_is_explained_with_its_section_reason_cases_and_the_originals() {
        let text = explained("tunnel.early-data");
        for part in [
            &format!("tunnel.early-data MUST  {}:", rules::FILE),
            "\nsubject server  origin clarified  since 0.3  profile wire\nsection ",
            "\nwhy ",
            "\ncase server/tunnel/early-data  ",
            "\nthe original server loses ",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert!(!text.contains("not judged"), "{text}");
    }

    #[test]
    fn who_cannot_be_judged_says_why() {
        let text = explained("tls.no-early-data");
        assert!(text.contains("\nnot judged: a peer that"), "{text}");
    }

    #[test]
    fn rows_with_several_rules_and_both_programs_are_found() {
        let programs = |id| -> Vec<&str> { originals(id).iter().map(|(who, _)| *who).collect() };
        assert_eq!(programs("tunnel.half-close"), ["server", "client"]);
        assert_eq!(programs("tunnel.waiting-closed"), ["server"]);
        assert!(programs("auth.ok-reply").is_empty());
    }
}
