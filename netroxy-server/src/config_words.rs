//! Every wrong value of `server_config.json` is told in words of the file.

use super::{Config, KEYS};

#[path = "../../netroxy-net/tests/support/wrong_types.rs"]
mod wrong_types;

#[test]
fn wrong_values_are_told_in_words_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server_config.json");
    let base = r#""username": "u", "password": "p", "timeout": 30"#;
    wrong_types::are_told_plainly(KEYS, base, |text| {
        std::fs::write(&path, text).unwrap();
        Config::load(&path).map(|_| ())
    });
}
