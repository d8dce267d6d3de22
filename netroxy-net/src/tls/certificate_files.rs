//! Reads the files of a certificate chain and its key. If they cannot be used, the error names the file that is wrong.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::certificate::{Certificate, KeyKind};
use super::error::{TlsError, What};
use super::pem::{certificates, private_key};
use super::provider::provider;

/// The files of a certificate chain and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM certificates, the server's own first.
    pub chain: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
}

impl CertificateFiles {
    pub(crate) fn load(&self) -> Result<Arc<CertifiedKey>, TlsError> {
        certified_key(&self.chain, &self.key).map(Arc::new)
    }
}

/// Reads a certificate chain and its key.
///
/// # Errors
///
/// [`TlsError`], with the file that cannot be read or used.
fn certified_key(cert: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(cert, What::Certificate)?;
    let private_key = private_key(key)?;
    let provider = provider();
    CertifiedKey::from_der(chain.clone(), private_key.clone_key(), &provider).map_err(|source| {
        let pair = Pair {
            cert,
            key,
            chain: &chain,
            private_key: &private_key,
            provider: &provider,
        };
        pair.explain(source)
    })
}

/// A certificate chain and a key from their files.
struct Pair<'a> {
    cert: &'a Path,
    key: &'a Path,
    chain: &'a [CertificateDer<'a>],
    private_key: &'a PrivateKeyDer<'a>,
    provider: &'a CryptoProvider,
}

impl Pair<'_> {
    /// The error of rustls as an error about one of the files.
    fn explain(&self, source: Error) -> TlsError {
        let (cert, key) = (self.cert.to_owned(), self.key.to_owned());
        let first = self.chain.first().map(|first| Certificate::read(first));
        let bad_certificate = |reason| TlsError::BadCertificate {
            path: self.cert.to_owned(),
            reason,
        };
        match (source, first) {
            (_, Some(Err(reason))) => bad_certificate(reason),
            (Error::InconsistentKeys(InconsistentKeys::KeyMismatch), _) => match self.own_place() {
                Some(place) => bad_certificate(format!(
                    "the certificate of the private key is number {} and has to be the first",
                    place + 1
                )),
                None => TlsError::Mismatch { cert, key },
            },
            (_, Some(Ok(first))) if first.is_version_1 && self.key_is_usable() => {
                bad_certificate("it is X.509 version 1, and has to be version 3".to_owned())
            }
            (Error::InvalidCertificate(error), _) => bad_certificate(error.to_string()),
            (Error::General(_), Some(Ok(first))) if !can_sign(&first.key) => TlsError::BadKey {
                path: key,
                reason: format!("its certificate has {}", first.key),
            },
            (Error::General(reason), _) => TlsError::BadKey { path: key, reason },
            (source, _) => TlsError::Unusable { cert, key, source },
        }
    }

    /// The index in the chain of the certificate that belongs to the key.
    fn own_place(&self) -> Option<usize> {
        let provider = self.provider.key_provider;
        let signing = provider
            .load_private_key(self.private_key.clone_key())
            .ok()?;
        let public = signing.public_key()?;
        self.chain.iter().position(|certificate| {
            Certificate::read(certificate).is_ok_and(|read| read.key_info == public.as_ref())
        })
    }

    fn key_is_usable(&self) -> bool {
        let provider = self.provider.key_provider;
        provider
            .load_private_key(self.private_key.clone_key())
            .is_ok()
    }
}

/// Whether ring can sign with such a key.
fn can_sign(key: &KeyKind) -> bool {
    match key {
        KeyKind::Rsa(bits) => (2048..=4096).contains(bits),
        KeyKind::P256 | KeyKind::P384 | KeyKind::Ed25519 => true,
        KeyKind::Other(_) => false,
    }
}
