//! The files of the vectors are correct.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use netroxy_specification::rules::{self, FOLDER};
use serde_json::Value;

pub(crate) const TESTS: [(&str, fn()); 9] = [
    ("the_files_keep_to_the_schema", schema),
    ("the_schema_refuses_what_is_wrong", schema_refuses),
    ("ids_are_unique_and_counts_are_right", ids),
    ("bytes_and_hex_are_the_same", bytes_and_hex),
    ("flags_are_noted_and_notes_are_used", flags),
    ("rules_and_productions_exist", names),
    (
        "every_production_has_a_valid_and_an_invalid_vector",
        productions,
    ),
    ("results_fit_the_bytes", results),
    ("the_files_are_printable_ascii", ascii),
];

/// The least number of vectors in the folder.
const ENOUGH: usize = 450;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(FOLDER)
        .join("vectors")
}

fn files() -> BTreeMap<String, Value> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".json") && name != "schema.json" {
            let text = fs::read_to_string(path).unwrap();
            files.insert(name, serde_json::from_str(&text).unwrap());
        }
    }
    assert_eq!(files.len(), 4, "{:?}", files.keys());
    files
}

fn tests() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for file in files().values() {
        for test in file["tests"].as_array().unwrap() {
            all.push((file["op"].as_str().unwrap().to_owned(), test.clone()));
        }
    }
    all
}

fn strings(value: &Value) -> Vec<&str> {
    let all = value.as_array().unwrap().iter();
    all.map(|one| one.as_str().unwrap()).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    crate::codec::unhex(text).unwrap()
}

fn stream(value: &Value) -> Vec<u8> {
    let Some(parts) = value["repeat"].as_array() else {
        return unhex(value["hex"].as_str().unwrap());
    };
    let part = |part: &Value| {
        let times = usize::try_from(part["times"].as_u64().unwrap()).unwrap();
        unhex(part["hex"].as_str().unwrap()).repeat(times)
    };
    parts.iter().flat_map(part).collect()
}

