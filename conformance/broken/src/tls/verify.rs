//! How a client verifies the certificate of its server.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::Bug;

/// Accepts every certificate.
pub(super) fn accept_all(provider: Arc<CryptoProvider>) -> Arc<dyn ServerCertVerifier> {
    Arc::new(Verifier {
        trusted: None,
        bug: None,
        provider,
        seen_one: AtomicBool::new(false),
    })
}

/// Accepts the certificates of the issuer in this PEM file; none without a file.
pub(super) fn verifier(
    trusted: Option<&Path>,
    bug: Option<Bug>,
    provider: Arc<CryptoProvider>,
) -> io::Result<Arc<dyn ServerCertVerifier>> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = trusted {
        let root = CertificateDer::from_pem_slice(&fs::read(path)?).map_err(io::Error::other)?;
        roots.add(root).map_err(io::Error::other)?;
    }
    let trusted = match roots.is_empty() {
        true => Trusted::None,
        false => {
            let builder =
                WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
            Trusted::Issuer(builder.build().map_err(io::Error::other)?)
        }
    };
    Ok(Arc::new(Verifier {
        trusted: Some(trusted),
        bug,
        provider,
        seen_one: AtomicBool::new(false),
    }))
}

#[derive(Debug)]
enum Trusted {
    None,
    Issuer(Arc<WebPkiServerVerifier>),
}

#[derive(Debug)]
struct Verifier {
    /// Without it, every certificate is accepted.
    trusted: Option<Trusted>,
    bug: Option<Bug>,
    provider: Arc<CryptoProvider>,
    /// Whether a certificate was verified, for a bug.
    seen_one: AtomicBool,
}

impl Verifier {
    /// Whether a bug ignores this error.
    fn ignores(&self, error: &CertificateError) -> bool {
        use CertificateError::{
            Expired, ExpiredContext, NotValidForName, NotValidForNameContext, UnknownIssuer,
        };
        match self.bug {
            Some(Bug::CertificateHostNotChecked) => {
                matches!(error, NotValidForName | NotValidForNameContext { .. })
            }
            Some(Bug::CertificateDatesNotChecked) => {
                matches!(error, Expired | ExpiredContext { .. })
            }
            Some(Bug::CertificateIssuerNotChecked) => matches!(error, UnknownIssuer),
            _ => false,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trusted) = &self.trusted else {
            return Ok(ServerCertVerified::assertion());
        };
        let later = self.seen_one.swap(true, Ordering::Relaxed);
        if later && self.bug == Some(Bug::CertificateVerifiedOnce) {
            return Ok(ServerCertVerified::assertion());
        }
        let verified = match trusted {
            Trusted::None => Err(CertificateError::UnknownIssuer.into()),
            Trusted::Issuer(chains) => {
                chains.verify_server_cert(certificate, between, name, ocsp, now)
            }
        };
        match verified {
            Err(Error::InvalidCertificate(error)) if self.ignores(&error) => {
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
