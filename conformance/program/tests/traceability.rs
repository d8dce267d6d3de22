//! Rules, cases and twins fit together, and the pages about them are correct.

#![allow(
    clippy::unwrap_used,
    reason = "clippy only excuses the bodies of tests, not their helpers"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use netroxy_specification::catalog::{self, Entry};
use netroxy_specification::notation::ast::{Action, Grade, Line, Role, Step};
use netroxy_specification::rules::{self, FOLDER, Level, REVISION, Rule};

fn rules() -> BTreeMap<String, Rule> {
    rules::embedded()
        .unwrap()
        .into_iter()
        .map(|rule| (rule.id.clone(), rule))
        .collect()
}

fn steps(entry: &Entry) -> Vec<&Step> {
    let mut found = Vec::new();
    for line in &entry.case.body {
        match line {
            Line::Step(step) => found.push(step),
            Line::Repeat(repeat) => {
                found.extend(repeat.body.iter().filter_map(|line| match line {
                    Line::Step(step) => Some(step),
                    _ => None,
                }))
            }
            Line::Blank | Line::Comment(_) => {}
        }
    }
    found
}

#[test]
fn every_case_cites_rules_that_bind_its_role() {
    let rules = rules();
    for entry in catalog::embedded().unwrap().values() {
        let role = entry.case.role.value.to_string();
        assert!(
            entry.id.starts_with(&format!("{role}/")),
            "{} judges a {role}",
            entry.id
        );
        for id in &entry.case.rules.value {
            let rule = rules
                .get(id)
                .unwrap_or_else(|| panic!("{} cites {id}, which is no rule", entry.id));
            assert!(
                rule.subject == "both" || rule.subject == role || role == "pair",
                "{} cites {id} for a {role}",
                entry.id
            );
        }
    }
}

#[test]
fn every_rule_has_a_case_for_each_of_its_subjects() {
    let entries = catalog::embedded().unwrap();
    let cited = |id: &str, role: Role| {
        entries.values().any(|entry| {
            entry.case.role.value == role && entry.case.rules.value.iter().any(|rule| rule == id)
        })
    };
    for rule in rules().values() {
        let excused = rule.unjudged.is_some();
        for (role, name) in [(Role::Server, "server"), (Role::Client, "client")] {
            if rule.subject == "both" || rule.subject == name {
                assert_ne!(cited(&rule.id, role), excused, "{} for a {name}", rule.id);
            }
        }
    }
}

#[test]
fn every_twin_is_a_case_of_the_same_role() {
    let entries = catalog::embedded().unwrap();
    for entry in entries.values() {
        let Some(twin) = &entry.case.twin else {
            continue;
        };
        let folder = entry.id.rsplit_once('/').map_or("", |(folder, _)| folder);
        let full = if twin.value.contains('/') {
            twin.value.clone()
        } else {
            format!("{folder}/{}", twin.value)
        };
        let other = entries
            .get(&full)
            .unwrap_or_else(|| panic!("{}: there is no {full}", entry.id));
        assert_eq!(other.case.role.value, entry.case.role.value, "{}", entry.id);
        assert_ne!(full, entry.id);
    }
}

/// A broken peer with shared code would have the same mistakes.
#[test]
fn the_broken_peers_share_no_code_with_ours() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../broken/Cargo.toml");
    let manifest = fs::read_to_string(manifest).unwrap();
    let (_, dependencies) = manifest.split_once("[dependencies]").unwrap();
    assert!(!dependencies.contains("netroxy"), "{dependencies}");
}

/// A case that passes if the connection ends, or if nothing happens, proves little without its twin.
#[test]
fn every_negative_case_has_a_twin() {
    for entry in catalog::embedded().unwrap().values() {
        let marked = steps(entry)
            .into_iter()
            .filter(|step| !step.marks.is_empty());
        let negative = |step: &Step| match &step.action {
            Action::Expect(expectation) => matches!(
                expectation,
                netroxy_specification::notation::ast::Expectation::Closed
            ),
            Action::OneOf(alternatives) => alternatives.iter().any(|one| {
                matches!(
                    one.expectation,
                    netroxy_specification::notation::ast::Expectation::Closed
                )
            }),
            _ => false,
        };
        if marked.clone().count() > 0 && marked.clone().all(negative) {
            assert!(
                entry.case.twin.is_some(),
                "{} is negative and has no twin",
                entry.id
            );
        }
    }
}

/// A peer that does not follow a SHOULD has not failed.
#[test]
fn should_is_never_a_failure_and_must_is_never_nonstrict() {
    let rules = rules();
    for entry in catalog::embedded().unwrap().values() {
        for step in steps(entry)
            .into_iter()
            .filter(|step| !step.marks.is_empty())
        {
            let must = step.marks.iter().any(|id| rules[id].level == Level::Must);
            let lenient = step.within.is_some_and(|within| within.lenient);
            let nonstrict = match &step.action {
                _ if lenient => true,
                Action::OneOf(alternatives) => {
                    alternatives.iter().any(|one| one.grade == Grade::Nonstrict)
                }
                Action::Unguessable(_) => true,
                _ => false,
            };
            assert_ne!(must, nonstrict, "{}: {:?}", entry.id, step.marks);
        }
    }
}