/// The errors of a file by the schema.
fn complaint(file: &Value) -> Option<String> {
    let text = fs::read_to_string(folder().join("schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let first = validator.iter_errors(file).next();
    first.map(|error| format!("{}: {error}", error.instance_path()))
}

fn schema() {
    for (name, file) in files() {
        assert_eq!(complaint(&file), None, "{name}");
    }
}

fn schema_refuses() {
    type Change = fn(&mut Value);
    let decode: [Change; 9] = [
        |file| file["spec"] = "0.0".into(),
        |file| file["tests"][0]["extra"] = 1.into(),
        |file| file["tests"][0]["result"] = "good".into(),
        |file| file["tests"][0]["result"] = "invalid".into(),
        |file| file["tests"][0]["result"] = "acceptable".into(),
        |file| file["tests"][0]["bytes"] = "\u{100}".into(),
        |file| file["tests"][0]["hex"] = "0A".into(),
        |file| file["tests"][0]["at"] = 3.into(),
        |file| drop(file["tests"][0].as_object_mut().unwrap().remove("id")),
    ];
    let encode: [Change; 2] = [
        |file| file["tests"][0]["messages"] = Value::Array(Vec::new()),
        |file| drop(file["tests"][0].as_object_mut().unwrap().remove("message")),
    ];
    let files = files();
    let client = |op: &str| files[&format!("{op}-client.json")].clone();
    let all = decode.map(|change| ("decode", change)).into_iter();
    for (index, (op, change)) in all
        .chain(encode.map(|change| ("encode", change)))
        .enumerate()
    {
        let mut file = client(op);
        change(&mut file);
        assert!(complaint(&file).is_some(), "change {index} of {op}");
    }
}

fn ids() {
    let mut seen = BTreeSet::new();
    for (name, file) in files() {
        let tests = file["tests"].as_array().unwrap();
        assert_eq!(file["count"], tests.len(), "{name}");
        let (op, from) = (file["op"].as_str().unwrap(), file["from"].as_str().unwrap());
        assert_eq!(name, format!("{op}-{from}.json"));
        for test in tests {
            let id = test["id"].as_u64().unwrap();
            assert!(seen.insert(id), "{name}: {id} is used twice");
        }
    }
    assert!(seen.len() >= ENOUGH, "{}", seen.len());
}

fn bytes_and_hex() {
    let mut checked = 0;
    for (_, test) in tests() {
        let none = Vec::new();
        let outcomes = test["outcomes"].as_array().unwrap_or(&none);
        for value in std::iter::once(&test).chain(outcomes) {
            let Some(text) = value["bytes"].as_str() else {
                continue;
            };
            let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(c).unwrap()).collect();
            assert_eq!(
                bytes,
                unhex(value["hex"].as_str().unwrap()),
                "{}",
                test["id"]
            );
            checked += 1;
        }
    }
    assert!(checked >= 300, "{checked}");
}

fn flags() {
    for (name, file) in files() {
        let notes: BTreeSet<&str> = file["notes"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let tests = file["tests"].as_array().unwrap();
        let used: BTreeSet<&str> = tests
            .iter()
            .flat_map(|test| strings(&test["flags"]))
            .collect();
        assert_eq!(notes, used, "{name}");
    }
}

fn names() {
    let rules = rules::embedded().unwrap();
    let (productions, files) = (grammar(), files());
    for (name, file) in &files {
        let notes = file["notes"].as_object().unwrap().values();
        for holder in notes.chain(file["tests"].as_array().unwrap()) {
            for id in strings(&holder["rules"]) {
                assert!(
                    rules.iter().any(|rule| rule.id == id),
                    "{name}: {id} in {holder}"
                );
            }
        }
        for test in file["tests"].as_array().unwrap() {
            for production in strings(&test["grammar"]) {
                assert!(
                    productions.contains(production),
                    "{name}: {production} in {}",
                    test["id"]
                );
            }
        }
    }
    let cited: BTreeSet<&str> = files
        .values()
        .flat_map(|file| file["tests"].as_array().unwrap())
        .flat_map(|test| strings(&test["rules"]))
        .collect();
    for rule in rules.iter().filter(|rule| rule.id.starts_with("frame.")) {
        assert!(
            cited.contains(rule.id.as_str()),
            "no vector is about {}",
            rule.id
        );
    }
}

fn productions() {
    let tests = tests();
    for production in grammar() {
        for result in ["valid", "invalid"] {
            let found = tests.iter().any(|(_, test)| {
                test["result"] == result && strings(&test["grammar"]).contains(&production.as_str())
            });
            assert!(found, "no {result} vector of {production}");
        }
    }
}

/// The names of all productions of messages; streams are played by cases.
fn grammar() -> BTreeSet<String> {
    let text = fs::read_to_string(folder().join("../grammar.abnf")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with([';', ' ']));
    let names = lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().to_owned())
        .filter(|name| !STREAMS.contains(&name.as_str()));
    let names: BTreeSet<String> = names.collect();
    assert!(names.len() >= 18, "{names:?}");
    names
}

/// The productions of whole streams.
const STREAMS: [&str; 7] = [
    "accepted",
    "refused",
    "client-stream",
    "control-client",
    "control-server",
    "data-client",
    "data-server",
];

/// Numbers and bytes agree with each other; codecs show whether they are right.
fn results() {
    for (op, test) in tests() {
        if op != "decode" {
            continue;
        }
        let id = &test["id"];
        let bytes = stream(&test);
        let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
        let none = Vec::new();
        let outcomes = test["outcomes"].as_array().unwrap_or(&none);
        let own = (test["result"] != "acceptable").then_some(&test);
        for found in own.into_iter().chain(outcomes) {
            let consumed = number(&found["consumed"]);
            let last = found["messages"].as_array().unwrap().last();
            let raw = last.is_some_and(|message| message[0] == "TRS");
            match found["result"].as_str().unwrap() {
                "valid" if raw => {
                    let rest = match &found["rest"] {
                        Value::Null => Vec::new(),
                        Value::String(text) => {
                            text.chars().map(|c| u8::try_from(c).unwrap()).collect()
                        }
                        long => stream(long),
                    };
                    assert_eq!(&bytes[consumed..], rest, "{id}");
                }
                "valid" => assert_eq!(consumed, bytes.len(), "{id}"),
                "incomplete" => assert!(consumed < bytes.len() && !raw, "{id}"),
                _ => {
                    let at = number(&found["at"]);
                    assert!((consumed + 1..=bytes.len()).contains(&at) && !raw, "{id}");
                }
            }
        }
    }
}

fn ascii() {
    for name in files().keys().map(String::as_str).chain(["schema.json"]) {
        for (index, byte) in fs::read(folder().join(name)).unwrap().iter().enumerate() {
            assert!(matches!(byte, b'\n' | b' '..=b'~'), "{name}: byte {index}");
        }
    }
}
