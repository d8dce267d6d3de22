//! `docs/configuration.md` and the examples agree with the program about `server_config.json`.

use std::fs;

use serde_json::Value;

use super::keys::KEYS;
use super::{Config, MappedPorts, WebConfig};
use crate::accounts::{Account, Secret};
use crate::limits::Limits;

#[path = "../../../netroxy-net/tests/support/reference.rs"]
pub(crate) mod reference_page;
use reference_page::{Place, agree, cells, page, put_certificates, read_whole_files, root};

const FILE: &str = r#"{
    "port": 10000, "username": "alice", "password": "secret", "timeout": 30,
    "tls": {"enabled": true, "port": 10443, "ca": "ca.pem", "key": "priv.key"},
    "users": [{"username": "bob", "password": "secret"}],
    "mappedPorts": [
        {"ports": "10000-10099", "tls": {"enabled": true, "ca": "www.pem", "key": "www.key"}}
    ],
    "web": {"enabled": true, "port": 8080},
    "limits": {}
}"#;

const HTTPS: &str = r#"{
    "port": 10000, "username": "alice", "password": "secret", "timeout": 30,
    "tls": {"ca": "ca.pem", "key": "priv.key"},
    "web": {"enabled": true, "port": 8080, "https": {"enabled": true, "ca": "www.pem", "key": "www.key"}}
}"#;

const MORE_CERTIFICATES: &str = r#"{
    "username": "alice", "password": "secret", "timeout": 30,
    "tls": {"enabled": true, "port": 10443, "certificates": [{"ca": "www.pem", "key": "www.key"}]}
}"#;

#[test]
fn the_page_lists_every_key_with_its_default_and_a_valid_example() {
    let folder = tempfile::tempdir().unwrap();
    put_certificates(folder.path());
    let path = folder.path().join("server_config.json");
    let place = |table, at| Place {
        table,
        at,
        file: FILE,
        exclusive: &[("passwordHash", "password")],
    };
    let places = [
        place("server", ""),
        place("server tls", "/tls"),
        Place {
            file: MORE_CERTIFICATES,
            ..place("server tls.certificates[]", "/tls/certificates/0")
        },
        place("server users[]", "/users/0"),
        place("server mappedPorts[]", "/mappedPorts/0"),
        place("server mappedPorts[].tls", "/mappedPorts/0/tls"),
        place("server web", "/web"),
        Place {
            file: HTTPS,
            ..place("server web.https", "/web/https")
        },
        place("server limits", "/limits"),
    ];
    agree(KEYS, &places, |file: &Value| {
        fs::write(&path, file.to_string()).unwrap();
        Config::load(&path).map(|(config, warnings)| (view(&config), warnings))
    });
}

/// All fields of a configuration as text. A new field has to be added here.
fn view(config: &Config) -> String {
    let Config {
        ip,
        port,
        tls,
        mapping_ip,
        accounts,
        timeout,
        login_timeout,
        user_timeout,
        shutdown_timeout,
        trusted_proxies,
        allowed_ports,
        mapped_ports,
        limits,
        control_socket,
        web,
    } = config;
    let tls = tls.as_ref().map(|tls| (tls.port, &tls.server));
    let accounts: Vec<_> = accounts
        .all()
        .iter()
        .map(|account| shown(account))
        .collect();
    let mapped: Vec<_> = mapped_ports.iter().map(mapped).collect();
    let web = web.as_ref().map(web_shown);
    format!(
        "{ip:?} {port:?} {tls:?} {mapping_ip:?} {accounts:?} {timeout:?} {login_timeout:?} {user_timeout:?} \
         {shutdown_timeout:?} {trusted_proxies:?} {allowed_ports:?} {mapped:?} {limits:?} {control_socket:?} {web:?}"
    )
}

fn web_shown(web: &WebConfig) -> String {
    let WebConfig {
        ip,
        port,
        tls,
        hosts,
        administrators,
        metrics_token,
    } = web;
    let token = metrics_token.as_ref().map(|token| token.expose());
    format!("{ip:?} {port} {tls:?} {hosts:?} {administrators:?} {token:?}")
}

fn shown(account: &Account) -> String {
    let Account {
        username,
        secret,
        allowed_ports,
        max_ports,
        max_tunnels,
    } = account;
    let secret = match secret {
        Secret::Plain(password) => String::from_utf8_lossy(password.expose()).into_owned(),
        Secret::Hash(hash) => hash.clone(),
    };
    format!("{username} {secret} {allowed_ports:?} {max_ports:?} {max_tunnels:?}")
}

fn mapped(entry: &MappedPorts) -> String {
    let MappedPorts {
        ports,
        ip,
        tls,
        users,
        trusted_proxies,
        proxy_protocol,
        users_per_second,
        bytes_per_second,
    } = entry;
    format!(
        "{ports:?} {ip:?} {tls:?} {users:?} {trusted_proxies:?} {proxy_protocol:?} {users_per_second} \
         {bytes_per_second}"
    )
}

#[test]
fn the_figures_of_the_page_are_those_of_the_program() {
    let page = page();
    let rows = cells(&page, "<!-- figures: server -->");
    assert_eq!(rows.len(), 3);
    for row in rows {
        let number = |cell: &str| cell.replace(',', "").parse::<usize>().unwrap();
        let row: Vec<_> = row.into_iter().map(number).collect();
        let figures = Limits::default().figures(row[0].try_into().unwrap());
        let reserve = figures.descriptors - figures.free;
        let told = [
            reserve,
            figures.fresh,
            figures.tunnels,
            figures.tunnels_per_client,
        ];
        assert_eq!(row[1..], told, "{} descriptors", row[0]);
    }
}

#[test]
fn the_threat_model_names_every_limit_with_its_default() {
    let threats = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let page = page();
    let figures = |rows: Vec<Vec<&str>>, default: usize| -> Vec<_> {
        let row = |row: Vec<&str>| (row[0].to_owned(), row[default].to_owned());
        rows.into_iter().map(row).collect()
    };
    assert_eq!(
        figures(cells(&threats, "<!-- limits -->"), 1),
        figures(cells(&page, "<!-- keys: server limits -->"), 2)
    );
}

#[test]
fn the_examples_and_the_files_on_the_pages_are_valid() {
    read_whole_files("server", |path| {
        Config::load(path).map(|(_, warnings)| warnings)
    });
}
