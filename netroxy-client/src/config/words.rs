//! Every wrong value of `client_config.json` is told in words of the file.

use super::{Config, file::KEYS};

#[path = "../../../netroxy-net/tests/support/wrong_types.rs"]
mod wrong_types;

#[test]
fn wrong_values_are_told_in_words_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("client_config.json");
    let places = [
        r#"{"username": "u", "password": "p", "port": 1, @}"#,
        r#"{"username": "u", "password": "p", "port": 1, "tls": {@}}"#,
        r#"{"username": "u", "password": "p", "port": 1, "connections": [{@}]}"#,
        r#"{"username": "u", "password": "p", "port": 1,
            "requests": {"url": "http://localhost", "allow": [], @}}"#,
        r#"{"username": "u", "password": "p", "port": 1,
            "requests": {"url": "http://localhost", "allow": [{"networks": [], "ports": [], @}]}}"#,
    ];
    wrong_types::are_told_plainly(KEYS, &places, |text| {
        std::fs::write(&path, text).unwrap();
        Config::load(&path).map(|_| ())
    });
}
