//! The keys of `client_config.json`.

use std::path::PathBuf;
use std::time::Duration;

use netroxy_net::config_file::{self, Key, key};
use netroxy_net::networks::Network;
use netroxy_net::ports::PortSet;
use netroxy_net::tls::Fingerprint;
use netroxy_proto::{ClientName, Password, Username};
use rustls_pki_types::ServerName;
use serde::Deserialize;

use super::fields::{
    one_or_more, some_host, some_millis, some_or_more, some_parsed, some_patience,
    some_server_name, some_spares,
};
use super::mapping::Ports;
use super::types::{Accept, Peer};
use super::url::Url;

/// Every key of the file, at any depth.
pub(super) const KEYS: &[Key] = &[
    key("ip", r#""127.0.0.1""#),
    key("port", "10000"),
    key("tls", r#"{"enabled": true}"#),
    key("enabled", "true"),
    key("verify", "true"),
    key("caFile", r#""ca.pem""#),
    key("cert", r#""client.pem""#),
    key("key", r#""client.key""#),
    key(
        "fingerprint",
        r#""A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5""#,
    ),
    key("serverName", r#""example.org""#),
    key("username", r#""alice""#),
    key("password", r#""secret""#),
    key(
        "connections",
        r#"[{"ip": "127.0.0.1", "port": 8000, "remotePort": 10003, "isOpen": true}]"#,
    ),
    key("remotePort", "10003"),
    key("isOpen", "true"),
    key("name", r#""office""#),
    key("peer", r#""auto""#),
    key("holdFirstBytesMs", "20"),
    key("loginTimeout", "10"),
    key("longestRetryWait", "8"),
    key("spareConnections", "16"),
    key("controlSocket", r#""netroxy-client.sock""#),
    key("requests", REQUESTS),
    key("url", r#""https://example.org:8443""#),
    key("accept", r#""auto""#),
    key("allow", r#"[{"networks": ["127.0.0.1"], "ports": ["22"]}]"#),
    key("networks", r#"["127.0.0.1"]"#),
    key("ports", r#"["22", "8000-8010"]"#),
    key("remotePorts", r#"["10000-10099"]"#),
    key("plain", "true"),
];

const REQUESTS: &str = r#"{
    "url": "https://example.org:8443",
    "allow": [{"networks": ["127.0.0.1"], "ports": ["22"]}]
}"#;

/// The file. A key may be missing if a flag gives the value.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct File {
    #[serde(default, deserialize_with = "some_host")]
    pub(super) ip: Option<String>,
    #[serde(default, deserialize_with = "config_file::some_port")]
    pub(super) port: Option<u16>,
    pub(super) tls: Option<TlsFile>,
    #[serde(default, deserialize_with = "config_file::some_field")]
    pub(super) username: Option<Username>,
    #[serde(default, deserialize_with = "config_file::some_field")]
    pub(super) password: Option<Password>,
    #[serde(default)]
    pub(super) connections: Vec<ConnectionFile>,
    #[serde(default, deserialize_with = "config_file::some_field")]
    pub(super) name: Option<ClientName>,
    pub(super) peer: Option<Peer>,
    #[serde(default, deserialize_with = "some_millis")]
    pub(super) hold_first_bytes_ms: Option<Duration>,
    #[serde(default, deserialize_with = "some_patience")]
    pub(super) login_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "some_patience")]
    pub(super) longest_retry_wait: Option<Duration>,
    #[serde(default, deserialize_with = "some_spares")]
    pub(super) spare_connections: Option<usize>,
    pub(super) control_socket: Option<PathBuf>,
    pub(super) requests: Option<RequestsFile>,
}

/// The part that commands for a running client need.
#[cfg(unix)]
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SocketOnly {
    pub(super) control_socket: Option<PathBuf>,
}

/// The section `tls`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TlsFile {
    #[serde(default)]
    pub(super) enabled: bool,
    #[serde(default = "yes")]
    pub(super) verify: bool,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    #[serde(default, deserialize_with = "some_parsed")]
    pub(super) fingerprint: Option<Fingerprint>,
    #[serde(default, deserialize_with = "some_server_name")]
    pub(super) server_name: Option<ServerName<'static>>,
}

/// One of `connections`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConnectionFile {
    #[serde(default, deserialize_with = "some_host")]
    pub(super) ip: Option<String>,
    pub(super) port: Ports,
    pub(super) remote_port: Ports,
    #[serde(default)]
    pub(super) is_open: bool,
    /// The original client reads the key and ignores it.
    #[serde(default, rename = "tls")]
    _tls: bool,
}

/// The section `requests`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestsFile {
    pub(super) url: Url,
    #[serde(default)]
    pub(super) accept: Accept,
    pub(super) allow: Vec<AllowFile>,
    #[serde(default, deserialize_with = "some_or_more")]
    pub(super) remote_ports: Option<Vec<PortSet>>,
    #[serde(default)]
    pub(super) plain: bool,
    pub(super) verify: Option<bool>,
    pub(super) ca_file: Option<PathBuf>,
    #[serde(default, deserialize_with = "some_parsed")]
    pub(super) fingerprint: Option<Fingerprint>,
    #[serde(default, deserialize_with = "some_server_name")]
    pub(super) server_name: Option<ServerName<'static>>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

/// One of `requests.allow`.
#[derive(Debug, Deserialize)]
pub(super) struct AllowFile {
    #[serde(deserialize_with = "one_or_more")]
    pub(super) networks: Vec<Network>,
    #[serde(deserialize_with = "one_or_more")]
    pub(super) ports: Vec<PortSet>,
}

fn yes() -> bool {
    true
}
