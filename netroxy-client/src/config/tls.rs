//! Whether a client speaks TLS, and whom it trusts then.

use std::{fmt, net::IpAddr, path::PathBuf, sync::Arc};

use netroxy_net::{
    config_file::ConfigError,
    tls::{self, Trust, What},
    tls_server::CertificateFiles,
};
use rustls_pki_types::ServerName;

use super::{Origin, file::TlsFile, flags::Flags};

/// TLS to the server.
#[derive(Clone)]
pub struct TlsConfig {
    /// The name that the certificate must have.
    pub server_name: ServerName<'static>,
    /// Whom to trust.
    pub client: Arc<rustls::ClientConfig>,
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// TLS as flags and file want it; flags come first.
pub(super) fn config(
    flags: &Flags,
    file: Option<&TlsFile>,
    host: &str,
    origin: &Origin,
    warnings: &mut Vec<String>,
) -> Result<Option<TlsConfig>, ConfigError> {
    if !is_wanted(flags, file, host, origin) {
        if !is_loopback(host) {
            let why = if flags.plain {
                "--plain"
            } else {
                "tls is not enabled"
            };
            warnings.push(format!(
                "{}: {why}: the password crosses the network in clear text",
                origin.shown()
            ));
        }
        return Ok(None);
    }
    let (trust, key) = trust(flags, file, origin);
    if matches!(trust, Trust::Anyone) {
        let (what, instead) = if flags.insecure {
            ("--insecure", "use --fingerprint or --ca-file")
        } else {
            ("tls.verify is false", "set tls.fingerprint or tls.caFile")
        };
        warnings.push(format!(
            "{what}: anyone between client and server can read the password and all traffic; \
             {instead}"
        ));
    }
    let named = file.and_then(|tls| tls.server_name.as_ref());
    let server_name = match flags.server_name.as_ref().or(named) {
        Some(name) => name.clone(),
        None => {
            let host = if host.is_empty() { "localhost" } else { host };
            tls::server_name(host, &trust).map_err(|error| {
                let key = if flags.server.is_some() {
                    "--server"
                } else {
                    "ip"
                };
                origin.error(key, format!("{error} for TLS"))
            })?
        }
    };
    let identity = Identity::find(flags, file, origin)?;
    with_trust(server_name, &trust, key, identity.as_ref(), origin).map(Some)
}

/// Reads what `trust` and the certificate need; `key` is the key or flag that says whom to trust.
pub(super) fn with_trust(
    server_name: ServerName<'static>,
    trust: &Trust,
    key: &str,
    identity: Option<&Identity>,
    origin: &Origin,
) -> Result<TlsConfig, ConfigError> {
    let files = identity.map(|identity| &identity.files);
    let client = tls::client(trust, files).map_err(|error| {
        let culprit = match (error.what(), identity) {
            (What::Certificate, Some(identity)) => identity.cert,
            (What::Key, Some(identity)) => identity.key,
            _ => key,
        };
        origin.caused(culprit, &error, error.hint())
    })?;
    Ok(TlsConfig {
        server_name,
        client,
    })
}

/// The certificate that the client shows, and the keys or flags that name it.
pub(super) struct Identity {
    files: CertificateFiles,
    cert: &'static str,
    key: &'static str,
}

impl Identity {
    pub(super) fn find(
        flags: &Flags,
        file: Option<&TlsFile>,
        origin: &Origin,
    ) -> Result<Option<Self>, ConfigError> {
        let has_flag = flags.cert.is_some() || flags.key.is_some();
        if has_flag {
            let names = ["--cert", "--key"];
            return Self::of_files(flags.cert.clone(), flags.key.clone(), names, origin);
        }
        let cert = file.and_then(|tls| tls.cert.as_ref());
        let key = file.and_then(|tls| tls.key.as_ref());
        Self::of_keys(cert, key, ["tls.cert", "tls.key"], origin)
    }

    /// What two keys of the file name.
    pub(super) fn of_keys(
        cert: Option<&PathBuf>,
        key: Option<&PathBuf>,
        names: [&'static str; 2],
        origin: &Origin,
    ) -> Result<Option<Self>, ConfigError> {
        let named = |path: Option<&PathBuf>| path.map(|path| origin.relative(path));
        Self::of_files(named(cert), named(key), names, origin)
    }

    fn of_files(
        cert: Option<PathBuf>,
        key: Option<PathBuf>,
        names: [&'static str; 2],
        origin: &Origin,
    ) -> Result<Option<Self>, ConfigError> {
        let [cert_name, key_name] = names;
        let absent = |absent, present| {
            origin.error(absent, format!("missing: {present} is given and needs it"))
        };
        match (cert, key) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(absent(key_name, cert_name)),
            (None, Some(_)) => Err(absent(cert_name, key_name)),
            (Some(chain), Some(key)) => Ok(Some(Self {
                files: CertificateFiles { chain, key },
                cert: cert_name,
                key: key_name,
            })),
        }
    }
}

fn is_wanted(flags: &Flags, file: Option<&TlsFile>, host: &str, origin: &Origin) -> bool {
    if flags.plain || flags.want_tls() {
        return !flags.plain;
    }
    match file {
        Some(tls) => tls.enabled,
        None => origin.is_flags_only() && !is_loopback(host),
    }
}

/// Whom to trust, and the key or flag that says so.
pub(super) fn trust(
    flags: &Flags,
    file: Option<&TlsFile>,
    origin: &Origin,
) -> (Trust, &'static str) {
    if let Some(pin) = flags.fingerprint {
        return (Trust::Fingerprint(pin), "--fingerprint");
    }
    if let Some(path) = &flags.ca_file {
        return (Trust::CaFile(path.clone()), "--ca-file");
    }
    if flags.insecure {
        return (Trust::Anyone, "--insecure");
    }
    let (pin, ca, verify) = match file {
        Some(tls) => (tls.fingerprint, tls.ca_file.as_ref(), tls.verify),
        None => (None, None, true),
    };
    match (pin, ca) {
        (Some(pin), _) => (Trust::Fingerprint(pin), "tls.fingerprint"),
        (None, Some(ca)) => (Trust::CaFile(origin.relative(ca)), "tls.caFile"),
        (None, None) if verify => (Trust::System, "tls.verify"),
        (None, None) => (Trust::Anyone, "tls.verify"),
    }
}

/// Whether it is this machine, as far as the text tells.
pub(crate) fn is_loopback(host: &str) -> bool {
    host.is_empty()
        || host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
