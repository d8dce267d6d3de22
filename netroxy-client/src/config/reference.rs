//! `docs/configuration.md` and the examples describe `client_config.json` as the program reads it.

use std::fs;

use serde_json::Value;

use super::file::KEYS;
use super::types::{Config, RequestsConfig, ServerConfig};

#[path = "../../../netroxy-net/tests/support/reference.rs"]
pub(crate) mod reference_page;
use reference_page::{Place, agree, put_certificates, read_whole_files};

const FILE: &str = r#"{
    "ip": "192.0.2.1", "port": 10000, "username": "alice", "password": "secret",
    "tls": {"enabled": true, "cert": "client.pem", "key": "client.key"},
    "connections": [{"ip": "127.0.0.1", "port": 8000, "remotePort": 10003}],
    "requests": {
        "url": "https://example.org:8443", "allow": [{"networks": ["127.0.0.1"], "ports": ["22"]}],
        "cert": "client.pem", "key": "client.key",
        "fingerprint": "A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5"
    }
}"#;

const PLAIN: &str = r#"{
    "port": 10000, "username": "alice", "password": "secret",
    "requests": {"url": "http://192.0.2.1:8080", "plain": true, "allow": []}
}"#;

#[test]
fn the_page_has_every_key_its_default_and_a_valid_example() {
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
        Place {
            // The fingerprint takes the place of these keys.
            exclusive: &[("caFile", "fingerprint"), ("verify", "fingerprint")],
            ..place("client requests", "/requests")
        },
        place("client requests.allow[]", "/requests/allow/0"),
    ];
    agree(KEYS, &places, |file: &Value| {
        fs::write(&path, file.to_string()).unwrap();
        Config::load(&path).map(|(config, warnings)| (view(&config), warnings))
    });
}

/// All fields of a configuration, as text. A new field has to be added here.
fn view(config: &Config) -> String {
    let Config {
        server,
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
        requests,
    } = config;
    let server = server_view(server);
    let requests = requests.as_ref().map(|requests| {
        let RequestsConfig {
            api,
            plain,
            accept,
            allow,
            remote_ports,
        } = requests;
        format!(
            "{} {plain} {accept:?} {allow:?} {remote_ports:?}",
            server_view(api)
        )
    });
    let password = String::from_utf8_lossy(password.expose());
    format!(
        "{server} {name} {username} {password} {services:?} {peer:?} {hold_first_bytes:?} \
         {login_timeout:?} {longest_retry_wait:?} {spare_connections} {control_socket:?} \
         {requests:?}"
    )
}

fn server_view(server: &ServerConfig) -> String {
    let ServerConfig { host, port, tls } = server;
    let tls = tls.as_ref().map(|tls| (&tls.server_name, &tls.client));
    format!("{host} {port} {tls:?}")
}

#[test]
fn http_to_another_machine_needs_the_key_plain() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client_config.json");
    let load = |text: &str| {
        fs::write(&path, text).unwrap();
        Config::load(&path)
    };
    let (config, warnings) = load(PLAIN).unwrap();
    assert!(config.requests.unwrap().api.tls.is_none());
    let warnings = warnings.join("\n");
    assert!(
        warnings.contains("crosses the network in clear text"),
        "{warnings}"
    );
    assert!(warnings.contains("requests.allow is empty"), "{warnings}");
    let error = load(&PLAIN.replace("true", "false")).unwrap_err().report();
    assert!(
        error.contains(":3:25: requests.url: http sends the password"),
        "{error}"
    );
    assert!(error.contains("\"plain\": true"), "{error}");
    for host in ["localhost:8080", "127.0.0.1", "[::1]:80"] {
        let text = PLAIN
            .replace("192.0.2.1:8080", host)
            .replace("true", "false");
        assert!(load(&text).is_ok(), "{host}");
    }
}

