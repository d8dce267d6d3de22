//! Configuration files: places, keys in any case, unknown keys.
#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

use std::path::Path;

use netroxy_net::config_file::{self, ConfigError, Loaded};
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
#[expect(dead_code, reason = "only that it can be read is looked at")]
struct Connection {
    #[serde(deserialize_with = "config_file::port")]
    remote_port: u16,
    #[serde(default)]
    is_open: bool,
}

fn parse(text: &str) -> Result<Loaded<File>, ConfigError> {
    let known = ["port", "connections", "remotePort", "isOpen"];
    config_file::parse(Path::new("f.json"), text.to_owned(), &known)
}

#[track_caller]
fn error(text: &str, message: &str) {
    assert_eq!(parse(text).unwrap_err().to_string(), message);
}

#[test]
fn wrong_values_are_named_with_their_place_and_what_is_allowed() {
    error(
        "{\n  \"port\": 70000\n}",
        "f.json:2:11: port: invalid value: integer `70000`, expected a port number from 1 to 65535",
    );
    error(
        "{\"port\": 1, \"connections\": [\n{\"remotePort\": 5},\n{\"REMOTEPORT\": \"x\"}]}",
        "f.json:3:16: connections[1].remotePort: invalid type: string \"x\", expected a port number \
         from 1 to 65535",
    );
    error(
        "{\"port\": 1, \"connections\": [{}]}",
        "f.json:1:29: connections[0]: missing field `remotePort`",
    );
    error(
        "{\"port\": 1.5}",
        "f.json:1:10: port: invalid type: floating point `1.5`, expected a port number from 1 to 65535",
    );
}

#[test]
fn malformed_json_is_named_with_its_place() {
    error("", "f.json:1:1: EOF while parsing a value");
    error("{\"port\": 1", "f.json:1:10: EOF while parsing an object");
    error("{\"port\": }", "f.json:1:10: expected value");
    error("[]", "f.json:1:1: expected an object: { ... }");
}

/// With a path kept for each value, this takes minutes and gigabytes.
#[test]
fn what_is_nested_too_deeply_is_refused() {
    let nested = |depth: usize| format!("{{\"port\": {}", "[".repeat(depth));
    let told = "f.json:1:136: expected at most 127 objects and arrays in each other";
    for depth in [127, 100_000] {
        let refused = parse(&nested(depth)).unwrap_err();
        assert_eq!(refused.to_string(), told);
        let hint = "no key needs more than three: is a closing bracket missing?";
        assert_eq!(refused.hint(), Some(hint));
    }
    let end = "f.json:1:135: EOF while parsing a list";
    error(&nested(126), end);
}

#[test]
fn keys_in_any_case_work_and_unknown_ones_are_reported_with_their_place() {
    let text = "{\"PORT\": 1,\n \"prot\": 2, \"Connections\": [{\"RemotePort\": 3, \"isopen\": true,\n\"x\": 1}]} more";
    let loaded = parse(text).unwrap();
    assert_eq!(
        loaded.warnings,
        [
            "f.json:2:2: unknown key prot: ignored",
            "f.json:3:1: unknown key connections.0.x: ignored",
            "f.json:3:11: text after the end: ignored",
        ]
    );
}

#[test]
fn null_is_nothing_and_the_last_of_two_equal_keys_counts_as_in_the_original() {
    let text = r#"{"port": null, "PORT": 1, "port": 2, "connections": null}"#;
    let loaded = parse(text).unwrap();
    assert_eq!((loaded.value.port, loaded.value.connections.len()), (2, 0));
    error("{\"port\": null}", "f.json:1:1: missing field `port`");
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
