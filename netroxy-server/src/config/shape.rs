//! The keys of `server_config.json` as types: those of the original server, and further ones.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use netroxy_net::config_file;
use netroxy_net::listen::Bind;
use netroxy_net::networks::{Network, Networks};
use netroxy_net::ports::PortSet;
use netroxy_proto::{Password, Timeout, Username};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::accounts::{Account, Secret};
use crate::limits::{Limits, count, some_count};
use crate::proxy_protocol;

/// A file whose accounts are complete.
#[derive(Deserialize)]
#[serde(try_from = "File")]
pub(super) struct Checked {
    pub(super) file: File,
    /// The account of the original's keys `username` and `password`, if they are present, and those of `users`.
    pub(super) users: Vec<User>,
}

/// An account of the file.
#[derive(Deserialize)]
#[serde(try_from = "UserFile")]
pub(super) struct User {
    pub(super) account: Account,
    /// Whether it has both a password and a hash, which is an error.
    pub(super) has_both: bool,
    /// The key of the object that holds it, with a dot at its end; empty for the file itself.
    pub(super) holder: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct File {
    #[serde(default, deserialize_with = "one_or_more")]
    pub(super) ip: Vec<String>,
    #[serde(default, deserialize_with = "config_file::some_port")]
    pub(super) port: Option<u16>,
    pub(super) tls: Option<TlsFile>,
    pub(super) web: Option<WebFile>,
    #[serde(default, deserialize_with = "one_or_more")]
    pub(super) mapping_ip: Vec<String>,
    #[serde(default, deserialize_with = "config_file::some_field")]
    pub(super) username: Option<Username>,
    #[serde(default, deserialize_with = "config_file::some_field")]
    pub(super) password: Option<Password>,
    #[serde(default, deserialize_with = "some_hash")]
    pub(super) password_hash: Option<Secret>,
    #[serde(default)]
    pub(super) users: Vec<User>,
    #[serde(deserialize_with = "timeout")]
    pub(super) timeout: Timeout,
    #[serde(default = "ten_seconds", deserialize_with = "config_file::patience")]
    pub(super) login_timeout: Duration,
    #[serde(default = "ten_seconds", deserialize_with = "config_file::patience")]
    pub(super) user_timeout: Duration,
    #[serde(default = "five_seconds", deserialize_with = "config_file::patience")]
    pub(super) shutdown_timeout: Duration,
    #[serde(default, deserialize_with = "networks")]
    pub(super) trusted_proxies: Networks,
    #[serde(default = "PortSet::unprivileged")]
    pub(super) allowed_ports: PortSet,
    #[serde(default)]
    pub(super) mapped_ports: Vec<MappedPortsFile>,
    #[serde(default)]
    pub(super) limits: Limits,
    pub(super) control_socket: Option<PathBuf>,
}

/// An entry of `users`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserFile {
    #[serde(deserialize_with = "config_file::field")]
    pub(super) username: Username,
    #[serde(default, deserialize_with = "config_file::some_field")]
    pub(super) password: Option<Password>,
    #[serde(default, deserialize_with = "some_hash")]
    pub(super) password_hash: Option<Secret>,
    pub(super) allowed_ports: Option<PortSet>,
    #[serde(default, deserialize_with = "some_count")]
    pub(super) max_ports: Option<usize>,
    #[serde(default, deserialize_with = "some_count")]
    pub(super) max_tunnels: Option<usize>,
}

/// The section `web`: the keys of the original server, and further ones.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WebFile {
    #[serde(default)]
    pub(super) enabled: bool,
    #[serde(default = "loopback", deserialize_with = "one_or_more")]
    pub(super) ip: Vec<String>,
    #[serde(default, deserialize_with = "config_file::some_port")]
    pub(super) port: Option<u16>,
    #[serde(default, deserialize_with = "https")]
    pub(super) https: Https,
    #[serde(default, deserialize_with = "one_or_more")]
    pub(super) hosts: Vec<String>,
    #[serde(default, deserialize_with = "some_usernames")]
    pub(super) administrators: Option<Vec<Username>>,
    #[serde(default, deserialize_with = "config_file::some_field")]
    pub(super) metrics_token: Option<Password>,
    /// The folder of the original's templates, which is ignored.
    pub(super) root: Option<String>,
}

/// TLS of the web interface. `true` means: with the certificates of the control port.
#[derive(Default)]
pub(super) enum Https {
    #[default]
    Off,
    On,
    With(Box<TlsFile>),
}

/// TLS of the control port, of the web interface or of a mapped port. Only the control port has a port for TLS
/// of its own.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TlsFile {
    #[serde(default)]
    pub(super) enabled: bool,
    #[serde(default, deserialize_with = "config_file::some_port")]
    pub(super) port: Option<u16>,
    pub(super) ca: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    /// Further certificates, for other names.
    #[serde(default)]
    pub(super) certificates: Vec<CertificateFile>,
    pub(super) client_ca: Option<PathBuf>,
    #[serde(default)]
    pub(super) only_tls13: bool,
}

