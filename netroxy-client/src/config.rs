//! `client_config.json`, as the original client reads it, and what is new in it.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use netroxy_net::{
    config_file::{self, ConfigError, Loaded},
    tls::{self, Fingerprint, Trust},
};
use netroxy_proto::{ClientName, Password, RemotePort, Target, Username, client::Mapping};
use rustls_pki_types::ServerName;
use serde::{Deserialize, Deserializer, de::Error as _};

mod name;

use name::Identity;

/// What a client is started with.
#[derive(Clone)]
pub struct Config {
    /// Where the server is.
    pub server: ServerConfig,
    /// The name shown to the server; the server replaces an older login of the same name.
    pub name: ClientName,
    /// The user name.
    pub username: Username,
    /// The password.
    pub password: Password,
    /// What is to be reachable through the server.
    pub services: Vec<Service>,
    /// How long the first bytes of a service are held back after TRS; `None` is 20 ms for an
    /// original server on plain TCP and else not at all.
    pub hold_first_bytes: Option<Duration>,
    /// How long the server may take to answer a login.
    pub login_timeout: Duration,
    /// The longest wait before another attempt, without its random part.
    pub longest_retry_wait: Duration,
}

/// Where the server is.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Name or IP address, without brackets.
    pub host: String,
    /// The port for clients.
    pub port: u16,
    /// TLS, if the port speaks it.
    pub tls: Option<TlsConfig>,
}

/// TLS to the server.
#[derive(Clone)]
pub struct TlsConfig {
    /// The name that the certificate must have.
    pub server_name: ServerName<'static>,
    /// Whom to trust.
    pub client: Arc<rustls::ClientConfig>,
}

/// A service that is to be reachable through the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The port on the server.
    pub remote_port: RemotePort,
    /// Name or IP address of the service, without brackets; empty is this machine.
    pub host: String,
    /// Port of the service.
    pub port: u16,
    /// Whether the server lets users through.
    pub is_open: bool,
}

impl Service {
    /// The address as it is told to the server.
    #[must_use]
    pub fn target(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    pub(crate) fn mapping(&self) -> Mapping {
        // The configuration was checked: no host holds a line feed. A host of a library user that
        // does is told to the server without it; the connection uses the host itself.
        let target = self.target().replace('\n', "");
        let target = Target::try_from(target.as_bytes()).unwrap_or_else(|_| Target::empty());
        Mapping {
            remote_port: self.remote_port,
            target,
            is_open: self.is_open,
        }
    }
}

impl From<ConnectionFile> for Service {
    fn from(connection: ConnectionFile) -> Self {
        Self {
            remote_port: connection.remote_port,
            host: connection.ip,
            port: connection.port,
            is_open: connection.is_open,
        }
    }
}

/// Every key of the file, at any depth.
const KEYS: &[&str] = &[
    "ip",
    "port",
    "tls",
    "enabled",
    "verify",
    "caFile",
    "fingerprint",
    "serverName",
    "username",
    "password",
    "connections",
    "remotePort",
    "isOpen",
    "name",
    "holdFirstBytesMs",
    "loginTimeout",
    "longestRetryWait",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default, deserialize_with = "host")]
    ip: String,
    #[serde(deserialize_with = "config_file::port")]
    port: u16,
    tls: Option<TlsFile>,
    #[serde(deserialize_with = "config_file::field")]
    username: Username,
    #[serde(deserialize_with = "config_file::field")]
    password: Password,
    #[serde(default)]
    connections: Vec<ConnectionFile>,
    #[serde(default, deserialize_with = "some_name")]
    name: Option<ClientName>,
    #[serde(default, deserialize_with = "some_millis")]
    hold_first_bytes_ms: Option<Duration>,
    #[serde(default = "ten_seconds", deserialize_with = "config_file::patience")]
    login_timeout: Duration,
    #[serde(default = "eight_seconds", deserialize_with = "config_file::patience")]
    longest_retry_wait: Duration,
}

/// With a random quarter, less than v0.3 asks for (`life.reconnect-time`, `map.client-retries`).
fn eight_seconds() -> Duration {
    Duration::from_secs(8)
}

/// What v0.3 asks for (`auth.client-deadline`).
fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TlsFile {
    #[serde(default)]
    enabled: bool,
    #[serde(default = "yes")]
    verify: bool,
    ca_file: Option<PathBuf>,
    #[serde(default, deserialize_with = "some_fingerprint")]
    fingerprint: Option<Fingerprint>,
    #[serde(default, deserialize_with = "some_server_name")]
    server_name: Option<ServerName<'static>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConnectionFile {
    #[serde(default, deserialize_with = "host")]
    ip: String,
    #[serde(deserialize_with = "config_file::port")]
    port: u16,
    #[serde(deserialize_with = "remote_port")]
    remote_port: RemotePort,
    #[serde(default)]
    is_open: bool,
    /// The original reads it and does nothing with it.
    #[serde(default, rename = "tls")]
    _tls: bool,
}

