//! Explains one rule or one case, or lists those of an area or a folder.

use std::fmt::Write as _;
use std::sync::Arc;

use netroxy_specification::catalog::Entry;
use netroxy_specification::rules::Rule;

use crate::output::out;
use crate::pattern::Pattern;
use crate::report::cite::{citing, place};
use crate::report::plain::{plain, width_or, wrapped};

/// Prints the rules and cases that a word selects: one rule or one case in detail, several as a list. `None` if it
/// selects nothing.
pub(crate) fn explain(id: &str, rules: &[Rule], entries: &[Arc<Entry>]) -> Option<u8> {
    out(&text(id, rules, entries, width_or(WIDTH))?);
    Some(0)
}

/// The width of lines without a terminal.
const WIDTH: usize = 80;

fn text(id: &str, rules: &[Rule], entries: &[Arc<Entry>], width: usize) -> Option<String> {
    let pattern = Pattern::new(id);
    let named: Vec<&Rule> = rules.iter().filter(|rule| pattern.rule(&rule.id)).collect();
    let cases = || entries.iter().filter(|entry| pattern.case(&entry.id));
    let cases: Vec<&Arc<Entry>> = cases().collect();
    Some(match (named.as_slice(), cases.as_slice()) {
        ([], []) => return None,
        ([rule], []) => of_rule(rule, entries, width),
        ([], [entry]) => of_case(entry, rules, width),
        (named, cases) => {
            let mut text = String::new();
            for rule in named {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{}\n{}\n", place(rule), sentence(rule, width));
            }
            let longest = cases.iter().map(|entry| entry.id.len()).max().unwrap_or(0);
            for entry in cases {
                let _ = writeln!(text, "{:longest$}  {}", entry.id, entry.case.title.value);
            }
            format!("{}\n", text.trim_end())
        }
    })
}

fn of_rule(rule: &Rule, entries: &[Arc<Entry>], width: usize) -> String {
    let mut text = format!(
        "{}\n\n{}\n\n",
        place(rule),
        wrapped(&plain(&rule.text), width, "")
    );
    let _ = writeln!(
        text,
        "subject {}  origin {}  since {}  profile {}\nsection {}",
        rule.subject,
        rule.origin,
        rule.since,
        rule.profile,
        plain(&rule.section)
    );
    let mut told = |what: &str, said: &str| {
        let said = format!("{what} {}", plain(said));
        let _ = writeln!(text, "{}", wrapped(&said, width, "    "));
    };
    if let Some(why) = &rule.rationale {
        told("why", why);
    }
    if let Some(why) = &rule.unjudged {
        told("not judged:", why);
    }
    for (program, instead) in originals(&rule.id) {
        told(&format!("the original {program}"), instead);
    }
    for entry in citing(&rule.id, entries) {
        let case = format!("case {}: {}", entry.id, entry.case.title.value);
        let _ = writeln!(text, "{}", wrapped(&case, width, "    "));
    }
    text
}

fn of_case(entry: &Entry, rules: &[Rule], width: usize) -> String {
    let mut text = format!("{}  {}\n\n{}\n", entry.id, entry.file, entry.text);
    for rule in rules
        .iter()
        .filter(|rule| entry.case.rules.value.contains(&rule.id))
    {
        let _ = writeln!(text, "{}\n{}", place(rule), sentence(rule, width));
    }
    text
}

/// The sentence of a rule, indented.
fn sentence(rule: &Rule, width: usize) -> String {
    let margin = "    ";
    let inner = width.saturating_sub(margin.len());
    let lines = wrapped(&plain(&rule.text), inner, "");
    format!("{margin}{}", lines.replace('\n', &format!("\n{margin}")))
}

/// The page about the original programs, which implement v0.3.
const ORIGINALS: &str = include_str!("../../../../../spec/v0.3/originals.md");

/// What the original programs do instead of following a rule: `server` or `client`, and the last cell of the rule's row
/// in the page about them.
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
    use netroxy_specification::catalog::embedded;
    use netroxy_specification::rules;

    use super::*;

    fn explained(id: &str) -> String {
        let rules = rules::embedded().unwrap();
        let entries: Vec<Arc<Entry>> = embedded().unwrap().into_values().map(Arc::new).collect();
        text(id, &rules, &entries, 80).unwrap()
    }

    #[test]
    fn a_rule_is_explained_with_its_section_reason_cases_and_the_originals() {
        let text = explained("tunnel.early-data");
        // Line breaks do not matter.
        let text = text.replace("\n    ", " ");
        for part in [
            &format!("tunnel.early-data MUST  {}:", rules::FILE),
            "\nsubject server  origin clarified  since 0.3  profile wire\nsection ",
            "\nwhy ",
            "\ncase server/tunnel/early-data: ",
            "\nthe original server loses ",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert!(!text.contains("not judged"), "{text}");
    }

    #[test]
    fn a_rule_that_is_not_judged_is_explained_with_the_reason() {
        let text = explained("tls.early-data-refused");
        assert!(text.contains("\nnot judged: a server that"), "{text}");
    }

    #[test]
    fn a_row_about_several_rules_or_both_programs_is_found() {
        let programs = |id| -> Vec<&str> { originals(id).iter().map(|(who, _)| *who).collect() };
        assert_eq!(programs("tunnel.half-close"), ["server", "client"]);
        assert_eq!(programs("tunnel.waiting-closed"), ["server"]);
        assert!(programs("auth.ok-reply").is_empty());
    }

    #[test]
    fn every_printed_name_is_explained_within_the_width() {
        let rules = rules::embedded().unwrap();
        let entries: Vec<Arc<Entry>> = embedded().unwrap().into_values().map(Arc::new).collect();
        let cases = entries.iter().flat_map(|entry| {
            let transports = entry.transports().into_iter();
            transports.map(|transport| entry.run_id(transport))
        });
        let cases: Vec<String> = cases.collect();
        for id in &cases {
            let text = text(id, &rules, &entries, 80).unwrap();
            assert!(text.contains("title    "), "{id}: {text}");
        }
        for rule in &rules {
            let text = text(&rule.id, &rules, &entries, 60).unwrap();
            assert!(text.starts_with(&format!("{} ", rule.id)), "{text}");
            for line in text.lines().skip(1) {
                assert!(
                    !line.contains('`') && !line.contains("]("),
                    "{}: {line}",
                    rule.id
                );
                // A name is not cut.
                let facts = ["subject ", "section ", "case "];
                let facts = facts.iter().any(|begin| line.starts_with(begin));
                assert!(facts || line.chars().count() <= 60, "{}: {line}", rule.id);
            }
        }
    }

    #[test]
    fn an_area_and_a_folder_are_explained_as_lists() {
        let keep = explained("keep");
        assert!(
            keep.contains("keep.srs MUST  ") && keep.contains("\n    A server MUST"),
            "{keep}"
        );
        assert!(!keep.contains("subject "), "{keep}");
        let folder = explained("server/keepalive");
        assert!(
            folder
                .lines()
                .all(|line| line.starts_with("server/keepalive/")),
            "{folder}"
        );
        assert!(folder.lines().count() > 3, "{folder}");
        assert_eq!(
            explained("server/tunnel/echo@tls"),
            explained("server/tunnel/echo")
        );
    }
}
