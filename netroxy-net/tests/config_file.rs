//! Configuration files: places, keys in any case, unknown keys.
#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

use std::path::Path;

use netroxy_net::config_file::{self, ConfigError, Key, Loaded, key};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(deserialize_with = "config_file::port")]
    port: u16,
    #[serde(default)]
    connections: Vec<Connection>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "the test only checks that it can be read")]
struct Connection {
    #[serde(deserialize_with = "config_file::port")]
    remote_port: u16,
    #[serde(default)]
    is_open: bool,
}

const KNOWN: &[Key] = &[
    key("port", "10000"),
    key("connections", r#"[{"remotePort": 10003}]"#),
    key("remotePort", "10003"),
    key("isOpen", "true"),
];

fn parse(text: &str) -> Result<Loaded<File>, ConfigError> {
    config_file::parse(Path::new("f.json"), text.to_owned(), KNOWN)
}

#[track_caller]
fn error(text: &str, message: &str) {
    assert_eq!(problems(text).join("\n"), message);
}

/// The problems without their hints.
#[track_caller]
fn problems(text: &str) -> Vec<String> {
    match parse(text).unwrap_err() {
        ConfigError::Wrong { problems, .. } => problems.iter().map(ToString::to_string).collect(),
        error @ ConfigError::Unreadable { .. } => panic!("{error}"),
    }
}

#[test]
fn an_error_of_a_value_has_its_place_and_what_is_allowed() {
    error(
        "{\n  \"port\": 70000\n}",
        "f.json:2:11: port: expected a port number from 1 to 65535, but it is 70000",
    );
    error(
        "{\"port\": 1, \"connections\": [\n{\"remotePort\": 5},\n{\"REMOTEPORT\": \"x\"}]}",
        "f.json:3:16: connections[1].remotePort: expected a port number from 1 to 65535, but it is a \
         string",
    );
    error(
        "{\"port\": 1, \"connections\": [{}]}",
        "f.json:1:29: connections[0].remotePort: missing",
    );
    error(
        "{\"port\": 1.5}",
        "f.json:1:10: port: expected a port number from 1 to 65535, but it is 1.5",
    );
}

#[test]
fn an_error_of_malformed_json_has_its_place() {
    error("", "f.json:1:1: the file is empty");
    error(
        "{\"port\": 1",
        "f.json:1:10: the file ends within an object",
    );
    error("{\"port\": }", "f.json:1:10: expected a value");
    error("[]", "f.json:1:1: expected an object: { ... }");
}

/// With a stored path for each value, this test would take minutes and gigabytes.
#[test]
fn json_that_is_nested_too_deeply_is_refused() {
    let nested = |depth: usize| format!("{{\"port\": {}", "[".repeat(depth));
    let expected = "f.json:1:136: expected at most 127 objects and arrays in each other";
    for depth in [127, 100_000] {
        let refused = parse(&nested(depth)).unwrap_err();
        error(&nested(depth), expected);
        let hint = "no key needs more than three: is a closing bracket missing?";
        assert_eq!(refused.hint(), Some(hint));
    }
    let end = "f.json:1:135: the file ends within a list";
    error(&nested(126), end);
}

#[test]
fn keys_in_any_case_work_and_unknown_ones_are_reported_with_their_place() {
    let text = "{\"PORT\": 1,\n \"prot\": 2, \"Connections\": [{\"RemotePort\": 3, \"isopen\": true,\n\"x\": 1}]} more";
    let loaded = parse(text).unwrap();
    assert_eq!(
        loaded.warnings,
        [
            "f.json:2:2: unknown key prot: ignored; did you mean \"port\"?",
            "f.json:3:1: unknown key connections[0].x: ignored",
            "f.json:3:11: text after the end: ignored",
        ]
    );
}

#[test]
fn a_null_counts_as_missing_and_the_last_of_two_equal_keys_counts() {
    let text = r#"{"port": null, "PORT": 1, "port": 2, "connections": null}"#;
    let loaded = parse(text).unwrap();
    assert_eq!((loaded.value.port, loaded.value.connections.len()), (2, 0));
    error("{\"port\": null}", "f.json:1:10: port: missing");
}

#[test]
fn a_missing_file_is_named() {
    let error = config_file::load::<File>(Path::new("/no/such/file.json"), &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the configuration file /no/such/file.json"
    );
    assert!(error.hint().unwrap().contains("--config"));
}

/// The errors, hints and warnings as a program prints them.
fn report(text: &str) -> String {
    parse(text).unwrap_err().report()
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    let text = r#"{
  "connections": [
    {"remotePort": 70000, "isOpen": true},
    {"isOpen": true},
    {"remotePort": 5, "isopen": true, "colour": 1},
    {"remotePort": "x"}
  ],
  "port": 1.5
}"#;
    let wanted = "\
error: f.json:3:20: connections[0].remotePort: expected a port number from 1 to 65535, but it is 70000
error: f.json:4:5: connections[1].remotePort: missing
hint: add it, for example \"remotePort\": 10003
error: f.json:6:20: connections[3].remotePort: expected a port number from 1 to 65535, but it is a string
error: f.json:8:11: port: expected a port number from 1 to 65535, but it is 1.5
warning: f.json:5:39: unknown key connections[2].colour: ignored
";
    assert_eq!(report(text), wanted);
}

