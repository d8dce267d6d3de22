//! TLS to hosts that are not plain DNS names.

use std::fs;
use std::path::PathBuf;

use netroxy_client::Config;

fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("client_config.json");
    fs::write(&path, text).unwrap();
    (dir, path)
}

fn load(ip: &str, tls: &str) -> Result<Config, String> {
    let (_dir, path) = written(&format!(
        r#"{{"ip": "{ip}", "port": 1, "username": "u", "password": "p", "tls": {{"enabled": true, {tls}}}}}"#
    ));
    let loaded = Config::load(&path).map_err(|error| error.to_string());
    loaded.map(|(config, _)| config)
}

#[test]
fn zones_and_international_names_are_accepted() {
    let name = |ip, tls| {
        let config = load(ip, tls).unwrap();
        let name = config.server.tls.unwrap().server_name;
        (config.server.host, name.to_str().into_owned())
    };
    let pair = |host: &str, name: &str| (host.to_owned(), name.to_owned());
    let open = r#""verify": false"#;
    assert_eq!(name("fe80::1%eth0", open), pair("fe80::1%eth0", "fe80::1"));
    assert_eq!(
        name("b\u{fc}cher.example", open),
        pair("xn--bcher-kva.example", "xn--bcher-kva.example")
    );
    assert_eq!(name("a..b", open), pair("a..b", "0.0.0.0"));
    let named = r#""verify": false, "serverName": "b\u00fccher.example""#;
    assert_eq!(name("::1", named), pair("::1", "xn--bcher-kva.example"));
}

#[test]
fn a_host_that_is_no_dns_name_is_refused_if_names_are_verified() {
    let error = load("a..b", r#""verify": true"#).unwrap_err();
    let told = ":1:8: ip: must be a DNS name or an IP address for TLS";
    assert!(error.contains(told), "{error}");
}
