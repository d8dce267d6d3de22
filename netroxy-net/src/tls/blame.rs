//! Why a certificate and its key cannot be used, and which of the files is to blame.

use std::path::Path;

use rustls::{Error, InconsistentKeys, crypto::CryptoProvider, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{
    TlsError, What,
    certificate::{Certificate, KeyKind},
    certificates, private_key, provider,
};

/// Reads a certificate chain and its key.
///
/// # Errors
///
/// [`TlsError`] when a file cannot be read or used, with the one that is to blame.
pub(crate) fn certified_key(cert: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
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
        pair.blame(source)
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
    /// What rustls said in words of the files.
    fn blame(&self, source: Error) -> TlsError {
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

    /// Where in the chain the certificate of the key stands.
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

/// What ring can sign with.
fn can_sign(key: &KeyKind) -> bool {
    match key {
        KeyKind::Rsa(bits) => (2048..=4096).contains(bits),
        KeyKind::P256 | KeyKind::P384 | KeyKind::Ed25519 => true,
        KeyKind::Other(_) => false,
    }
}
