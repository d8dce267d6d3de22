//! TLS for both peers: one provider (ring), TLS 1.2 and 1.3, keys in every usual form.

use std::{fmt, path::Path, path::PathBuf, sync::Arc};

use rustls::{
    CipherSuite, ClientConfig, RootCertStore, ServerConfig, SupportedCipherSuite,
    client::WebPkiServerVerifier,
    crypto::{CryptoProvider, ring::default_provider},
    sign::SingleCertAndKey,
};

use crate::tls_server::{CertificateFiles, Setup};

mod blame;
mod certificate;
mod name;
mod pem;
mod verifier;

pub(crate) use blame::certified_key;
pub use name::{InvalidName, ascii_host, server_name};
pub(crate) use pem::{certificates, private_key};
pub use verifier::explained;
use verifier::{Accept, Verifier};

/// Why TLS cannot be set up. Names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {what} {}", path.display())]
    Unreadable {
        /// What the file was expected to hold.
        what: What,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds no PEM block of the kind expected.
    #[error("{} holds no {what} in PEM form{}", path.display(), but(*instead))]
    Missing {
        /// What was looked for.
        what: What,
        /// The file.
        path: PathBuf,
        /// What it holds, if that is known.
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
    /// Which of the files is to blame.
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

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { what: What::Ca, .. } | Self::BadCa { .. } => {
                "it takes the PEM certificates that the other side's certificate is signed by"
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
                "the file takes the own certificate first, then those that signed it, all \
                 X.509 version 3; 'netroxy-server gen-cert' makes one"
            }
            Self::BadKey { .. } => {
                "keys may be RSA of 2048 to 4096 bits, ECDSA P-256 or P-384, or Ed25519; \
                 'netroxy-server gen-cert' makes one with its certificate"
            }
            Self::Mismatch { .. } | Self::Unusable { .. } => {
                "the private key must be the one that the certificate was made for (RSA, ECDSA or \
                 Ed25519); 'netroxy-server gen-cert' makes a pair"
            }
            Self::System(_) => "give the certificate in tls.caFile or its tls.fingerprint",
            _ => {
                "PEM certificate and PKCS#1, PKCS#8 or SEC1 private key are taken; \
                 'netroxy-server gen-cert' makes a pair"
            }
        }
    }
}

fn but(instead: Option<&str>) -> String {
    instead.map_or_else(String::new, |found| format!(", but {found}"))
}

/// What a PEM file is expected to hold.
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

/// How a client makes sure of its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Any certificate: encrypted, but anyone in between can pose as the server.
    Anyone,
    /// A certificate that the system trusts, for the server's name.
    System,
    /// A certificate signed by one in this PEM file, for the server's name.
    CaFile(PathBuf),
    /// The one certificate with this SHA-256 fingerprint, whatever its name and dates.
    Fingerprint(Fingerprint),
}

/// SHA-256 of a certificate in DER form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

/// A text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a SHA-256 fingerprint: 64 hex digits, with or without colons")]
pub struct InvalidFingerprint;

impl std::str::FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let digits: Vec<char> = text.chars().filter(|c| *c != ':').collect();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return Err(InvalidFingerprint);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = pair.iter().try_fold(0_u8, |byte, digit| {
                let digit = digit.to_digit(16).and_then(|d| u8::try_from(d).ok());
                digit.map(|d| byte << 4 | d).ok_or(InvalidFingerprint)
            })?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let colon = if i == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

/// The server's side: a certificate chain and its key.
///
/// # Errors
///
/// [`TlsError`] when a file cannot be read or used.
pub fn server(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let files = CertificateFiles {
        chain: cert.to_owned(),
        key: key.to_owned(),
    };
    let setup = Setup {
        certificates: vec![files],
        client_ca: None,
        only_tls13: false,
    };
    setup.load()
}

/// The client's side; `identity` is what it shows to a server that wants a certificate of its clients.
/// [`Trust::Anyone`] and [`Trust::Fingerprint`] also take X.509 version 1, RSA
/// keys from 1024 to 8192 bits (below 2048 with TLS 1.2 alone), and nothing on the curves P-224 and
/// P-521.
///
/// # Errors
///
/// [`TlsError`] when the certificates to trust ([`What::Ca`]), or the own certificate or its key, cannot
/// be read or used.
pub fn client(
    trust: &Trust,
    identity: Option<&CertificateFiles>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::System)?;
    let identity = identity.map(CertificateFiles::load).transpose()?;
    let own = |accept| {
        let verifier = Verifier {
            accept,
            provider: provider(),
        };
        let builder = builder.clone().dangerous();
        let builder = builder.with_custom_certificate_verifier(Arc::new(verifier));
        match identity {
            Some(pair) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair))),
            None => builder.with_no_client_auth(),
        }
    };
    Ok(Arc::new(match trust {
        Trust::System => own(Accept::System(
            rustls_platform_verifier::Verifier::new(provider()).map_err(TlsError::System)?,
        )),
        Trust::CaFile(path) => own(authorities(path)?),
        Trust::Anyone => own(Accept::Anyone),
        Trust::Fingerprint(pin) => own(Accept::Pinned(*pin)),
    }))
}

fn authorities(path: &Path) -> Result<Accept, TlsError> {
    let bad = |source| TlsError::BadCa {
        path: path.to_owned(),
        source,
    };
    let trusted = certificates(path, What::Ca)?;
    let mut roots = RootCertStore::empty();
    for certificate in &trusted {
        roots.add(certificate.clone()).map_err(bad)?;
    }
    let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| bad(rustls::Error::General(error.to_string())))?;
    Ok(Accept::Signed { trusted, chains })
}

/// ring, with AES-128 first, because it takes less work than AES-256. The client's order decides.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    let mut provider = default_provider();
    let is_aes_128 = |suite: &SupportedCipherSuite| {
        matches!(
            suite.suite(),
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        )
    };
    provider
        .cipher_suites
        .sort_by_key(|suite| !is_aes_128(suite));
    Arc::new(provider)
}
