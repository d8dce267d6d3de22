//! The errors of the configuration of TLS, and their hints.

use std::fmt;
use std::path::PathBuf;

/// Why TLS cannot be configured. Each error about a file names it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {what} {}", path.display())]
    Unreadable {
        /// What the file should hold.
        what: What,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds no PEM block of the expected kind.
    #[error("{} holds no {what} in PEM form{}", path.display(), but(*instead))]
    Missing {
        /// What was looked for.
        what: What,
        /// The file.
        path: PathBuf,
        /// What the file holds, if that is known.
        instead: Option<&'static str>,
    },
    /// A PEM block is damaged.
    #[error("{} is no valid PEM file: {reason}", path.display())]
    BadPem {
        /// What was looked for.
        what: What,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A private key is protected by a passphrase.
    #[error("the private key in {} is encrypted", path.display())]
    EncryptedKey {
        /// The file.
        path: PathBuf,
    },
    /// A certificate, or the order of its chain, cannot be used.
    #[error("the certificate {} cannot be used: {reason}", path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A key is damaged or of a kind that cannot be used.
    #[error("the private key {} cannot be used: {reason}", path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Certificate and key do not belong together.
    #[error(
        "the certificate {} was not made for the private key {}", cert.display(), key.display()
    )]
    Mismatch {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// Certificate and key cannot be used for another reason.
    #[error("certificate {} and private key {} cannot be used", cert.display(), key.display())]
    Unusable {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// A CA certificate cannot be used.
    #[error("a CA certificate in {} cannot be used", path.display())]
    BadCa {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The system's own CA certificates cannot be used.
    #[error("the system's CA certificates cannot be used")]
    System(#[source] rustls::Error),
}

impl TlsError {
    /// Which of the files is wrong.
    #[must_use]
    pub fn what(&self) -> What {
        match self {
            Self::Unreadable { what, .. }
            | Self::Missing { what, .. }
            | Self::BadPem { what, .. } => *what,
            Self::EncryptedKey { .. }
            | Self::BadKey { .. }
            | Self::Mismatch { .. }
            | Self::Unusable { .. } => What::Key,
            Self::BadCertificate { .. } => What::Certificate,
            Self::BadCa { .. } | Self::System(_) => What::Ca,
        }
    }

    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { what: What::Ca, .. } | Self::BadCa { .. } => {
                "the file must hold the PEM certificates that have signed the other side's certificate"
            }
            Self::EncryptedKey { .. } => "decrypt it: openssl pkey -in KEY -out PLAIN_KEY",
            Self::Missing {
                what: What::Certificate,
                instead: Some("a private key"),
                ..
            }
            | Self::Missing {
                what: What::Key,
                instead: Some("a certificate"),
                ..
            } => "are the certificate's file and the key's file swapped?",
            Self::Missing {
                instead: Some("DER form"),
                what: What::Key,
                ..
            } => "convert it: openssl pkey -inform DER -in FILE -out PEM_FILE",
            Self::Missing {
                instead: Some("DER form"),
                ..
            } => "convert it: openssl x509 -inform DER -in FILE -out PEM_FILE",
            Self::BadCertificate { .. } => {
                "the file must hold the own certificate first, then those that have signed it, all \
                 X.509 version 3; 'netroxy-server gen-cert' makes one"
            }
            Self::BadKey { .. } => {
                "a key may be RSA of 2048 to 4096 bits, ECDSA P-256 or P-384, or Ed25519; \
                 'netroxy-server gen-cert' makes one with its certificate"
            }
            Self::Mismatch { .. } | Self::Unusable { .. } => {
                "the private key must be the one that the certificate was made for (RSA, ECDSA or \
                 Ed25519); 'netroxy-server gen-cert' makes a pair"
            }
            Self::System(_) => "give the certificate in tls.caFile or its tls.fingerprint",
            _ => {
                "the files must hold a PEM certificate and a PKCS#1, PKCS#8 or SEC1 private key; \
                 'netroxy-server gen-cert' makes a pair"
            }
        }
    }
}

fn but(instead: Option<&str>) -> String {
    instead.map_or_else(String::new, |found| format!(", but {found}"))
}

/// What a PEM file should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The own certificate chain.
    Certificate,
    /// Its private key.
    Key,
    /// Certificates to trust.
    Ca,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::Key => "private key",
            Self::Ca => "CA certificate",
        })
    }
}
