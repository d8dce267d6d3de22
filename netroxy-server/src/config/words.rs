//! An error of a wrong value in `server_config.json` uses the words of the file.

use super::Config;
use super::keys::KEYS;

#[path = "../../../netroxy-net/tests/support/wrong_types.rs"]
mod wrong_types;

#[test]
fn errors_of_wrong_values_use_the_words_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server_config.json");
    let places = [
        r#"{"username": "u", "password": "p", "timeout": 30, @}"#,
        r#"{"username": "u", "password": "p", "timeout": 30, "tls": {@}}"#,
        r#"{"username": "u", "password": "p", "timeout": 30, "limits": {@}}"#,
        r#"{"username": "u", "password": "p", "timeout": 30, "web": {@}}"#,
        r#"{"timeout": 30, "users": [{"username": "u", "password": "p", @}]}"#,
        r#"{"timeout": 30, "users": [{"username": "u", @}]}"#,
        r#"{"username": "u", "password": "p", "timeout": 30, "mappedPorts": [{"ports": 1, @}]}"#,
    ];
    wrong_types::are_told_plainly(KEYS, &places, |text| {
        std::fs::write(&path, text).unwrap();
        Config::load(&path).map(|_| ())
    });
}
