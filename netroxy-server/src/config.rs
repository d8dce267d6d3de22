//! `server_config.json`, as the original server reads it, and what is new in it.

use std::{fmt, path::Path, path::PathBuf, sync::Arc, time::Duration};

use netroxy_net::{
    config_file::{self, ConfigError, Key, Loaded, key},
    tls::{self, What},
};
use netroxy_proto::{Password, Timeout, Username};
use serde::{Deserialize, Deserializer};

/// What a server is started with.
#[derive(Clone)]
pub struct Config {
    /// Address on which clients connect: an IP address or a name; empty and `0.0.0.0` mean all
    /// addresses.
    pub ip: String,
    /// Port on which clients connect without TLS; 0 is any free one.
    pub port: Option<u16>,
    /// Where clients connect with TLS.
    pub tls: Option<TlsConfig>,
    /// Address on which users connect to mapped ports, as `ip`.
    pub mapping_ip: String,
    /// The user name of every client.
    pub username: Username,
    /// The password of every client.
    pub password: Password,
    /// How long a client may be silent.
    pub timeout: Timeout,
    /// How long a connection may take to log in, or to become a tunnel, from its first moment.
    pub login_timeout: Duration,
    /// How long a user waits for a tunnel.
    pub user_timeout: Duration,
}

/// A listener with TLS.
#[derive(Clone)]
pub struct TlsConfig {
    /// The port; 0 is any free one.
    pub port: u16,
    /// Certificate and key.
    pub server: Arc<rustls::ServerConfig>,
}

/// Every key of the file, at any depth.
const KEYS: &[Key] = &[
    key("ip", r#""127.0.0.1""#),
    key("port", "10000"),
    key("tls", r#"{"enabled": true}"#),
    key("enabled", "true"),
    key("ca", r#""ca.pem""#),
    key("key", r#""priv.key""#),
    key("web", r#"{"enabled": false}"#),
    key("username", r#""alice""#),
    key("password", r#""secret""#),
    key("timeout", "100"),
    key("mappingIp", r#""127.0.0.1""#),
    key("loginTimeout", "10"),
    key("userTimeout", "10"),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    ip: String,
    #[serde(default, deserialize_with = "some_port")]
    port: Option<u16>,
    tls: Option<TlsFile>,
    web: Option<serde_json::Value>,
    #[serde(default)]
    mapping_ip: String,
    #[serde(deserialize_with = "config_file::field")]
    username: Username,
    #[serde(deserialize_with = "config_file::field")]
    password: Password,
    #[serde(deserialize_with = "timeout")]
    timeout: Timeout,
    #[serde(default = "ten_seconds", deserialize_with = "config_file::patience")]
    login_timeout: Duration,
    #[serde(default = "ten_seconds", deserialize_with = "config_file::patience")]
    user_timeout: Duration,
}

/// What v0.3 asks for (`auth.deadline`, `tunnel.user-timeout`).
fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

#[derive(Deserialize)]
struct TlsFile {
    #[serde(default)]
    enabled: bool,
    #[serde(default, deserialize_with = "some_port")]
    port: Option<u16>,
    ca: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Config {
    /// Reads `server_config.json`, and the certificate and key that it names. Paths in the file
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
        let tls = tls_config(&loaded).map_err(|e| e.with_warnings(&warnings))?;
        let file = loaded.value;
        if file.port.is_none() && tls.is_none() {
            let message = "clients cannot connect: neither port nor tls is given";
            return Err(ConfigError::whole(path, message)
                .with_hint("add \"port\": 10000")
                .with_warnings(&warnings));
        }
        let config = Self {
            ip: file.ip,
            port: file.port,
            tls,
            mapping_ip: file.mapping_ip,
            username: file.username,
            password: file.password,
            timeout: file.timeout,
            login_timeout: file.login_timeout,
            user_timeout: file.user_timeout,
        };
        Ok((config, warnings))
    }
}

fn tls_config(loaded: &Loaded<File>) -> Result<Option<TlsConfig>, ConfigError> {
    let Some(tls) = loaded.value.tls.as_ref().filter(|tls| tls.enabled) else {
        return Ok(None);
    };
    let missing = |key: &str, what: &str| {
        loaded
            .error(
                &format!("tls.{key}"),
                format!("missing: TLS is enabled and needs {what}"),
            )
            .with_hint(
                "'netroxy-server gen-cert' makes a certificate (ca.pem) and its key (priv.key)",
            )
    };
    let (Some(port), Some(cert), Some(key)) = (tls.port, &tls.ca, &tls.key) else {
        let port = tls.port.is_none().then(|| missing("port", "a port"));
        let cert = tls.ca.is_none();
        let cert = cert.then(|| missing("ca", "the certificate's PEM file"));
        let key = tls.key.is_none();
        let key = key.then(|| missing("key", "the private key's PEM file"));
        return ConfigError::all([port, cert, key].into_iter().flatten()).map(|()| None);
    };
    let (cert, key) = (loaded.relative(cert), loaded.relative(key));
    let server = tls::server(&cert, &key).map_err(|error| {
        let culprit = if error.what() == What::Key {
            "tls.key"
        } else {
            "tls.ca"
        };
        loaded.caused(culprit, &error, error.hint())
    })?;
    Ok(Some(TlsConfig { port, server }))
}

fn some_port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    config_file::port(deserializer).map(Some)
}

fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timeout, D::Error> {
    let max = i64::try_from(Timeout::MAX_SECS).map_err(serde::de::Error::custom)?;
    let secs = config_file::within(deserializer, 1, max, "whole seconds from 1 to 9223372036")?;
    Timeout::try_from(secs).map_err(serde::de::Error::custom)
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("ip", &self.ip)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .field("mapping_ip", &self.mapping_ip)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "config_words.rs"]
mod words;
