//! An error of a wrong value in `client_config.json` uses the words of the file.

use super::file::KEYS;
use super::types::Config;

#[path = "../../../netroxy-net/tests/support/wrong_types.rs"]
mod wrong_types;

#[test]
fn the_error_of_a_wrong_value_uses_words_of_the_file() {
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
