//! `netroxy-server gen-cert`: makes a self-signed certificate.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use netroxy_net::program::Failure;
use netroxy_net::tls::Fingerprint;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

mod host;
mod pair;

use pair::Pair;

/// The arguments of `gen-cert`.
#[derive(Debug, Args)]
pub(crate) struct GenCert {
    /// Name or IP address by which clients reach this server; may be repeated
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    host: Vec<String>,

    /// Folder to write to
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,

    /// Replace files that exist
    #[arg(long)]
    force: bool,
}

pub(crate) const CERT: &str = "ca.pem";
pub(crate) const KEY: &str = "priv.key";

impl GenCert {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let made = SelfSigned::new(&self.host)?;
        let (cert_path, key_path) = (self.out.join(CERT), self.out.join(KEY));
        let pair = Pair {
            key: key_path.clone(),
            key_text: made.key,
            cert: cert_path.clone(),
            cert_text: made.cert,
        };
        pair.write(self.force)?;
        let fingerprint = made.fingerprint;
        let text = format!(
            "wrote {} and {} for {}\n\
             server_config.json: \"tls\": {{\"enabled\": true, \"port\": 10001, \"ca\": \"{CERT}\", \"key\": \"{KEY}\"}}\n\
             client_config.json: \"tls\": {{\"enabled\": true, \"fingerprint\": \"{fingerprint}\"}}\n",
            cert_path.display(),
            key_path.display(),
            made.hosts.join(", "),
        );
        io::stdout()
            .write_all(text.as_bytes())
            .map_err(Failure::runtime)
    }
}

/// A self-signed certificate and its private key, in PEM form.
pub(crate) struct SelfSigned {
    /// The names and addresses of the certificate, without brackets.
    pub(crate) hosts: Vec<String>,
    pub(crate) cert: String,
    pub(crate) key: String,
    pub(crate) fingerprint: Fingerprint,
}

impl SelfSigned {
    /// Makes a certificate for these hosts, which are flags of the command line.
    ///
    /// # Errors
    ///
    /// If a text is no host, or if the system has no random bits.
    pub(crate) fn new(hosts: &[String]) -> Result<Self, Failure> {
        let hosts = hosts
            .iter()
            .map(|text| host::host(text))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|no_host| Failure::usage(no_host.message).hint(no_host.hint))?;
        let params = CertificateParams::new(hosts.clone()).map_err(Failure::usage)?;
        let (cert, key) = generate(params, &hosts).map_err(Failure::runtime)?;
        Ok(Self {
            hosts,
            fingerprint: Fingerprint::of(cert.der()),
            cert: cert.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn generate(
    mut params: CertificateParams,
    hosts: &[String],
) -> Result<(rcgen::Certificate, KeyPair), rcgen::Error> {
    let mut name = DistinguishedName::new();
    name.push(
        DnType::CommonName,
        hosts.first().map_or("netroxy", String::as_str),
    );
    params.distinguished_name = name;
    // A long time, because clients pin the certificate or trust this file.
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2120, 1, 1);
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?, key))
}
