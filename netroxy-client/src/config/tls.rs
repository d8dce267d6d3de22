//! Whether a client uses TLS, and which certificates it trusts.

use std::net::IpAddr;
use std::path::PathBuf;

use netroxy_net::config_file::ConfigError;
use netroxy_net::tls::{self, Trust, What};
use netroxy_net::tls_server::CertificateFiles;
use rustls_pki_types::ServerName;

use super::file::TlsFile;
use super::flags::Flags;
use super::origin::Origin;
use super::types::TlsConfig;

/// TLS to the server, as flags and file configure it. Flags come first.
#[derive(Clone, Copy)]
pub(super) struct ServerTls<'a> {
    pub(super) flags: &'a Flags,
    /// The section `tls`.
    pub(super) file: Option<&'a TlsFile>,
    /// The host of the server.
    pub(super) host: &'a str,
    pub(super) origin: &'a Origin,
}

impl<'a> ServerTls<'a> {
    /// The TLS configuration; `None` is plain TCP.
    pub(super) fn config(
        &self,
        warnings: &mut Vec<String>,
    ) -> Result<Option<TlsConfig>, ConfigError> {
        let Self {
            flags,
            host,
            origin,
            ..
        } = *self;
        if !self.is_wanted() {
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
        let (trust, key) = self.trust();
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
        let server_name = match self.server_name() {
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
        let identity = self.identity()?;
        with_trust(server_name, &trust, key, identity.as_ref(), origin).map(Some)
    }

    fn is_wanted(&self) -> bool {
        let flags = self.flags;
        if flags.plain || flags.want_tls() {
            return !flags.plain;
        }
        match self.file {
            Some(tls) => tls.enabled,
            None => self.origin.is_flags_only() && !is_loopback(self.host),
        }
    }

    /// Which certificates to trust, and the key or flag that says so.
    pub(super) fn trust(&self) -> (Trust, &'static str) {
        let flags = self.flags;
        if let Some(pin) = flags.fingerprint {
            return (Trust::Fingerprint(pin), "--fingerprint");
        }
        if let Some(path) = &flags.ca_file {
            return (Trust::CaFile(path.clone()), "--ca-file");
        }
        if flags.insecure {
            return (Trust::Anyone, "--insecure");
        }
        let (pin, ca, verify) = match self.file {
            Some(tls) => (tls.fingerprint, tls.ca_file.as_ref(), tls.verify),
            None => (None, None, true),
        };
        match (pin, ca) {
            (Some(pin), _) => (Trust::Fingerprint(pin), "tls.fingerprint"),
            (None, Some(ca)) => (Trust::CaFile(self.origin.relative(ca)), "tls.caFile"),
            (None, None) if verify => (Trust::System, "tls.verify"),
            (None, None) => (Trust::Anyone, "tls.verify"),
        }
    }

    /// The name that flag or file expects in the certificate.
    pub(super) fn server_name(&self) -> Option<&'a ServerName<'static>> {
        let in_file = self.file.and_then(|tls| tls.server_name.as_ref());
        self.flags.server_name.as_ref().or(in_file)
    }

    /// The certificate that the client shows, if flags or file name one.
    pub(super) fn identity(&self) -> Result<Option<Identity>, ConfigError> {
        let Self {
            flags,
            file,
            origin,
            ..
        } = *self;
        if flags.cert.is_some() || flags.key.is_some() {
            let names = ["--cert", "--key"];
            return Identity::of_files(flags.cert.clone(), flags.key.clone(), names, origin);
        }
        let cert = file.and_then(|tls| tls.cert.as_ref());
        let key = file.and_then(|tls| tls.key.as_ref());
        Identity::of_keys(cert, key, ["tls.cert", "tls.key"], origin)
    }
}

/// Reads the files that `trust` and `identity` name. Errors of `trust` are reported for `key`, the key or flag that
/// gave it.
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
    /// The certificate that two keys of the file name.
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

/// Whether the host is this machine: empty, `localhost` or a loopback address. Names are not looked up.
pub(crate) fn is_loopback(host: &str) -> bool {
    host.is_empty()
        || host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
