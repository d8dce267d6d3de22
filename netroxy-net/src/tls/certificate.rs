//! Reads certificates, also those that rustls cannot read.
//!
//! rustls checks signatures by webpki, which accepts only X.509 version 3, and RSA keys only from 2048 bits on. The
//! programs of 2016 accept other certificates too. This module parses those by `x509-parser`, which is widely used and
//! maintained, and reads old certificates. ring checks the signatures in both cases.

use std::fmt;

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use rustls::{ProtocolVersion, SignatureScheme};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::X509Version;

/// The parts of a certificate that are needed here.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    /// Whether it is X.509 version 1, which has no extensions and so no names to check.
    pub(super) is_version_1: bool,
    pub(super) key: KeyKind,
    /// The key and its kind, in DER form.
    pub(super) key_info: &'a [u8],
    /// The key without its kind.
    key_bytes: Vec<u8>,
}

/// The kind of public key of a certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// The length of the modulus in bits.
    Rsa(usize),
    P256,
    P384,
    Ed25519,
    /// Any other kind, in words: a curve by its name, others by their object identifiers.
    Other(String),
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "an RSA key of {bits} bits"),
            Self::P256 => f.write_str("a key on the curve P-256"),
            Self::P384 => f.write_str("a key on the curve P-384"),
            Self::Ed25519 => f.write_str("an Ed25519 key"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

impl<'a> Certificate<'a> {
    /// Parses a certificate in DER form.
    ///
    /// # Errors
    ///
    /// That the bytes are no certificate.
    pub(super) fn read(der: &'a [u8]) -> Result<Self, String> {
        let (rest, read) = X509Certificate::from_der(der)
            .map_err(|error| format!("it is no X.509 certificate: {error}"))?;
        if !rest.is_empty() {
            return Err("bytes follow the certificate".to_owned());
        }
        let info = read.tbs_certificate.subject_pki;
        let algorithm = info.algorithm.algorithm.to_id_string();
        let parameters = info.algorithm.parameters.as_ref();
        let curve = parameters.and_then(|any| any.as_oid().ok());
        let curve = curve.map(|oid| oid.to_id_string());
        let key = match (algorithm.as_str(), curve.as_deref()) {
            ("1.2.840.113549.1.1.1", _) => match info.parsed() {
                Ok(PublicKey::RSA(key)) => KeyKind::Rsa(key.key_size()),
                _ => KeyKind::Other("a damaged RSA key".to_owned()),
            },
            ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7")) => KeyKind::P256,
            ("1.2.840.10045.2.1", Some("1.3.132.0.34")) => KeyKind::P384,
            ("1.2.840.10045.2.1", curve) => KeyKind::Other(match curve {
                Some("1.3.132.0.35") => "a key on the curve P-521".to_owned(),
                Some("1.3.132.0.33") => "a key on the curve P-224".to_owned(),
                Some(other) => format!("a key on the curve with the identifier {other}"),
                None => "a key on a curve without a name".to_owned(),
            }),
            ("1.3.101.112", _) => KeyKind::Ed25519,
            (other, _) => KeyKind::Other(format!("a key of the kind with the identifier {other}")),
        };
        Ok(Self {
            is_version_1: read.tbs_certificate.version == X509Version::V1,
            key,
            key_info: info.raw,
            key_bytes: info.subject_public_key.data.to_vec(),
        })
    }

    /// Checks the signature of a handshake: the key of the certificate must have signed the message.
    ///
    /// # Errors
    ///
    /// That signatures of such keys cannot be checked, or that the signature is wrong.
    pub(super) fn check_signature(
        &self,
        tls: ProtocolVersion,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), String> {
        let algorithm = self.algorithm(tls, scheme).ok_or_else(|| {
            let known = match &self.key {
                KeyKind::Rsa(1024..2048) => "is taken with TLS 1.2 and SHA-256 or SHA-512 only",
                KeyKind::Rsa(..1024) => "is too short: RSA keys need 1024 bits",
                KeyKind::Rsa(8193..) => "is too long: RSA keys may have 8192 bits",
                KeyKind::Other(_) => "cannot be checked: RSA, P-256, P-384 and Ed25519 can",
                _ => "does not go with this kind of signature",
            };
            format!(
                "the server's certificate has {}, which {known} ({tls:?}, {scheme:?})",
                self.key
            )
        })?;
        UnparsedPublicKey::new(algorithm, &self.key_bytes)
            .verify(message, signature)
            .map_err(|_| {
                "the server's signature is wrong: it does not own the key of its certificate"
                    .to_owned()
            })
    }

    /// The algorithm for a signature, if the version of TLS allows it. TLS 1.2 allows any hash with any curve (RFC
    /// 5246, section 7.4.1.4.1). TLS 1.3 has fixed pairs and no PKCS#1 (RFC 8446, section 4.2.3).
    fn algorithm(
        &self,
        tls: ProtocolVersion,
        scheme: SignatureScheme,
    ) -> Option<&'static dyn VerificationAlgorithm> {
        use SignatureScheme as S;
        let old = tls == ProtocolVersion::TLSv1_2;
        Some(match (&self.key, scheme) {
            (KeyKind::Ed25519, S::ED25519) => &signature::ED25519,
            (KeyKind::P256, S::ECDSA_NISTP256_SHA256) => &signature::ECDSA_P256_SHA256_ASN1,
            (KeyKind::P256, S::ECDSA_NISTP384_SHA384) if old => &signature::ECDSA_P256_SHA384_ASN1,
            (KeyKind::P384, S::ECDSA_NISTP384_SHA384) => &signature::ECDSA_P384_SHA384_ASN1,
            (KeyKind::P384, S::ECDSA_NISTP256_SHA256) if old => &signature::ECDSA_P384_SHA256_ASN1,
            (KeyKind::Rsa(1024..2048), S::RSA_PKCS1_SHA256) if old => {
                &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY
            }
            (KeyKind::Rsa(1024..2048), S::RSA_PKCS1_SHA512) if old => {
                &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY
            }
            (KeyKind::Rsa(2048..=8192), S::RSA_PKCS1_SHA256) if old => {
                &signature::RSA_PKCS1_2048_8192_SHA256
            }
            (KeyKind::Rsa(2048..=8192), S::RSA_PKCS1_SHA384) if old => {
                &signature::RSA_PKCS1_2048_8192_SHA384
            }
            (KeyKind::Rsa(2048..=8192), S::RSA_PKCS1_SHA512) if old => {
                &signature::RSA_PKCS1_2048_8192_SHA512
            }
            (KeyKind::Rsa(2048..=8192), S::RSA_PSS_SHA256) => &signature::RSA_PSS_2048_8192_SHA256,
            (KeyKind::Rsa(2048..=8192), S::RSA_PSS_SHA384) => &signature::RSA_PSS_2048_8192_SHA384,
            (KeyKind::Rsa(2048..=8192), S::RSA_PSS_SHA512) => &signature::RSA_PSS_2048_8192_SHA512,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;

    use super::*;

    const OLD: ProtocolVersion = ProtocolVersion::TLSv1_2;
    const NEW: ProtocolVersion = ProtocolVersion::TLSv1_3;

    fn path(name: &str) -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "tests/certs", name]
            .iter()
            .collect()
    }

    fn der(cert: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(path(cert)).unwrap()
    }

    fn checked(
        cert: &str,
        tls: ProtocolVersion,
        scheme: SignatureScheme,
        signature: &str,
    ) -> Result<(), String> {
        let [message, mut signature] = ["message", signature].map(|f| fs::read(path(f)).unwrap());
        let der = der(cert);
        let certificate = Certificate::read(&der)?;
        let result = certificate.check_signature(tls, scheme, &message, &signature);
        // With a changed bit the signature is wrong.
        let last = signature.last_mut().unwrap();
        *last ^= 1;
        let turned = certificate.check_signature(tls, scheme, &message, &signature);
        assert!(turned.is_err(), "{cert}");
        assert!(
            certificate
                .check_signature(tls, scheme, b"other", &signature)
                .is_err()
        );
        result
    }

    #[test]
    fn signatures_of_old_certificates_are_checked() {
        use SignatureScheme as S;
        for (cert, tls, scheme, signature) in [
            ("v1.pem", OLD, S::ECDSA_NISTP256_SHA256, "v1-sha256.sig"),
            ("v1.pem", OLD, S::ECDSA_NISTP384_SHA384, "v1-sha384.sig"),
            ("v1.pem", NEW, S::ECDSA_NISTP256_SHA256, "v1-sha256.sig"),
            (
                "rsa1024.pem",
                OLD,
                S::RSA_PKCS1_SHA256,
                "rsa1024-sha256.sig",
            ),
            (
                "rsa1024.pem",
                OLD,
                S::RSA_PKCS1_SHA512,
                "rsa1024-sha512.sig",
            ),
            (
                "rsa1024-v1.pem",
                OLD,
                S::RSA_PKCS1_SHA256,
                "rsa1024-sha256.sig",
            ),
            (
                "rsa8192.pem",
                OLD,
                S::RSA_PKCS1_SHA256,
                "rsa8192-sha256.sig",
            ),
            (
                "rsa8192.pem",
                OLD,
                S::RSA_PSS_SHA256,
                "rsa8192-pss-sha256.sig",
            ),
            (
                "rsa8192.pem",
                NEW,
                S::RSA_PSS_SHA256,
                "rsa8192-pss-sha256.sig",
            ),
        ] {
            let result = checked(cert, tls, scheme, signature);
            assert_eq!(result, Ok(()), "{cert} {tls:?} {scheme:?}");
        }
    }

    #[test]
    fn a_signature_that_cannot_be_checked_is_explained() {
        use SignatureScheme as S;
        let owner = "the server's certificate has ";
        for (cert, tls, scheme, signature, expected) in [
            (
                "rsa1024.pem",
                NEW,
                S::RSA_PSS_SHA256,
                "rsa1024-pss-sha256.sig",
                "an RSA key of 1024 bits, which is taken with TLS 1.2 and SHA-256 or SHA-512 only \
                 (TLSv1_3, RSA_PSS_SHA256)",
            ),
            (
                "rsa1024.pem",
                OLD,
                S::RSA_PKCS1_SHA384,
                "rsa1024-sha384.sig",
                "an RSA key of 1024 bits, which is taken with TLS 1.2 and SHA-256 or SHA-512 only \
                 (TLSv1_2, RSA_PKCS1_SHA384)",
            ),
            (
                "rsa768.pem",
                OLD,
                S::RSA_PKCS1_SHA256,
                "rsa768-sha256.sig",
                "an RSA key of 768 bits, which is too short: RSA keys need 1024 bits (TLSv1_2, \
                 RSA_PKCS1_SHA256)",
            ),
            (
                "p521.pem",
                NEW,
                S::ECDSA_NISTP521_SHA512,
                "p521-sha512.sig",
                "a key on the curve P-521, which cannot be checked: RSA, P-256, P-384 and Ed25519 \
                 can (TLSv1_3, ECDSA_NISTP521_SHA512)",
            ),
            (
                "p224.pem",
                OLD,
                S::ECDSA_NISTP256_SHA256,
                "p224-sha256.sig",
                "a key on the curve P-224, which cannot be checked: RSA, P-256, P-384 and Ed25519 \
                 can (TLSv1_2, ECDSA_NISTP256_SHA256)",
            ),
            // The signature is right, but TLS 1.3 does not have this kind.
            (
                "rsa8192.pem",
                NEW,
                S::RSA_PKCS1_SHA256,
                "rsa8192-sha256.sig",
                "an RSA key of 8192 bits, which does not go with this kind of signature (TLSv1_3, \
                 RSA_PKCS1_SHA256)",
            ),
        ] {
            let result = checked(cert, tls, scheme, signature);
            assert_eq!(result, Err(format!("{owner}{expected}")), "{cert}");
        }
    }

    #[test]
    fn the_version_is_read_and_damaged_bytes_are_no_certificate() {
        for (cert, is_version_1) in [("v1.pem", true), ("p521.pem", false)] {
            let der = der(cert);
            assert_eq!(Certificate::read(&der).unwrap().is_version_1, is_version_1);
            for end in 0..der.len() {
                assert!(Certificate::read(&der[..end]).is_err());
            }
            assert!(Certificate::read(&[&der, &b"x"[..]].concat()).is_err());
        }
    }
}
