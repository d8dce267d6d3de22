//! The configuration of TLS for the server: one certificate or several, and the certificates that clients must show.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, Error, OtherError, RootCertStore, ServerConfig};
use rustls_pki_types::ServerName;

pub use crate::tls::CertificateFiles;
use crate::tls::{TlsError, What, certificates, provider};

/// The settings of a listener for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The certificate chains and keys. A client that sends a name (SNI) gets the first certificate with this name. All
    /// other clients get the first certificate.
    pub certificates: Vec<CertificateFiles>,
    /// PEM file with the authorities that must have signed a client's certificate. `None` requests no certificate.
    pub client_ca: Option<PathBuf>,
    /// Refuses TLS 1.2.
    pub only_tls13: bool,
}

impl Setup {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`TlsError`] if a file cannot be read or used.
    pub fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let keys = self
            .certificates
            .iter()
            .map(CertificateFiles::load)
            .collect::<Result<Vec<_>, _>>()?;
        let versions = if self.only_tls13 {
            &[&TLS13][..]
        } else {
            &[&TLS13, &TLS12][..]
        };
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .map_err(TlsError::System)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let bad = |source| TlsError::BadCa {
                    path: path.clone(),
                    source,
                };
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path, What::Ca)? {
                    roots.add(certificate).map_err(bad)?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
                        .build()
                        .map_err(|error| bad(Error::General(error.to_string())))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        Ok(Arc::new(builder.with_cert_resolver(Arc::new(ByName(keys)))))
    }
}

/// The error of a server's handshake. Texts of rustls that do not help an operator are replaced.
#[must_use]
pub fn explained(error: io::Error) -> io::Error {
    let text = match refused_certificate(&error) {
        Some(Error::NoCertificatesPresented) => {
            "the other side shows no certificate, and clientCa wants one".to_owned()
        }
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "the certificate of the other side is not signed by one in clientCa".to_owned()
        }
        Some(Error::InvalidCertificate(CertificateError::Other(OtherError(other)))) => {
            format!("the certificate of the other side is refused: {other}")
        }
        _ => return error,
    };
    io::Error::new(error.kind(), text)
}

/// The error about the certificate of a client, if an error is about that.
#[must_use]
pub fn refused_certificate(error: &io::Error) -> Option<&Error> {
    let cause = error.get_ref()?.downcast_ref::<Error>()?;
    match cause {
        Error::NoCertificatesPresented | Error::InvalidCertificate(_) => Some(cause),
        _ => None,
    }
}

/// Chooses a certificate by the name that the client sends (SNI).
#[derive(Debug)]
struct ByName(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        name.and_then(|name| self.0.iter().find(|key| has_name(key, &name)))
            .or_else(|| self.0.first())
            .cloned()
    }
}

fn has_name(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    key.end_entity_cert()
        .and_then(ParsedCertificate::try_from)
        .and_then(|certificate| verify_server_name(&certificate, name))
        .is_ok()
}
