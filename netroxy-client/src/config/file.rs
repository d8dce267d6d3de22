//! The keys of `client_config.json`.

use std::{path::PathBuf, time::Duration};

use netroxy_net::{
    config_file::{self, Key, key},
    tls::{self, Fingerprint, Trust},
};
use netroxy_proto::{ClientName, Password, Username};
use rustls_pki_types::ServerName;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{Peer, mapping::Ports, requests::RequestsFile};

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

/// The greatest number of spare connections that can be set.
pub(super) const MOST_SPARES: usize = 1000;

/// The file. What a flag can give as well may be missing here.
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

/// What a command needs that talks to a running client.
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
    /// The original reads it and does nothing with it.
    #[serde(default, rename = "tls")]
    _tls: bool,
}

fn yes() -> bool {
    true
}

/// A host: brackets around an IPv6 address are taken off.
fn some_host<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.contains('\n') {
        return Err(D::Error::custom("must not contain a line feed"));
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    Ok(Some(bare.map_or_else(|| text.clone(), str::to_owned)))
}

fn some_patience<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    config_file::patience(deserializer).map(Some)
}

fn some_millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let millis = config_file::within(deserializer, 0, 10_000, "milliseconds from 0 to 10000")?;
    Ok(Some(Duration::from_millis(millis.unsigned_abs())))
}

fn some_spares<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let most = i64::try_from(MOST_SPARES).unwrap_or(i64::MAX);
    let count = config_file::within(
        deserializer,
        0,
        most,
        &format!("a number from 0 to {MOST_SPARES}"),
    )?;
    Ok(usize::try_from(count).ok())
}

pub(super) fn some_parsed<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

pub(super) fn some_server_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ServerName<'static>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    tls::server_name(&text, &Trust::System)
        .map(Some)
        .map_err(D::Error::custom)
}