#[test]
fn a_misspelt_required_key_is_reported_at_both_places() {
    assert_eq!(
        report("{\n \"prot\": 1}"),
        "error: f.json:1:1: port: missing\n\
         hint: \"prot\" in line 2 looks like it: did you mean \"port\"?\n\
         warning: f.json:2:2: unknown key prot: ignored; did you mean \"port\"?\n"
    );
    assert_eq!(
        report(r#"{"entrance": 1}"#),
        "error: f.json:1:1: port: missing\n\
         hint: add it, for example \"port\": 10000\n\
         warning: f.json:1:2: unknown key entrance: ignored\n"
    );
}

#[test]
fn a_warning_says_that_a_key_belongs_to_another_place() {
    let loaded = parse(r#"{"port": 1, "isOpen": true}"#).unwrap();
    assert_eq!(
        loaded.warnings,
        ["f.json:1:13: unknown key isOpen: ignored; the key belongs to another place"]
    );
}

/// The whole file is read once for each problem.
#[test]
fn at_most_a_hundred_problems_are_reported() {
    let items = vec![r#"{"remotePort": 0}"#; 500].join(",");
    let text = format!(r#"{{"port": 1, "connections": [{items}]}}"#);
    assert_eq!(problems(&text).len(), 100);
    let more = "warning: f.json: there may be more problems than are shown\n";
    assert!(report(&text).ends_with(more));
}

/// The sample of a key does not fit at its place: the file is read without the value.
#[test]
fn a_wrong_sample_does_not_hide_the_other_problems() {
    let known = [
        key("port", "10000"),
        key("connections", "true"),
        key("isOpen", "5"),
    ];
    let text = r#"{"connections": 5, "port": 0}"#.to_owned();
    let error = config_file::parse::<File>(Path::new("f.json"), text, &known).unwrap_err();
    let ConfigError::Wrong { problems, .. } = error else {
        panic!("{error}");
    };
    let keys: Vec<_> = problems
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    assert_eq!(keys, ["connections", "port"]);
}

#[test]
fn several_errors_are_merged_into_one() {
    let loaded = parse("{\"port\": 1,\n\"connections\": []}").unwrap();
    let errors = [
        loaded.error("connections", "second").with_hint("look"),
        loaded.error("port", "first"),
    ];
    let all = ConfigError::all(errors).unwrap_err();
    assert_eq!(
        all.to_string(),
        "f.json:1:10: port: first\nf.json:2:16: connections: second\n  hint: look"
    );
    assert_eq!(all.hint(), None);
    assert!(ConfigError::all([]).is_ok());
}

#[test]
fn byte_order_marks_and_carriage_returns_are_accepted() {
    let loaded = parse("\u{feff}{\r\n \"port\": 7,\r\n \"prot\": 1\r\n}\r\n").unwrap();
    assert_eq!(loaded.value.port, 7);
    let warning = "f.json:3:2: unknown key prot: ignored; did you mean \"port\"?";
    assert_eq!(loaded.warnings, [warning]);
    error(
        "\u{feff}{\"port\": 0}",
        "f.json:1:10: port: expected a port number from 1 to 65535, but it is 0",
    );
}

#[test]
fn text_that_is_not_json_is_explained() {
    for (text, expected) in [
        (
            "// the port\n{\"port\": 1}",
            "1:1: a comment (//): JSON has no comments",
        ),
        (
            "{\n  # the port\n\"port\": 1}",
            "2:3: a comment (#): JSON has no comments",
        ),
        (
            "{\"port\": 1, /* one */}",
            "1:13: a comment (/*): JSON has no comments",
        ),
        (
            "{\"port\": 1 // one\n}",
            "1:12: a comment (//): JSON has no comments",
        ),
        (
            "{\"port\":\u{a0}1}",
            "1:9: the invisible character U+00A0 (no-break space) may stand within quotes only",
        ),
        (
            "\u{a0}{\"port\": 1}",
            "1:1: the invisible character U+00A0 (no-break space) may stand within quotes only",
        ),
        (
            "{\"port\": 1\u{200b}}",
            "1:11: the invisible character U+200B (zero width space) may stand within quotes only",
        ),
        (
            "{\u{201c}port\u{201d}: 1}",
            "1:2: \u{201c} (U+201C) is another quotation mark than JSON takes",
        ),
        (
            "{'port': 1}",
            "1:2: a single quote: ' has no meaning in JSON",
        ),
        (
            "{\"port\": \u{664}}",
            "1:10: \u{664} (U+0664) may stand within quotes only",
        ),
        (
            "{\"port\": \0}",
            "1:10: the invisible character U+0000 (control character) may stand within quotes only",
        ),
        ("{port: 1}", "1:2: expected a key, in quotes"),
        ("{\"port\": 1,}", "1:12: no value follows this comma"),
        ("{\"port\": tru}", "1:13: expected true, false or null"),
        (
            "{\"ca\": \"C:\\keys\"}",
            "1:12: a \\ in a string must be followed by one of \" \\ / b f n r t u",
        ),
    ] {
        error(text, &format!("f.json:{expected}"));
    }
    // The string ends only at the next " mark.
    let refused = parse("{\"a\": \"b\u{201d}, \"port\": 1}").unwrap_err();
    let hint = "the line holds the quotation mark \u{201d} (U+201D): write \" before and after keys and strings";
    assert_eq!(refused.hint(), Some(hint));
    // Strings may hold all of these characters.
    assert!(parse("{\"port\": 1, \"connections\": [], \"#\": \"// \u{a0} '\"}").is_ok());
}

#[test]
fn kinds_of_values_are_named_as_they_are_written() {
    for (text, expected) in [
        (
            r#"{"port": 1, "connections": {}}"#,
            "1:28: connections: expected a list: [ { \"remotePort\": 10003, ... }, ... ], but it is an object: { ... }",
        ),
        (
            r#"{"port": 1, "connections": [7]}"#,
            "1:29: connections[0]: expected an object: { \"remotePort\": 10003, ... }, but it is 7",
        ),
        (
            r#"{"port": 1, "connections": [[5, true]]}"#,
            "1:29: connections[0]: expected an object: { \"remotePort\": 10003, ... }, but it is a list: [ ... ]",
        ),
        (
            r#"{"port": 1, "connections": [{"remotePort": 1, "isOpen": "yes"}]}"#,
            "1:57: connections[0].isOpen: expected true or false, but it is a string",
        ),
    ] {
        error(text, &format!("f.json:{expected}"));
    }
}

#[test]
fn a_file_in_another_encoding_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.json");
    std::fs::write(&path, b"{\"port\": 1, \"\xe9\": 1}").unwrap();
    let refused = config_file::load::<File>(&path, KNOWN)
        .unwrap_err()
        .to_string();
    let expected = ":1:14: the byte 0xE9 is not UTF-8\n";
    assert!(refused.contains(expected), "{refused}");
}

/// The check sees the samples 10000 and `[{"remotePort": 10003}]` in the places of wrong values.
#[test]
fn problems_of_the_check_are_reported_with_problems_of_types() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.json");
    let keys = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let checked = config_file::load_then::<File, ()>(&path, KNOWN, |loaded| {
            ConfigError::all([
                loaded.error("port", format!("is {}", loaded.value.port)),
                loaded.error("connections[0].remotePort", "is bad"),
                loaded.error("connections", "are bad"),
                ConfigError::whole(&path, "all is bad"),
            ])
            .map_err(|error| error.with_warnings(&loaded.warnings))
        });
        let ConfigError::Wrong { problems, warnings } = checked.unwrap_err() else {
            panic!("it cannot be read");
        };
        let found = problems.iter().map(|p| format!("{} {}", p.key, p.message));
        (found.collect::<Vec<_>>(), warnings.len())
    };
    let all = " all is bad";
    let bad_connections = ["connections[0].remotePort is bad", "connections are bad"];
    let (found, warnings) = keys(r#"{"port": 7, "connections": [], "x": 1}"#);
    assert_eq!(found[..2], [all, "port is 7"]);
    assert_eq!(found[2..], bad_connections);
    assert_eq!(warnings, 1);
    // The port is the sample, so only the wrong type is reported.
    let (found, warnings) = keys(r#"{"port": 0, "connections": [], "x": 1}"#);
    let port = "port expected a port number from 1 to 65535, but it is 0";
    assert_eq!(found[..2], [all, port]);
    assert_eq!(found[2..], bad_connections);
    assert_eq!(warnings, 1);
    // The check's problems of the list around the wrong value, and of the items of a sample, are left out.
    let item = r#"{"port": 7, "connections": [{"remotePort": 0}]}"#;
    let (found, _) = keys(item);
    assert_eq!(found.len(), 3, "{found:?}");
    let (found, _) = keys(r#"{"port": 7, "connections": true}"#);
    assert_eq!(found.len(), 3, "{found:?}");
}