#[test]
fn an_error_in_requests_names_its_place() {
    let folder = tempfile::tempdir().unwrap();
    put_certificates(folder.path());
    let path = folder.path().join("client_config.json");
    for (section, part) in [
        (r#"{"allow": []}"#, "2:13: requests.url: missing"),
        (r#"{"url": "https://h"}"#, "2:13: requests.allow: missing"),
        (
            r#"{"url": "h:1", "allow": []}"#,
            "2:21: requests.url: must be the address",
        ),
        (
            r#"{"url": "https://a:b@h", "allow": []}"#,
            "must not contain a user name",
        ),
        (
            r#"{"url": "https://h/x", "allow": []}"#,
            "must end after the host and the port",
        ),
        (
            r#"{"url": "https://h", "allow": [{"networks": ["10.0.0.0/8", "x"], "ports": "22"}]}"#,
            "requests.allow[0].networks[1]: \"x\" is neither an IP address nor a network",
        ),
        (
            r#"{"url": "https://h", "allow": [{"networks": "10.0.0.0/8", "ports": ["22", "9-8"]}]}"#,
            "requests.allow[0].ports[1]: must be ports and ranges",
        ),
        (
            r#"{"url": "https://h", "allow": [{"ports": 22}]}"#,
            "requests.allow[0].networks: missing",
        ),
        (
            r#"{"url": "https://h", "allow": [], "accept": "all"}"#,
            "requests.accept: expected `byHand` or `auto`",
        ),
        (
            r#"{"url": "https://h", "allow": [], "remotePorts": ["0"]}"#,
            "requests.remotePorts[0]: must be ports and ranges",
        ),
        (
            r#"{"url": "https://h", "allow": [], "caFile": "none.pem"}"#,
            "requests.caFile: cannot read",
        ),
        (
            r#"{"url": "https://h", "allow": [], "cert": "client.pem"}"#,
            "requests.key: missing: requests.cert is given and needs it",
        ),
    ] {
        let text = format!(
            "{{\"port\": 1, \"username\": \"u\", \"password\": \"p\",\n\"requests\": {section}}}"
        );
        fs::write(&path, text).unwrap();
        let error = Config::load(&path).unwrap_err().report();
        assert!(error.contains(part), "{section}: {error}");
        assert!(!error.contains("a:b"), "{error}");
    }
    let unnamed = r#"{"port": 1, "username": "u", "password": "p", "name": "",
                      "requests": {"url": "https://h", "allow": []}}"#;
    fs::write(&path, unnamed).unwrap();
    let error = Config::load(&path).unwrap_err().report();
    assert!(error.contains(":1:55: name: is empty"), "{error}");
}

#[test]
fn requests_trust_the_certificates_of_the_control_connection_by_default() {
    let folder = tempfile::tempdir().unwrap();
    put_certificates(folder.path());
    let path = folder.path().join("client_config.json");
    let pin = "A5".repeat(32);
    let other = "5A".repeat(32);
    let requests = |host: &str, own: &str| {
        let text = format!(
            r#"{{"ip": "server", "port": 1, "username": "u", "password": "p",
                "tls": {{"enabled": true, "fingerprint": "{pin}", "serverName": "name.example"}},
                "requests": {{"url": "https://{host}:8443", "allow": [] {own}}}}}"#
        );
        fs::write(&path, text).unwrap();
        let api = Config::load(&path).unwrap().0.requests.unwrap().api;
        let tls = api.tls.unwrap();
        (
            format!("{:?}", tls.client),
            tls.server_name.to_str().into_owned(),
        )
    };
    let (inherited, name) = requests("server", "");
    assert_eq!(name, "name.example");
    let (_, name) = requests("other", "");
    assert_eq!(name, "other");
    let (same, name) = requests(
        "server",
        &format!(r#", "fingerprint": "{pin}", "serverName": "x""#),
    );
    assert_eq!((&same, name.as_str()), (&inherited, "x"));
    for own in [
        format!(r#", "fingerprint": "{other}""#),
        r#", "caFile": "ca.pem""#.to_owned(),
        r#", "verify": false"#.to_owned(),
        r#", "verify": true"#.to_owned(),
    ] {
        assert_ne!(requests("server", &own).0, inherited, "{own}");
    }
}

#[test]
fn the_examples_and_the_files_on_the_pages_are_valid() {
    read_whole_files("client", |path| {
        Config::load(path).map(|(_, warnings)| warnings)
    });
}
