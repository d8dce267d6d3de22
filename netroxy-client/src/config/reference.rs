//! `docs/configuration.md` and the examples say of `client_config.json` what the program does.

use std::fs;

use serde_json::Value;

use super::{Config, ServerConfig, file::KEYS};

#[path = "../../../netroxy-net/tests/support/reference.rs"]
pub(crate) mod reference_page;
use reference_page::{Place, agree, put_certificates, whole_files};

const FILE: &str = r#"{
    "ip": "192.0.2.1", "port": 10000, "username": "alice", "password": "secret",
    "tls": {"enabled": true, "cert": "client.pem", "key": "client.key"},
    "connections": [{"ip": "127.0.0.1", "port": 8000, "remotePort": 10003}]
}"#;

#[test]
fn the_page_knows_every_key_its_default_and_a_valid_example() {
    let folder = tempfile::tempdir().unwrap();
    put_certificates(folder.path());
    let path = folder.path().join("client_config.json");
    let place = |table, at| Place {
        table,
        at,
        file: FILE,
        exclusive: &[],
    };
    let places = [
        place("client", ""),
        place("client tls", "/tls"),
        place("client connections[]", "/connections/0"),
    ];
    agree(KEYS, &places, |file: &Value| {
        fs::write(&path, file.to_string()).unwrap();
        Config::load(&path).map(|(config, warnings)| (view(&config), warnings))
    });
}

/// All that a configuration says, as text. A new field has to be added here.
fn view(config: &Config) -> String {
    let Config {
        server: ServerConfig { host, port, tls },
        name,
        username,
        password,
        services,
        peer,
        hold_first_bytes,
        login_timeout,
        longest_retry_wait,
        spare_connections,
        control_socket,
    } = config;
    let tls = tls.as_ref().map(|tls| (&tls.server_name, &tls.client));
    let password = String::from_utf8_lossy(password.expose());
    format!(
        "{host} {port} {tls:?} {name} {username} {password} {services:?} {peer:?} {hold_first_bytes:?} \
         {login_timeout:?} {longest_retry_wait:?} {spare_connections} {control_socket:?}"
    )
}

#[test]
fn examples_and_whole_files_of_the_pages_are_right() {
    let folder = tempfile::tempdir().unwrap();
    put_certificates(folder.path());
    let path = folder.path().join("client_config.json");
    let files = whole_files("client");
    assert!(files.iter().any(|(name, _)| name == "client_full.json"));
    for (name, text) in files {
        fs::write(&path, text).unwrap();
        let warnings = match Config::load(&path) {
            Ok((_, warnings)) => warnings,
            Err(error) => panic!("{name}: {}", error.report()),
        };
        let all = warnings.join("\n");
        assert!(!all.contains("ignored"), "{name}: {all}");
    }
}