/// A server may block an address that sends more wrong logins (section 14.4 of the specification).
#[test]
fn no_case_sends_more_than_three_wrong_logins() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/v0.3/cases");
    let mut with_some = 0;
    for (id, entry) in catalog::embedded().unwrap() {
        if entry.case.role.value != Role::Server {
            continue;
        }
        let text = fs::read_to_string(folder.join(format!("{id}.case"))).unwrap();
        let (mut wrong, mut turns) = (0, 1);
        for line in text.lines() {
            if let Some(count) = line.strip_prefix("repeat ") {
                turns = count.split_whitespace().next().unwrap().parse().unwrap();
            } else if !line.is_empty() && !line.starts_with(' ') {
                turns = 1;
            }
            let step = line.split(['[', '#']).next().unwrap().trim_end();
            if step.contains(" > ATH ") && !step.ends_with("$username $password") {
                wrong += turns;
            }
        }
        assert!(wrong <= 3, "{id}: {wrong}");
        with_some += usize::from(wrong > 0);
    }
    assert!(with_some > 10, "{with_some}");
}

#[test]
fn there_are_enough_cases_in_every_area() {
    let entries = catalog::embedded().unwrap();
    let count = |role: Role| {
        entries
            .values()
            .filter(|entry| entry.case.role.value == role)
            .count()
    };
    assert!(count(Role::Server) >= 150, "{}", count(Role::Server));
    assert!(count(Role::Client) >= 95, "{}", count(Role::Client));
    let areas: BTreeSet<&str> = entries
        .keys()
        .filter_map(|id| id.rsplit_once('/'))
        .map(|(area, _)| area)
        .collect();
    for role in ["server", "client"] {
        for area in ["frame", "auth", "map", "tunnel", "keepalive", "life", "tls"] {
            assert!(
                areas.contains(format!("{role}/{area}").as_str()),
                "{role}/{area}"
            );
        }
    }
}

/// The page about the originals explains every entry of their baselines, and nothing else.
#[test]
fn the_page_about_the_originals_explains_their_baselines() {
    let entries = catalog::embedded().unwrap();
    let (explained, known) = (explained_findings(&entries), known_findings(&entries));
    let unexplained: Vec<_> = known.difference(&explained).collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    let stale: Vec<_> = explained.difference(&known).collect();
    assert!(stale.is_empty(), "{stale:#?}");
}

/// A case, whether it is only nonstrict, and the broken rule.
type Finding = (String, bool, String);

fn explained_findings(entries: &BTreeMap<String, Entry>) -> BTreeSet<Finding> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(FOLDER)
        .join("originals.md");
    // Only the revision of the originals has such a page.
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut found = BTreeSet::new();
    for row in text.lines().filter(|line| line.contains("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let strict = cells[0].trim_end_matches(" (nonstrict)");
        for pattern in cells[1].split(", ").map(|cell| cell.trim_matches('`')) {
            let before = found.len();
            for (id, entry) in entries.iter().filter(|(id, _)| named(pattern, id)) {
                let judged = &entry.case.rules.value;
                for rule in strict
                    .split(", ")
                    .filter(|rule| judged.iter().any(|id| id == rule))
                {
                    found.insert((id.clone(), strict != cells[0], rule.to_owned()));
                }
            }
            assert!(found.len() > before, "{pattern} repeats other cells: {row}");
        }
    }
    found
}

/// Whether a cell names this case: by its id, or by the beginning of its id and a star.
fn named(pattern: &str, id: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => id.starts_with(start),
        None => id == pattern,
    }
}

fn known_findings(entries: &BTreeMap<String, Entry>) -> BTreeSet<Finding> {
    let mut found = BTreeSet::new();
    for role in ["server", "client"] {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../baselines/go-{role}.json"));
        let list: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        if list["spec"] != REVISION {
            continue;
        }
        for entry in list["entries"].as_array().unwrap() {
            let case = entry["run"].as_str().unwrap().trim_end_matches("@tls");
            let mut rules: Vec<&str> = entry["rules"]
                .as_array()
                .unwrap()
                .iter()
                .map(|rule| rule.as_str().unwrap())
                .collect();
            // A crash has no broken step, so the first rule of the case counts.
            if rules.is_empty() {
                rules.push(&entries[case].case.rules.value[0]);
            }
            let nonstrict = entry["verdict"] == "nonstrict";
            found.extend(
                rules
                    .iter()
                    .map(|rule| (case.to_owned(), nonstrict, (*rule).to_owned())),
            );
        }
    }
    found
}

/// The wire profile skips a case with a hardened rule, so each wire rule needs a case with wire rules only.
#[test]
fn every_wire_rule_is_judged_in_the_wire_profile() {
    let rules = rules();
    let entries = catalog::embedded().unwrap();
    for rule in rules.values().filter(|rule| rule.is_wire()) {
        for (role, name) in [(Role::Server, "server"), (Role::Client, "client")] {
            let bound = rule.subject == "both" || rule.subject == name;
            let judged = entries.values().any(|entry| {
                let ids = &entry.case.rules.value;
                entry.case.role.value == role
                    && ids.contains(&rule.id)
                    && ids.iter().all(|id| rules[id].is_wire())
            });
            assert_eq!(bound, judged, "{} for a {name}", rule.id);
        }
    }
}

/// The table of rules and their cases, so that a reviewer sees each change.
#[test]
fn the_coverage_equals_the_reviewed_table() {
    let entries = catalog::embedded().unwrap();
    let mut table = String::new();
    for rule in rules::embedded().unwrap() {
        let profile = if rule.is_wire() { "wire" } else { "hardened" };
        table += &format!(
            "{} {} {} {} {profile}\n",
            rule.id, rule.level, rule.subject, rule.origin
        );
        if let Some(why) = &rule.unjudged {
            table += &format!("    unjudged: {why}\n");
        }
        let citing = entries
            .values()
            .filter(|entry| entry.case.rules.value.contains(&rule.id));
        for entry in citing {
            let over: Vec<String> = entry.transports().iter().map(ToString::to_string).collect();
            table += &format!("    {} {}\n", entry.id, over.join(" "));
        }
    }
    insta::assert_snapshot!("coverage", table);
}
