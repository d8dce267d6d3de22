//! Why a server's certificate and key cannot be used, and which of the files is to blame.

use std::path::Path;

use rustls::{Error, InconsistentKeys, crypto::CryptoProvider};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{
    TlsError,
    certificate::{Certificate, KeyKind},
};

/// A certificate chain and a key from their files.
pub(super) struct Pair<'a> {
    pub(super) cert: &'a Path,
    pub(super) key: &'a Path,
    pub(super) chain: &'a [CertificateDer<'a>],
    pub(super) private_key: &'a PrivateKeyDer<'a>,
    pub(super) provider: &'a CryptoProvider,
}

impl Pair<'_> {
    /// What rustls said in words of the files.
    pub(super) fn blame(&self, source: Error) -> TlsError {
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
