//! Bodies of the fuzz targets. Each takes any bytes and panics if a property does not hold.
//!
//! They are ordinary functions so that a stable `cargo test` replays the seed corpus through them.

use std::collections::BTreeSet;
use std::path::Path;

use netroxy_specification::notation::ast::Line;
use netroxy_specification::notation::{parse, print};
use netroxy_specification::{catalog, rules};

use crate::embedded::NoPeers;
use crate::manifest::Manifest;

/// The body of a fuzz target.
pub type Body = fn(&[u8]);

/// All fuzz targets with their names. The folder of a corpus has the name of its target.
pub const TARGETS: [(&str, Body); 3] = [
    ("notation", notation),
    ("rules", rules),
    ("manifest", manifest),
];

/// A case is printed as text that parses to the same case, with as many lines as the case says. The checks of the
/// catalogue accept the printed text, or reject it at a place inside it; every other error is inside the text, too.
pub fn notation(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Err(error) = catalog::read("fuzzed", "fuzzed.case", &text) {
        assert_inside(&text, error.line, error.column);
    }
    let case = match parse(&text) {
        Ok(case) => case,
        Err(error) => return assert_inside(&text, error.line, error.column),
    };
    let canonical = print(&case);
    assert_eq!(
        parse(&canonical).as_ref(),
        Ok(&case),
        "printed as {canonical}"
    );
    let height: usize = case.body.iter().map(Line::height).sum();
    assert_eq!(canonical.lines().count(), case.first_line() - 1 + height);
    match catalog::read("fuzzed", "fuzzed.case", &canonical) {
        Ok(entry) => assert_eq!(entry.case, case),
        Err(error) => assert_inside(&canonical, error.line, error.column),
    }
}

/// The rules of a text are found in the order of their lines. Each has an id of its own, and its text begins with the
/// line after the id. An error is at a line of the text.
pub fn rules(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let found = match rules::extract(&text) {
        Ok(found) => found,
        Err(error) => return assert_inside(&text, error.line, 1),
    };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut ids = BTreeSet::new();
    let mut above = 0;
    for rule in found {
        assert!(rule.line > above, "{} is out of order", rule.id);
        above = rule.line;
        assert_eq!(lines[rule.line - 1], format!("r[{}]", rule.id));
        assert!(
            ids.insert(rule.id.clone()),
            "the id {} occurs twice",
            rule.id
        );
        assert!(rule.text.starts_with(lines[rule.line]));
    }
}

/// A manifest is accepted, or rejected. If the error has a place, it is inside the text.
pub fn manifest(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let env = |name: &str| (name != "UNSET").then(|| format!("{name}-{{{{x}}"));
    let read = Manifest::parse("fuzzed.json", &text, Path::new("/nowhere"), &env, &NoPeers);
    match read {
        Ok(manifest) => assert_eq!(manifest.argument, "fuzzed.json"),
        Err(error) => {
            if let Some((line, column)) = error.place.position {
                assert_inside(&text, line, column);
            }
        }
    }
}

/// Panics unless line and column are those of a character of the text, or of the end of a line.
fn assert_inside(text: &str, line: usize, column: usize) {
    // After the last line feed there is one more line, which `lines` does not count.
    let lines: Vec<&str> = text.lines().chain([""]).collect();
    assert!(
        (1..=lines.len()).contains(&line),
        "line {line} is not in the text"
    );
    let width = lines[line - 1].chars().count();
    assert!(
        (1..=width + 1).contains(&column),
        "column {column} is not in line {line}"
    );
}