#[derive(Deserialize)]
pub(super) struct CertificateFile {
    pub(super) ca: PathBuf,
    pub(super) key: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MappedPortsFile {
    pub(super) ports: PortSet,
    #[serde(default, deserialize_with = "some_addresses")]
    pub(super) ip: Option<Vec<Bind>>,
    pub(super) tls: Option<TlsFile>,
    #[serde(default, deserialize_with = "networks")]
    pub(super) allow: Networks,
    #[serde(default, deserialize_with = "networks")]
    pub(super) deny: Networks,
    #[serde(default, deserialize_with = "networks")]
    pub(super) trusted_proxies: Networks,
    pub(super) proxy_protocol: Option<proxy_protocol::Version>,
    #[serde(default, deserialize_with = "count")]
    pub(super) users_per_second: usize,
    #[serde(default, deserialize_with = "count")]
    pub(super) bytes_per_second: usize,
}

/// The default of the specification (`auth.deadline`, `tunnel.user-timeout`).
fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn loopback() -> Vec<String> {
    vec!["127.0.0.1".to_owned()]
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

impl TryFrom<File> for Checked {
    type Error = String;

    fn try_from(mut file: File) -> Result<Self, String> {
        let mut users = std::mem::take(&mut file.users);
        for (i, user) in users.iter_mut().enumerate() {
            user.holder = format!("users[{i}].");
        }
        let has_own =
            file.username.is_some() || file.password.is_some() || file.password_hash.is_some();
        if has_own || users.is_empty() {
            let own = UserFile {
                username: file
                    .username
                    .take()
                    .ok_or_else(|| missing_field("username"))?,
                password: file.password.take(),
                password_hash: file.password_hash.take(),
                allowed_ports: None,
                max_ports: None,
                max_tunnels: None,
            };
            users.insert(0, own.try_into()?);
        }
        Ok(Self { file, users })
    }
}

impl TryFrom<UserFile> for User {
    type Error = String;

    fn try_from(user: UserFile) -> Result<Self, String> {
        let has_both = user.password.is_some() && user.password_hash.is_some();
        let password = user.password.map(Secret::Plain);
        let secret = user.password_hash.or(password);
        let account = Account {
            username: user.username,
            secret: secret.ok_or_else(|| missing_field("password"))?,
            allowed_ports: user.allowed_ports,
            max_ports: user.max_ports,
            max_tunnels: user.max_tunnels,
        };
        let holder = String::new();
        Ok(Self {
            account,
            has_both,
            holder,
        })
    }
}

/// The error text of serde for a missing key. The reader of the file parses it and looks for a misspelt key.
fn missing_field(name: &str) -> String {
    format!("missing field `{name}`")
}

fn some_hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Secret::hash(text).map(Some).map_err(D::Error::custom)
}

fn some_usernames<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Username>>, D::Error> {
    let list = one_or_more(deserializer)?;
    let name = |text: String| text.try_into().map_err(D::Error::custom);
    list.into_iter()
        .map(name)
        .collect::<Result<_, _>>()
        .map(Some)
}

fn https<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Https, D::Error> {
    struct SwitchOrSection;

    impl<'de> Visitor<'de> for SwitchOrSection {
        type Value = Https;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("true, false or a section")
        }

        fn visit_bool<E>(self, on: bool) -> Result<Https, E> {
            Ok(if on { Https::On } else { Https::Off })
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Https, A::Error> {
            let section = TlsFile::deserialize(MapAccessDeserializer::new(map))?;
            Ok(Https::With(Box::new(section)))
        }
    }

    deserializer.deserialize_any(SwitchOrSection)
}

/// Reads one text, or a list of texts.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let text = |value| match value {
        serde_json::Value::String(text) => Ok(text),
        _ => Err(D::Error::custom(
            "expected a text in quotes, or a list of them",
        )),
    };
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Array(list) => list.into_iter().map(text).collect(),
        one => Ok(vec![text(one)?]),
    }
}

fn some_addresses<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Bind>>, D::Error> {
    let list = one_or_more(deserializer)?;
    let bind = |text: String| text.parse().map_err(D::Error::custom);
    list.into_iter()
        .map(bind)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Reads networks such as `10.0.0.0/8`, and single addresses.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Networks, D::Error> {
    let network = |text: String| text.parse::<Network>().map_err(D::Error::custom);
    let list = one_or_more(deserializer)?;
    list.into_iter().map(network).collect()
}

fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timeout, D::Error> {
    let max = i64::try_from(Timeout::MAX_SECS).map_err(D::Error::custom)?;
    let secs = config_file::within(deserializer, 1, max, "whole seconds from 1 to 9223372036")?;
    Timeout::try_from(secs).map_err(D::Error::custom)
}
