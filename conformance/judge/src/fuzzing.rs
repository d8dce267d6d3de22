//! Bodies of the fuzz targets: each takes any bytes and panics when its property is broken.
//!
//! They are ordinary functions so that a stable `cargo test` replays the seed corpus through them.

use std::collections::BTreeSet;
use std::path::Path;

use netroxy_specification::notation::ast::Line;
use netroxy_specification::notation::{parse, print};
use netroxy_specification::{catalog, rules};

use crate::embedded::NoPeers;
use crate::manifest::Manifest;

/// A fuzz body.
pub type Body = fn(&[u8]);

/// Every fuzz target by its name, which is also that of its corpus folder.
pub const TARGETS: [(&str, Body); 3] = [
    ("notation", notation),
    ("rules", rules),
    ("manifest", manifest),
];

/// What parses is printed as text that parses to the same case, and is as many lines long as the
/// case says; the checks of the catalogue take or refuse both texts alike, and
/// whatever is refused is refused at a place inside the text.
pub fn notation(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Err(error) = catalog::read("fuzzed", "fuzzed.case", &text) {
        inside(&text, error.line, error.column);
    }
    let case = match parse(&text) {
        Ok(case) => case,
        Err(error) => return inside(&text, error.line, error.column),
    };
    let canonical = print(&case);
    assert_eq!(parse(&canonical).as_ref(), Ok(&case), "of {canonical}");
    let height: usize = case.body.iter().map(Line::height).sum();
    assert_eq!(canonical.lines().count(), case.first_line() - 1 + height);
    match catalog::read("fuzzed", "fuzzed.case", &canonical) {
        Ok(entry) => assert_eq!(entry.case, case),
        Err(error) => inside(&canonical, error.line, error.column),
    }
}

/// The rules of a text stand in it one below the other, each with an id of its own and one
/// sentence; a text that is refused is refused at one of its lines.
pub fn rules(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let found = match rules::extract(&text) {
        Ok(found) => found,
        Err(error) => return inside(&text, error.line, 1),
    };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut ids = BTreeSet::new();
    let mut above = 0;
    for rule in found {
        assert!(rule.line > above, "{} is out of order", rule.id);
        above = rule.line;
        assert_eq!(lines[rule.line - 1], format!("r[{}]", rule.id));
        assert!(ids.insert(rule.id.clone()), "{} is there twice", rule.id);
        assert!(rule.text.starts_with(lines[rule.line]));
    }
}

/// A manifest is taken, or refused at a place inside the text.
pub fn manifest(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let env = |name: &str| (name != "UNSET").then(|| format!("{name}-{{{{x}}"));
    let read = Manifest::parse("fuzzed.json", &text, Path::new("/nowhere"), &env, &NoPeers);
    match read {
        Ok(manifest) => assert_eq!(manifest.argument, "fuzzed.json"),
        Err(error) => {
            if let Some((line, column)) = error.place.position {
                inside(&text, line, column);
            }
        }
    }
}

/// Line and column name a character of the text, or the end of one of its lines.
fn inside(text: &str, line: usize, column: usize) {
    // Behind the last line feed there is one more line, which `lines` does not count.
    let lines: Vec<&str> = text.lines().chain([""]).collect();
    assert!((1..=lines.len()).contains(&line), "no line {line}");
    let width = lines[line - 1].chars().count();
    assert!(
        (1..=width + 1).contains(&column),
        "no column {column} in line {line}"
    );
}
