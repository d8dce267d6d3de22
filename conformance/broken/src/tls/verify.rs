//! What a client looks at in a certificate.

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

/// Takes every certificate.
pub(super) fn nobody(provider: Arc<CryptoProvider>) -> Arc<dyn ServerCertVerifier> {
    Arc::new(Verifier {
        trusted: None,
        bug: None,
        provider,
        seen_one: AtomicBool::new(false),
    })
}

/// Takes what the certificates of this PEM file vouch for; nothing without one.
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
        true => Trusted::Nobody,
        false => {
            let builder =
                WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
            Trusted::Some(builder.build().map_err(io::Error::other)?)
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
    Nobody,
    Some(Arc<WebPkiServerVerifier>),
}

#[derive(Debug)]
struct Verifier {
    /// Everybody is trusted without.
    trusted: Option<Trusted>,
    bug: Option<Bug>,
    provider: Arc<CryptoProvider>,
    /// For a bug that looks once.
    seen_one: AtomicBool,
}

impl Verifier {
    /// Whether a bug has it that this does not matter.
    fn overlooks(&self, wrong: &CertificateError) -> bool {
        use CertificateError::{
            Expired, ExpiredContext, NotValidForName, NotValidForNameContext, UnknownIssuer,
        };
        match self.bug {
            Some(Bug::CertificateHostNotChecked) => {
                matches!(wrong, NotValidForName | NotValidForNameContext { .. })
            }
            Some(Bug::CertificateDatesNotChecked) => {
                matches!(wrong, Expired | ExpiredContext { .. })
            }
            Some(Bug::CertificateIssuerNotChecked) => matches!(wrong, UnknownIssuer),
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
            Trusted::Nobody => Err(CertificateError::UnknownIssuer.into()),
            Trusted::Some(chains) => {
                chains.verify_server_cert(certificate, between, name, ocsp, now)
            }
        };
        match verified {
            Err(Error::InvalidCertificate(wrong)) if self.overlooks(&wrong) => {
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
