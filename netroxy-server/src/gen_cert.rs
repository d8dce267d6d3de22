//! `netroxy-server gen-cert`: a certificate for a first run with TLS.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use netroxy_net::{program::Failure, tls::Fingerprint};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

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

const CERT: &str = "ca.pem";
const KEY: &str = "priv.key";

impl GenCert {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let params = CertificateParams::new(self.host.clone()).map_err(|error| {
            Failure::usage(error).hint("--host takes a DNS name or an IP address")
        })?;
        let (cert, key) = generate(params, &self.host).map_err(Failure::runtime)?;
        let (cert_path, key_path) = (self.out.join(CERT), self.out.join(KEY));
        for path in [&key_path, &cert_path] {
            self.make_room(path)?;
        }
        write(&key_path, &key.serialize_pem(), true)?;
        write(&cert_path, &cert.pem(), false)?;
        let fingerprint = Fingerprint::of(cert.der());
        let text = format!(
            "wrote {} and {} for {}\n\
             server_config.json: \"tls\": {{\"enabled\": true, \"port\": 10001, \"ca\": \"{CERT}\", \"key\": \"{KEY}\"}}\n\
             client_config.json: \"tls\": {{\"enabled\": true, \"fingerprint\": \"{fingerprint}\"}}\n",
            cert_path.display(),
            key_path.display(),
            self.host.join(", "),
        );
        io::stdout()
            .write_all(text.as_bytes())
            .map_err(Failure::runtime)
    }

    /// Both files are looked at before one is written, so that a refused run changes nothing.
    fn make_room(&self, path: &Path) -> Result<(), Failure> {
        if !path.exists() {
            return Ok(());
        }
        if !self.force {
            let exists = format!("{} exists", path.display());
            return Err(
                Failure::usage(exists).hint("--force replaces it, --out DIR writes elsewhere")
            );
        }
        std::fs::remove_file(path).map_err(|error| cannot_write(path, &error))
    }
}

/// Creates the file: permissions are those of a new one.
fn write(path: &Path, text: &str, secret: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secret {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = secret;
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot write {}: {error}", path.display()))
        .hint("--out DIR writes elsewhere")
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
    // No expiry to be surprised by: clients pin the certificate or trust this file.
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2120, 1, 1);
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?, key))
}