impl Config {
    /// Reads `client_config.json`, and the CA file that it may name. Paths in the file are
    /// relative to it. The second part of the result are warnings for the user.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with the place in the file and the key.
    pub fn load(path: &Path) -> Result<(Self, Vec<String>), ConfigError> {
        let mut loaded = config_file::load::<File>(path, KEYS)?;
        let mut warnings = std::mem::take(&mut loaded.warnings);
        let tls = tls_config(&loaded, &mut warnings)?;
        let mut file = loaded.value;
        let name = file
            .name
            .take()
            .unwrap_or_else(|| default_name(&file, path));
        if tls.is_none() && !is_loopback(&file.ip) {
            warnings.push(format!(
                "{}: tls is not enabled: the password crosses the network in clear text",
                path.display()
            ));
        }
        let mut services: Vec<Service> = Vec::new();
        for connection in file.connections {
            let service = Service::from(connection);
            // The original asks twice, is refused once, and connects users to the later one.
            if let Some(i) = services
                .iter()
                .position(|s| s.remote_port == service.remote_port)
            {
                warnings.push(format!(
                    "{}: remotePort {} is given twice: the later one counts",
                    path.display(),
                    service.remote_port
                ));
                services.remove(i);
            }
            services.push(service);
        }
        let config = Self {
            server: ServerConfig {
                host: file.ip,
                port: file.port,
                tls,
            },
            name,
            username: file.username,
            password: file.password,
            services,
            hold_first_bytes: file.hold_first_bytes_ms,
            login_timeout: file.login_timeout,
            longest_retry_wait: file.longest_retry_wait,
        };
        Ok((config, warnings))
    }
}

fn tls_config(
    loaded: &Loaded<File>,
    warnings: &mut Vec<String>,
) -> Result<Option<TlsConfig>, ConfigError> {
    let file = &loaded.value;
    let Some(tls) = file.tls.as_ref().filter(|tls| tls.enabled) else {
        return Ok(None);
    };
    let trust = match (tls.fingerprint, &tls.ca_file) {
        (Some(pin), _) => Trust::Fingerprint(pin),
        (None, Some(ca)) => Trust::CaFile(loaded.relative(ca)),
        (None, None) if tls.verify => Trust::System,
        (None, None) => {
            warnings.push(
                "tls.verify is false: anyone between client and server can read the password and \
                 all traffic; set tls.fingerprint or tls.caFile"
                    .to_owned(),
            );
            Trust::Anyone
        }
    };
    let server_name = match &tls.server_name {
        Some(name) => name.clone(),
        None => {
            let host = if file.ip.is_empty() {
                "localhost"
            } else {
                &file.ip
            };
            ServerName::try_from(host.to_owned())
                .map_err(|error| loaded.error("ip", format!("no host name for TLS: {error}")))?
        }
    };
    let key = if tls.ca_file.is_some() {
        "tls.caFile"
    } else {
        "tls.verify"
    };
    let client = tls::client(&trust).map_err(|e| loaded.caused(key, &e, e.hint()))?;
    Ok(Some(TlsConfig {
        server_name,
        client,
    }))
}

/// Lasts over restarts: see [`name`].
fn default_name(file: &File, path: &Path) -> ClientName {
    let host_name = gethostname::gethostname();
    let path = std::path::absolute(path);
    let path = path.and_then(|path| path.canonicalize().or(Ok(path)));
    Identity {
        host_name: &host_name.to_string_lossy(),
        machine_id: name::machine_id().as_deref(),
        server: (&file.ip, file.port),
        username: &file.username,
        file: path.as_deref().ok(),
        services: &[],
    }
    .name()
}

fn is_loopback(host: &str) -> bool {
    host.is_empty()
        || host == "localhost"
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn yes() -> bool {
    true
}

/// A host: brackets around an IPv6 address are taken off.
fn host<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.contains('\n') {
        return Err(D::Error::custom("must not contain a line feed"));
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    Ok(bare.map_or_else(|| text.clone(), str::to_owned))
}

fn remote_port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RemotePort, D::Error> {
    RemotePort::try_from(i64::from(config_file::port(deserializer)?)).map_err(D::Error::custom)
}

fn some_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ClientName>, D::Error> {
    config_file::field(deserializer).map(Some)
}

fn some_millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let millis = config_file::within(deserializer, 0, 10_000, "milliseconds from 0 to 10000")?;
    Ok(Some(Duration::from_millis(millis.unsigned_abs())))
}

fn some_fingerprint<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Fingerprint>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

fn some_server_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ServerName<'static>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = "must be a DNS name or an IP address";
    ServerName::try_from(text)
        .map(Some)
        .map_err(|_| D::Error::custom(wrong))
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("server", &self.server)
            .field("name", &self.name)
            .field("services", &self.services)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}
