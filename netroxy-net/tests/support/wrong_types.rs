//! Tries every key with every wrong kind of value. The tests of both programs include this file by its path.

use std::collections::BTreeSet;

use netroxy_net::config_file::{ConfigError, Key};

/// Words of serde and Rust that an operator need not know.
const FOREIGN: &[&str] = &[
    "struct", "map", "sequence", "boolean", "bool", "integer", "floating", "i8", "i16", "i32",
    "i64", "u8", "u16", "u32", "u64", "usize", "f64", "enum", "variant", "unit", "newtype", "EOF",
    "ident", "field", "invalid", "char",
];

/// Puts each key with each kind of value into all places for keys: `places` are whole files with `@` for key and value.
/// No report may have words of serde, and each of the `known` keys must be reported as wrong at least once.
#[track_caller]
pub(crate) fn are_told_plainly(
    known: &[Key],
    places: &[&str],
    load: impl Fn(&str) -> Result<(), ConfigError>,
) {
    let mut reported = BTreeSet::new();
    for key in known {
        let name = key.name;
        for value in [
            "true",
            "-1",
            "1.5",
            "1e99",
            "\"\\u0000\\n\"",
            "{}",
            "[]",
            "[5]",
            "[[]]",
            "[{}]",
        ] {
            for place in places {
                let text = place.replace('@', &format!("\"{name}\": {value}"));
                let Err(error) = load(&text) else {
                    continue;
                };
                let report = error.report();
                let words = report.split(|c: char| !c.is_ascii_alphanumeric());
                let foreign: Vec<_> = words.filter(|word| FOREIGN.contains(word)).collect();
                assert!(foreign.is_empty(), "{foreign:?} in {report} for {text}");
                let ConfigError::Wrong { problems, .. } = error else {
                    panic!("{error}");
                };
                let wrong = problems
                    .iter()
                    .filter(|problem| problem.message != "missing");
                reported.extend(wrong.filter_map(|p| p.key.rsplit('.').next().map(str::to_owned)));
                // The sample that replaces a wrong value causes no second problem.
                let again: BTreeSet<_> = problems.iter().map(|p| (&p.key, p.place)).collect();
                assert_eq!(again.len(), problems.len(), "{report}");
                assert!(!report.contains("more problems"), "{report}");
            }
        }
    }
    for key in known {
        let name = key.name;
        let seen = reported
            .iter()
            .any(|reported| reported.split('[').next() == Some(name));
        assert!(seen, "{name}: {reported:?}");
    }
}
