//! Reading `server_config.json` and the files that it names.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use netroxy_net::config_file::{self, ConfigError, Loaded};
use netroxy_net::tls::What;
use netroxy_net::tls_server::{CertificateFiles, Setup};

use super::keys::KEYS;
use super::shape::{Checked, Https, MappedPortsFile, TlsFile};
use super::types::{Config, MappedPorts, TlsConfig, UserNetworks, WebConfig};
use crate::accounts::{Accounts, Secret};

impl Config {
    /// Reads `server_config.json`, and the certificates and keys that it names. Paths in the file are relative
    /// to its folder. The second part of the result are warnings.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with all problems and their places in the file.
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
                "{}: the file holds a password in clear text; 'netroxy-server hash-password' makes a \
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

/// Reads the certificates and keys that the file names.
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

/// The errors of keys that contradict each other.
fn contradictions(path: &Path, loaded: &Loaded<Checked>) -> Vec<ConfigError> {
    let Checked { file, users } = &loaded.value;
    let tls = file.tls.as_ref().filter(|tls| tls.enabled);
    let mut errors = Vec::new();
    if file.port.is_none() && tls.is_none() {
        let message = "clients cannot connect: neither port nor tls is given";
        errors.push(ConfigError::whole(path, message).with_hint("add \"port\": 10000"));
    }
    if file.port.is_some() && tls.is_some_and(|tls| tls.port == file.port) {
        let message =
            "must differ from port: clients with TLS and without TLS connect to different ports";
        errors.push(loaded.error("tls.port", message));
    }
    let mut names = BTreeSet::new();
    for user in users {
        let key = |member: &str| format!("{}{member}", user.holder);
        if user.has_both {
            let message = "the account also has a password; remove one of the two";
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
        // The account of the original's keys.
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

/// Reads the certificates of a listener. If `file` names none, those of `others` are used.
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
