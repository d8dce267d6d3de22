//! Where the suite knows the shape of a message: in the table of `message.rs`, and where a message is written.
//!
//! One more field of a message is written in its row of the table, and once at each place that gives the fields of this
//! message their values. [`PLACES`] counts them. No other file of the suite names a word of the protocol in its code,
//! apart from [`EXCEPTIONS`]: a word in code is nearly always followed by the number or the places of its fields.

#![allow(
    clippy::unwrap_used,
    reason = "clippy only excuses the bodies of tests, not their helpers"
)]

use std::fs;
use std::path::{Path, PathBuf};

use netroxy_specification::message::SHAPES;

/// Files and folders whose literals may begin with a word of the protocol, and why.
const EXCEPTIONS: [(&str, &str); 4] = [
    ("specification/src/message.rs", "the table"),
    (
        "judge/src/fuzz",
        "parts of messages that are cut or malformed on purpose, and the texts of leak tests",
    ),
    (
        "judge/src/run/canary.rs",
        "it measures the time of SRQ and SRS, which have no fields",
    ),
    (
        "judge/src/vectors/contract.rs",
        "an example in the help that codecs are written by",
    ),
];

/// How many places give the fields of a message their values.
const PLACES: [(&str, usize); 8] = [
    ("ATH", 5),
    ("ARS", 8),
    ("MAP", 4),
    ("MRS", 4),
    ("TRQ", 2),
    ("TRS", 1),
    ("SRQ", 3),
    ("SRS", 3),
];

/// The packages that judge. The broken peers and `netroxy-proto` have tables of their own on purpose.
const PACKAGES: [&str; 3] = ["specification", "judge", "program"];

#[test]
fn no_other_file_names_a_word_of_the_protocol_in_its_code() {
    let mut used = [false; EXCEPTIONS.len()];
    for (name, code) in sources() {
        let Some(literal) = literals(&code).find(|literal| begins_with_a_word(literal)) else {
            continue;
        };
        let exception = EXCEPTIONS.iter().position(|(one, _)| name.starts_with(one));
        let Some(exception) = exception else {
            panic!(
                "{name} has the literal \"{literal}\": use the constants of `message.rs`, such as `TRQ.word`, \
                 `message.is(&TRQ)` or `TRQ.lines(...)`"
            );
        };
        used[exception] = true;
    }
    let unused = EXCEPTIONS.iter().zip(used).filter(|(_, used)| !used);
    let unused: Vec<_> = unused.map(|((name, _), _)| name).collect();
    assert!(unused.is_empty(), "no longer exceptions: {unused:?}");
}

#[test]
fn one_more_field_is_written_in_the_table_and_where_messages_are_written() {
    let mut found = SHAPES.map(|shape| (shape.word, 0));
    for (_, code) in sources() {
        for (word, count) in &mut found {
            *count += code.matches(&format!("{word}.lines(")).count();
            *count += code.matches(&format!("message(&{word},")).count();
        }
    }
    assert_eq!(found, PLACES);
}

/// A literal that is a word, or begins with the line of one.
fn begins_with_a_word(literal: &str) -> bool {
    let ends = ["\"", "\\n", "\\\\n"];
    SHAPES.iter().any(|shape| {
        let rest = literal.strip_prefix(shape.word);
        rest.is_some_and(|rest| ends.iter().any(|end| rest.starts_with(end)))
    })
}

/// What follows each quotation mark, up to the end of the line.
fn literals(code: &str) -> impl Iterator<Item = &str> {
    let lines = code.lines();
    lines.flat_map(|line| {
        let quotes = line.match_indices('"');
        quotes.filter_map(|(at, _)| line.get(at + 1..))
    })
}

/// The name of each file, such as `judge/src/tap.rs`, and its code: without comments and tests.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources = Vec::new();
    for package in PACKAGES {
        for file in files(&root.join(package).join("src")) {
            let name = file.strip_prefix(&root).unwrap().display().to_string();
            if !name.contains("/tests/") && !name.ends_with("/tests.rs") {
                sources.push((name, code(&fs::read_to_string(file).unwrap())));
            }
        }
    }
    assert!(sources.len() > 100, "{} files", sources.len());
    sources
}

/// A text without comments, and without the tests at its end.
fn code(text: &str) -> String {
    let lines = text.lines();
    let lines = lines.take_while(|line| !line.starts_with("#[cfg(test)]"));
    let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false if path.extension().is_some_and(|end| end == "rs") => found.push(path),
            false => {}
        }
    }
    found.sort();
    found
}
