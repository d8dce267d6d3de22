//! `server_config.json`, as the original server reads it, and what is new in it.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use netroxy_net::{
    config_file::{self, ConfigError, Loaded},
    listen::Bind,
    tls::What,
    tls_server::{CertificateFiles, Setup},
};
use netroxy_proto::{Password, Timeout, Username};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{Config, MappedPorts, Networks, TlsConfig, UserNetworks};
use crate::{
    accounts::{Account, Accounts, Secret},
    limits::{Limits, count, some_count},
    ports::PortSet,
    proxy_protocol,
};

/// Every key of the file, at any depth.
const KEYS: &[&str] = &[
    "ip",
    "port",
    "tls",
    "enabled",
    "ca",
    "key",
    "certificates",
    "clientCa",
    "onlyTls13",
    "web",
    "username",
    "password",
    "passwordHash",
    "users",
    "allowedPorts",
    "maxPorts",
    "maxTunnels",
    "timeout",
    "mappingIp",
    "loginTimeout",
    "userTimeout",
    "shutdownTimeout",
    "trustedProxies",
    "mappedPorts",
    "ports",
    "allow",
    "deny",
    "proxyProtocol",
    "usersPerSecond",
    "bytesPerSecond",
    "controlSocket",
    "limits",
    "freshConnections",
    "freshConnectionsPerAddress",
    "wrongPasswordSeconds",
    "handshakes",
    "clients",
    "portsPerClient",
    "tunnels",
    "tunnelsPerClient",
    "usersPerAddress",
    "waitingPerPort",
    "waiting",
    "reservedDescriptors",
    "unreadAnswers",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default, deserialize_with = "one_or_more")]
    ip: Vec<String>,
    #[serde(default, deserialize_with = "some_port")]
    port: Option<u16>,
    tls: Option<TlsFile>,
    web: Option<serde_json::Value>,
    #[serde(default, deserialize_with = "one_or_more")]
    mapping_ip: Vec<String>,
    #[serde(default, deserialize_with = "some_field")]
    username: Option<Username>,
    #[serde(default, deserialize_with = "some_field")]
    password: Option<Password>,
    #[serde(default, deserialize_with = "some_hash")]
    password_hash: Option<Secret>,
    #[serde(default)]
    users: Vec<UserFile>,
    #[serde(deserialize_with = "timeout")]
    timeout: Timeout,
    #[serde(default = "ten_seconds", deserialize_with = "config_file::patience")]
    login_timeout: Duration,
    #[serde(default = "ten_seconds", deserialize_with = "config_file::patience")]
    user_timeout: Duration,
    #[serde(default = "five_seconds", deserialize_with = "config_file::patience")]
    shutdown_timeout: Duration,
    #[serde(default, deserialize_with = "networks")]
    trusted_proxies: Networks,
    #[serde(default = "PortSet::unprivileged")]
    allowed_ports: PortSet,
    #[serde(default)]
    mapped_ports: Vec<MappedPortsFile>,
    #[serde(default)]
    limits: Limits,
    control_socket: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserFile {
    #[serde(deserialize_with = "config_file::field")]
    username: Username,
    #[serde(default, deserialize_with = "some_field")]
    password: Option<Password>,
    #[serde(default, deserialize_with = "some_hash")]
    password_hash: Option<Secret>,
    allowed_ports: Option<PortSet>,
    #[serde(default, deserialize_with = "some_count")]
    max_ports: Option<usize>,
    #[serde(default, deserialize_with = "some_count")]
    max_tunnels: Option<usize>,
}

/// TLS of the control port, or of a mapped port, which is the port itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TlsFile {
    #[serde(default)]
    enabled: bool,
    #[serde(default, deserialize_with = "some_port")]
    port: Option<u16>,
    ca: Option<PathBuf>,
    key: Option<PathBuf>,
    /// Further ones, for other names.
    #[serde(default)]
    certificates: Vec<CertificateFile>,
    client_ca: Option<PathBuf>,
    #[serde(default)]
    only_tls13: bool,
}

