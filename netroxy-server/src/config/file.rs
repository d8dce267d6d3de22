//! `server_config.json`, as the original server reads it, and what is new in it.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use netroxy_net::{
    config_file::{self, ConfigError, Key, Loaded, key},
    listen::Bind,
    networks::{Network, Networks},
    ports::PortSet,
    tls::What,
    tls_server::{CertificateFiles, Setup},
};
use netroxy_proto::{Password, Timeout, Username};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{Config, MappedPorts, TlsConfig, UserNetworks, WebConfig};
use crate::{
    accounts::{Account, Accounts, Secret},
    limits::{Limits, count, some_count},
    proxy_protocol,
};

/// Every key of the file, at any depth.
pub(super) const KEYS: &[Key] = &[
    key("ip", r#""127.0.0.1""#),
    key("port", "10000"),
    key("tls", r#"{"enabled": true}"#),
    key("enabled", "true"),
    key("ca", r#""ca.pem""#),
    key("key", r#""priv.key""#),
    key("certificates", r#"[{"ca": "ca.pem", "key": "priv.key"}]"#),
    key("clientCa", r#""clients.pem""#),
    key("onlyTls13", "true"),
    key("web", r#"{"enabled": false}"#),
    key("https", r#"{"enabled": true}"#),
    key("hosts", r#"["netroxy.example.org"]"#),
    key("administrators", r#"["alice"]"#),
    key("metricsToken", r#""a-long-random-text""#),
    key("root", r#""./""#),
    key("username", r#""alice""#),
    key("password", r#""secret""#),
    key("passwordHash", SOME_HASH),
    key("users", r#"[{"username": "alice", "password": "secret"}]"#),
    key("allowedPorts", r#""10000-10099""#),
    key("maxPorts", "16"),
    key("maxTunnels", "100"),
    key("timeout", "100"),
    key("mappingIp", r#""127.0.0.1""#),
    key("loginTimeout", "10"),
    key("userTimeout", "10"),
    key("shutdownTimeout", "5"),
    key("trustedProxies", r#"["127.0.0.1"]"#),
    key("mappedPorts", r#"[{"ports": "10000-10099"}]"#),
    key("ports", r#""10000-10099""#),
    key("allow", r#"["192.0.2.0/24"]"#),
    key("deny", r#"["192.0.2.0/24"]"#),
    key("proxyProtocol", "2"),
    key("usersPerSecond", "100"),
    key("bytesPerSecond", "1000000"),
    key("controlSocket", r#""netroxy-server.sock""#),
    key("limits", "{}"),
    key("freshConnections", "1024"),
    key("freshConnectionsPerAddress", "64"),
    key("wrongPasswordSeconds", "5"),
    key("handshakes", "128"),
    key("clients", "1024"),
    key("portsPerClient", "256"),
    key("tunnels", "4096"),
    key("tunnelsPerClient", "2048"),
    key("usersPerAddress", "256"),
    key("waitingPerPort", "1024"),
    key("waiting", "4096"),
    key("reservedDescriptors", "64"),
    key("unreadAnswers", "4096"),
];

/// Of the password "secret".
const SOME_HASH: &str = r#""$argon2id$v=19$m=19456,t=2,p=1$lWvvIO4VWfESFhNlnV6mHA$G066FZhnkqo3t95/N+4mSpwFmxPBgkFvDaKjr67k+YY""#;

/// A file whose accounts are whole.
#[derive(Deserialize)]
#[serde(try_from = "File")]
struct Checked {
    file: File,
    /// That of the original's keys, if they are there, and those of `users`.
    users: Vec<User>,
}

/// An account of the file.
#[derive(Deserialize)]
#[serde(try_from = "UserFile")]
struct User {
    account: Account,
    /// Whether there is a password and a hash.
    has_both: bool,
    /// The key that holds it, and a dot; nothing for the file itself.
    holder: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default, deserialize_with = "one_or_more")]
    ip: Vec<String>,
    #[serde(default, deserialize_with = "config_file::some_port")]
    port: Option<u16>,
    tls: Option<TlsFile>,
    web: Option<WebFile>,
    #[serde(default, deserialize_with = "one_or_more")]
    mapping_ip: Vec<String>,
    #[serde(default, deserialize_with = "config_file::some_field")]
    username: Option<Username>,
    #[serde(default, deserialize_with = "config_file::some_field")]
    password: Option<Password>,
    #[serde(default, deserialize_with = "some_hash")]
    password_hash: Option<Secret>,
    #[serde(default)]
    users: Vec<User>,
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

/// An entry of `users`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserFile {
    #[serde(deserialize_with = "config_file::field")]
    username: Username,
    #[serde(default, deserialize_with = "config_file::some_field")]
    password: Option<Password>,
    #[serde(default, deserialize_with = "some_hash")]
    password_hash: Option<Secret>,
    allowed_ports: Option<PortSet>,
    #[serde(default, deserialize_with = "some_count")]
    max_ports: Option<usize>,
    #[serde(default, deserialize_with = "some_count")]
    max_tunnels: Option<usize>,
}

/// The web interface, as the original has it, and what is new.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WebFile {
    #[serde(default)]
    enabled: bool,
    #[serde(default = "loopback", deserialize_with = "one_or_more")]
    ip: Vec<String>,
    #[serde(default, deserialize_with = "config_file::some_port")]
    port: Option<u16>,
    #[serde(default, deserialize_with = "https")]
    https: Https,
    #[serde(default, deserialize_with = "one_or_more")]
    hosts: Vec<String>,
    #[serde(default, deserialize_with = "some_usernames")]
    administrators: Option<Vec<Username>>,
    #[serde(default, deserialize_with = "config_file::some_field")]
    metrics_token: Option<Password>,
    /// Where the original has its templates.
    root: Option<String>,
}

/// TLS of the web interface: `true` alone takes the certificates of the control port.
#[derive(Default)]
enum Https {
    #[default]
    Off,
    On,
    With(Box<TlsFile>),
}

/// TLS of the control port, of the web interface, or of a mapped port; these two are the port
/// themselves.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TlsFile {
    #[serde(default)]
    enabled: bool,
    #[serde(default, deserialize_with = "config_file::some_port")]
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

/// As serde says it: the key is looked for among those that are misspelt.
fn missing_field(name: &str) -> String {
    format!("missing field `{name}`")
}

impl Config {
    /// Reads `server_config.json`, and the certificates and keys that it names. Paths in the file
    /// are relative to it. The second part of the result are warnings for the user.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with all problems, and the place of each in the file.
    pub fn load(path: &Path) -> Result<(Self, Vec<String>), ConfigError> {
        config_file::load_then(path, KEYS, |loaded| Self::from_file(path, loaded))
    }

    fn from_file(
        path: &Path,
        mut loaded: Loaded<Checked>,
    ) -> Result<(Self, Vec<String>), ConfigError> {
        let mut warnings = std::mem::take(&mut loaded.warnings);
        let web = loaded.value.file.web.as_ref();
        if web.is_some_and(|web| web.enabled && web.root.is_some()) {
            warnings.push(format!(
                "{}: web.root: ignored: the pages are part of the program",
                path.display()
            ));
        }
        let (mut errors, tls, mapped_ports) = files(&loaded);
        errors.extend(contradictions(path, &loaded));
        let web = web_config(&loaded).unwrap_or_else(|error| {
            errors.push(error);
            None
        });
        ConfigError::all(errors).map_err(|error| error.with_warnings(&warnings))?;
        let Checked { file, users } = loaded.value;
        let accounts: Vec<_> = users.into_iter().map(|user| user.account).collect();
        if accounts
            .iter()
            .any(|account| matches!(account.secret, Secret::Plain(_)))
        {
            warnings.push(format!(
                "{}: a password stands in the file as it is; 'netroxy-server hash-password' makes a \
                 passwordHash of it",
                path.display()
            ));
        }
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let config = Self {
            ip: file.ip,
            port: file.port,
            tls,
            mapping_ip: file.mapping_ip,
            accounts: Arc::new(Accounts::new(accounts)),
            timeout: file.timeout,
            login_timeout: file.login_timeout,
            user_timeout: file.user_timeout,
            shutdown_timeout: file.shutdown_timeout,
            trusted_proxies: file.trusted_proxies,
            allowed_ports: file.allowed_ports,
            mapped_ports,
            limits: file.limits,
            control_socket: file.control_socket.map(|path| folder.join(path)),
            web,
        };
        Ok((config, warnings))
    }
}

/// Reads the files that the file names.
fn files(loaded: &Loaded<Checked>) -> (Vec<ConfigError>, Option<TlsConfig>, Vec<MappedPorts>) {
    let mut errors = Vec::new();
    let mut mapped_ports = Vec::new();
    let tls = tls_config(loaded).unwrap_or_else(|error| {
        errors.push(error);
        None
    });
    for entry in mapped_ports_of(loaded) {
        match entry {
            Ok(entry) => mapped_ports.push(entry),
            Err(error) => errors.push(error),
        }
    }
    (errors, tls, mapped_ports)
}

/// What does not go together.
fn contradictions(path: &Path, loaded: &Loaded<Checked>) -> Vec<ConfigError> {
    let Checked { file, users } = &loaded.value;
    let tls = file.tls.as_ref().filter(|tls| tls.enabled);
    let mut errors = Vec::new();
    if file.port.is_none() && tls.is_none() {
        let message = "clients cannot connect: neither port nor tls is given";
        errors.push(ConfigError::whole(path, message).with_hint("add \"port\": 10000"));
    }
    if file.port.is_some() && tls.is_some_and(|tls| tls.port == file.port) {
        let message = "is the port without TLS, too: each needs a port of its own";
        errors.push(loaded.error("tls.port", message));
    }
    let mut names = BTreeSet::new();
    for user in users {
        let key = |member: &str| format!("{}{member}", user.holder);
        if user.has_both {
            let message = "stands beside a password: the account can have one of them";
            errors.push(loaded.error(&key("passwordHash"), message));
        }
        if !names.insert(user.account.username.as_bytes()) {
            let message = "another user has this name already";
            errors.push(loaded.error(&key("username"), message));
        }
    }
    errors
}

fn tls_config(loaded: &Loaded<Checked>) -> Result<Option<TlsConfig>, ConfigError> {
    let Some(tls) = loaded.value.file.tls.as_ref().filter(|tls| tls.enabled) else {
        return Ok(None);
    };
    match (tls.port, server_tls(loaded, "tls", tls, None)) {
        (Some(port), Ok(server)) => Ok(Some(TlsConfig { port, server })),
        (None, server) => {
            let port = missing(loaded, "tls.port", "a port");
            ConfigError::all([Some(port), server.err()].into_iter().flatten()).map(|()| None)
        }
        (Some(_), Err(error)) => Err(error),
    }
}

fn web_config(loaded: &Loaded<Checked>) -> Result<Option<WebConfig>, ConfigError> {
    let Checked { file, users } = &loaded.value;
    let Some(web) = file.web.as_ref().filter(|web| web.enabled) else {
        return Ok(None);
    };
    let mut errors = Vec::new();
    let whole = TlsFile::default();
    let tls = match &web.https {
        Https::On => Some(&whole),
        Https::With(tls) if tls.enabled => Some(&**tls),
        Https::With(_) | Https::Off => None,
    };
    let tls = tls.map(|tls| server_tls(loaded, "web.https", tls, file.tls.as_ref()));
    let tls = tls.transpose().unwrap_or_else(|error| {
        errors.push(error);
        None
    });
    if web.port.is_none() {
        let message = "missing: the web interface is enabled and needs a port";
        let error = loaded.error("web.port", message);
        errors.push(error.with_hint("add it, for example \"port\": 8080"));
    }
    if let Some(token) = &web.metrics_token
        && token.expose().is_empty()
    {
        errors.push(loaded.error("web.metricsToken", "must not be empty"));
    }
    let names = || users.iter().map(|user| &user.account.username);
    let administrators: BTreeSet<_> = match &web.administrators {
        Some(list) => list.iter().cloned().collect(),
        // That of the original's keys.
        None => users
            .iter()
            .filter(|user| user.holder.is_empty())
            .map(|user| user.account.username.clone())
            .collect(),
    };
    if let Some(unknown) = administrators
        .iter()
        .find(|name| !names().any(|known| known == *name))
    {
        let message = format!("no account has the name {unknown}");
        errors.push(loaded.error("web.administrators", message));
    }
    ConfigError::all(errors)?;
    Ok(web.port.map(|port| WebConfig {
        ip: web.ip.clone(),
        port,
        tls,
        hosts: web.hosts.clone(),
        administrators,
        metrics_token: web.metrics_token.clone(),
    }))
}

fn mapped_ports_of(
    loaded: &Loaded<Checked>,
) -> impl Iterator<Item = Result<MappedPorts, ConfigError>> {
    let file = &loaded.value.file;
    let servers = file.tls.as_ref();
    let entry = move |(i, mapped): (usize, &MappedPortsFile)| {
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
    file.mapped_ports.iter().enumerate().map(entry)
}

/// Reads the certificates of a listener. One without any has those of `others`.
fn server_tls(
    loaded: &Loaded<Checked>,
    key: &str,
    file: &TlsFile,
    others: Option<&TlsFile>,
) -> Result<Arc<rustls::ServerConfig>, ConfigError> {
    let has_none = file.ca.is_none() && file.key.is_none() && file.certificates.is_empty();
    let source = others.filter(|_| has_none).unwrap_or(file);
    let mut certificates = Vec::new();
    if source.ca.is_some() || source.key.is_some() || source.certificates.is_empty() {
        let absent = |member, what| missing(loaded, &format!("{key}.{member}"), what);
        let chain = source.ca.as_ref();
        let chain = chain.ok_or_else(|| absent("ca", "the certificate's PEM file"));
        let private = source.key.as_ref();
        let private = private.ok_or_else(|| absent("key", "the private key's PEM file"));
        let (ca, private) = match (chain, private) {
            (Ok(chain), Ok(private)) => (chain, private),
            (Err(chain), Err(private)) => {
                let both = ConfigError::all([chain, private]);
                return both.and_then(|()| Err(missing(loaded, key, "a certificate")));
            }
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error),
        };
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

fn missing(loaded: &Loaded<Checked>, key: &str, what: &str) -> ConfigError {
    loaded
        .error(key, format!("missing: TLS is enabled and needs {what}"))
        .with_hint("'netroxy-server gen-cert' makes a certificate (ca.pem) and its key (priv.key)")
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
    let network = |text: String| text.parse::<Network>().map_err(D::Error::custom);
    let list = one_or_more(deserializer)?;
    list.into_iter().map(network).collect()
}

fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timeout, D::Error> {
    let max = i64::try_from(Timeout::MAX_SECS).map_err(D::Error::custom)?;
    let secs = config_file::within(deserializer, 1, max, "whole seconds from 1 to 9223372036")?;
    Timeout::try_from(secs).map_err(D::Error::custom)
}