#[derive(Deserialize)]
struct CertificateFile {
    ca: PathBuf,
    key: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MappedPortsFile {
    ports: PortSet,
    #[serde(default, deserialize_with = "some_addresses")]
    ip: Option<Vec<Bind>>,
    tls: Option<TlsFile>,
    #[serde(default, deserialize_with = "networks")]
    allow: Networks,
    #[serde(default, deserialize_with = "networks")]
    deny: Networks,
    #[serde(default, deserialize_with = "networks")]
    trusted_proxies: Networks,
    proxy_protocol: Option<proxy_protocol::Version>,
    #[serde(default, deserialize_with = "count")]
    users_per_second: usize,
    #[serde(default, deserialize_with = "count")]
    bytes_per_second: usize,
}

/// What v0.3 asks for (`auth.deadline`, `tunnel.user-timeout`).
fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

impl Config {
    /// Reads `server_config.json`, and the certificates and keys that it names. Paths in the file
    /// are relative to it. The second part of the result are warnings for the user.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with the place in the file and the key.
    pub fn load(path: &Path) -> Result<(Self, Vec<String>), ConfigError> {
        let mut loaded = config_file::load::<File>(path, KEYS)?;
        let mut warnings = std::mem::take(&mut loaded.warnings);
        if loaded
            .value
            .web
            .as_ref()
            .is_some_and(|web| web["enabled"] != false)
        {
            warnings.push(format!(
                "{}: web: there is no web interface: ignored",
                path.display()
            ));
        }
        let tls = tls_config(&loaded)?;
        let accounts = accounts(&loaded, &mut warnings)?;
        let mapped_ports = mapped_ports(&loaded)?;
        let file = &loaded.value;
        let tls_port = tls.as_ref().map(|tls| tls.port);
        if file.port.is_none() && tls.is_none() {
            let message = "clients cannot connect: neither port nor tls is given";
            return Err(loaded.error("", message).with_hint("add \"port\": 10000"));
        }
        if tls_port.is_some() && file.port == tls_port {
            let message = "is the port without TLS, too: each needs a port of its own";
            return Err(loaded.error("tls.port", message));
        }
        let control_socket = file
            .control_socket
            .as_ref()
            .map(|path| loaded.relative(path));
        let file = loaded.value;
        let config = Self {
            ip: file.ip,
            port: file.port,
            tls,
            mapping_ip: file.mapping_ip,
            accounts: Arc::new(accounts),
            timeout: file.timeout,
            login_timeout: file.login_timeout,
            user_timeout: file.user_timeout,
            shutdown_timeout: file.shutdown_timeout,
            trusted_proxies: file.trusted_proxies,
            allowed_ports: file.allowed_ports,
            mapped_ports,
            limits: file.limits,
            control_socket,
        };
        Ok((config, warnings))
    }
}

/// The account of the original's keys, if they are there, and those of `users`.
fn accounts(loaded: &Loaded<File>, warnings: &mut Vec<String>) -> Result<Accounts, ConfigError> {
    let file = &loaded.value;
    let mut list = Vec::new();
    if file.username.is_some() || file.users.is_empty() {
        let username = file.username.clone().ok_or_else(|| {
            loaded
                .error("", "missing field `username`")
                .with_hint("add \"username\" and \"password\", or \"users\"")
        })?;
        let secret = secret(loaded, "", &file.password, &file.password_hash)?;
        list.push(Account {
            username,
            secret,
            allowed_ports: None,
            max_ports: None,
            max_tunnels: None,
        });
    }
    for (i, user) in file.users.iter().enumerate() {
        let key = format!("users[{i}]");
        let secret = secret(loaded, &key, &user.password, &user.password_hash)?;
        if list.iter().any(|other| other.username == user.username) {
            let key = format!("{key}.username");
            return Err(loaded.error(&key, "another user has this name already"));
        }
        if matches!(secret, Secret::Plain(_)) {
            warnings.push(format!(
                "{key}: the password stands in the file as it is; 'netroxy-server hash-password' makes \
                 a passwordHash of it"
            ));
        }
        list.push(Account {
            username: user.username.clone(),
            secret,
            allowed_ports: user.allowed_ports.clone(),
            max_ports: user.max_ports,
            max_tunnels: user.max_tunnels,
        });
    }
    Ok(Accounts::new(list))
}

fn secret(
    loaded: &Loaded<File>,
    key: &str,
    password: &Option<Password>,
    hash: &Option<Secret>,
) -> Result<Secret, ConfigError> {
    match (password, hash) {
        (Some(password), None) => Ok(Secret::Plain(password.clone())),
        (None, Some(hash)) => Ok(hash.clone()),
        (None, None) => Err(loaded.error(key, "missing field `password`").with_hint(
            "add \"password\", or the \"passwordHash\" that 'netroxy-server hash-password' makes",
        )),
        (Some(_), Some(_)) => {
            Err(loaded.error(key, "takes either password or passwordHash, not both"))
        }
    }
}

fn tls_config(loaded: &Loaded<File>) -> Result<Option<TlsConfig>, ConfigError> {
    let Some(tls) = loaded.value.tls.as_ref().filter(|tls| tls.enabled) else {
        return Ok(None);
    };
    let port = tls
        .port
        .ok_or_else(|| missing(loaded, "tls.port", "a port"))?;
    let server = server_tls(loaded, "tls", tls, None)?;
    Ok(Some(TlsConfig { port, server }))
}

fn mapped_ports(loaded: &Loaded<File>) -> Result<Vec<MappedPorts>, ConfigError> {
    let file = &loaded.value;
    let servers = file.tls.as_ref();
    let entry = |(i, mapped): (usize, &MappedPortsFile)| {
        let key = format!("mappedPorts[{i}].tls");
        let tls = match mapped.tls.as_ref().filter(|tls| tls.enabled) {
            Some(tls) => Some(server_tls(loaded, &key, tls, servers)?),
            None => None,
        };
        Ok(MappedPorts {
            ports: mapped.ports.clone(),
            ip: mapped.ip.clone(),
            tls,
            users: UserNetworks {
                allow: mapped.allow.clone(),
                deny: mapped.deny.clone(),
            },
            trusted_proxies: mapped.trusted_proxies.clone(),
            proxy_protocol: mapped.proxy_protocol,
            users_per_second: mapped.users_per_second,
            bytes_per_second: mapped.bytes_per_second,
        })
    };
    file.mapped_ports.iter().enumerate().map(entry).collect()
}

/// Reads the certificates of a listener. One without any has those of `others`.
fn server_tls(
    loaded: &Loaded<File>,
    key: &str,
    file: &TlsFile,
    others: Option<&TlsFile>,
) -> Result<Arc<rustls::ServerConfig>, ConfigError> {
    let has_none = file.ca.is_none() && file.key.is_none() && file.certificates.is_empty();
    let source = others.filter(|_| has_none).unwrap_or(file);
    let mut certificates = Vec::new();
    if source.ca.is_some() || source.key.is_some() || source.certificates.is_empty() {
        let ca = source
            .ca
            .as_ref()
            .ok_or_else(|| missing(loaded, &format!("{key}.ca"), "the certificate's PEM file"))?;
        let private = source
            .key
            .as_ref()
            .ok_or_else(|| missing(loaded, &format!("{key}.key"), "the private key's PEM file"))?;
        certificates.push(CertificateFiles {
            chain: loaded.relative(ca),
            key: loaded.relative(private),
        });
    }
    certificates.extend(source.certificates.iter().map(|pair| CertificateFiles {
        chain: loaded.relative(&pair.ca),
        key: loaded.relative(&pair.key),
    }));
    let setup = Setup {
        certificates,
        client_ca: file.client_ca.as_ref().map(|path| loaded.relative(path)),
        only_tls13: file.only_tls13,
    };
    setup.load().map_err(|error| {
        let culprit = match error.what() {
            What::Key => "key",
            What::Certificate => "ca",
            What::Ca => "clientCa",
        };
        loaded.caused(&format!("{key}.{culprit}"), &error, error.hint())
    })
}

fn missing(loaded: &Loaded<File>, key: &str, what: &str) -> ConfigError {
    loaded
        .error(key, format!("missing: TLS is enabled and needs {what}"))
        .with_hint("'netroxy-server gen-cert' makes a certificate (ca.pem) and its key (priv.key)")
}

fn some_port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    config_file::port(deserializer).map(Some)
}

fn some_field<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<String>,
    T::Error: std::fmt::Display,
{
    config_file::field(deserializer).map(Some)
}

fn some_hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Secret::hash(text).map(Some).map_err(D::Error::custom)
}

/// One text, or a list of texts.
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

/// Networks such as `10.0.0.0/8`, and single addresses.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Networks, D::Error> {
    let network = |text: String| {
        let single = text.parse::<IpAddr>().map(IpNet::from);
        single.or_else(|_| text.parse()).map_err(|_| {
            D::Error::custom(format_args!(
                "{text:?} is neither an IP address nor a network such as \"10.0.0.0/8\""
            ))
        })
    };
    let list = one_or_more(deserializer)?;
    list.into_iter()
        .map(network)
        .collect::<Result<_, _>>()
        .map(Networks)
}

fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timeout, D::Error> {
    let max = i64::try_from(Timeout::MAX_SECS).map_err(D::Error::custom)?;
    let secs = config_file::within(deserializer, 1, max, "whole seconds from 1 to 9223372036")?;
    Timeout::try_from(secs).map_err(D::Error::custom)
}
