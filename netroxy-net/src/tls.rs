//! TLS for both peers: one provider (ring), TLS 1.2 and 1.3, keys in every usual form.

use std::{fmt, path::Path, path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{
        CryptoProvider, ring::default_provider, verify_tls12_signature, verify_tls13_signature,
    },
    server::ParsedCertificate,
};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, ServerName, UnixTime,
    pem::{Error as PemError, PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;

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
    #[error("{} holds no {what} in PEM form", path.display())]
    Missing {
        /// What was looked for.
        what: What,
        /// The file.
        path: PathBuf,
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
    /// Certificate and key cannot be used, or do not belong together.
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
            Self::EncryptedKey { .. } | Self::Unusable { .. } => What::Key,
            Self::BadCa { .. } | Self::System(_) => What::Ca,
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { what: What::Ca, .. } | Self::BadCa { .. } => {
                "tls.caFile takes the PEM certificates that the server's certificate is signed by"
            }
            Self::EncryptedKey { .. } => "decrypt it: openssl pkey -in KEY -out PLAIN_KEY",
            Self::Unusable { .. } => {
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

/// What a PEM file is expected to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The server's certificate chain.
    Certificate,
    /// The server's private key.
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

/// A server's certificate is not the pinned one.
#[derive(Clone, Copy, thiserror::Error)]
#[error("the server's fingerprint is {0}")]
struct OtherFingerprint(Fingerprint);

/// rustls prints errors like this one by their debug form.
impl fmt::Debug for OtherFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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
    let chain = certificates(cert, What::Certificate)?;
    let private_key = private_key(key)?;
    let unusable = |source| TlsError::Unusable {
        cert: cert.to_owned(),
        key: key.to_owned(),
        source,
    };
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, private_key)
        .map_err(unusable)?;
    Ok(Arc::new(config))
}

/// The client's side.
///
/// # Errors
///
/// [`TlsError`] when the certificates to trust cannot be read or used.
pub fn client(trust: &Trust) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::System)?;
    let own = |accept| {
        let verifier = Verifier {
            accept,
            provider: provider(),
        };
        let builder = builder.clone().dangerous();
        builder
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth()
    };
    Ok(Arc::new(match trust {
        Trust::System => builder
            .with_platform_verifier()
            .map_err(TlsError::System)?
            .with_no_client_auth(),
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

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

pub(crate) fn certificates(
    path: &Path,
    what: What,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| pem_error(error, path, what))?;
    if chain.is_empty() {
        return Err(TlsError::Missing {
            what,
            path: path.to_owned(),
        });
    }
    Ok(chain)
}

pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.contains("ENCRYPTED") {
            return TlsError::EncryptedKey {
                path: path.to_owned(),
            };
        }
        pem_error(error, path, What::Key)
    })
}

fn pem_error(error: PemError, path: &Path, what: What) -> TlsError {
    let path = path.to_owned();
    match error {
        PemError::Io(source) => TlsError::Unreadable { what, path, source },
        PemError::NoItemsFound => TlsError::Missing { what, path },
        other => TlsError::BadPem {
            what,
            path,
            reason: other.to_string(),
        },
    }
}

/// What certificate is accepted. The handshake's signature is checked in every case: the peer must
/// own the certificate's key.
#[derive(Debug)]
struct Verifier {
    accept: Accept,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Accept {
    Anyone,
    Pinned(Fingerprint),
    /// One of these, or one signed by one of these, with the right name.
    Signed {
        trusted: Vec<CertificateDer<'static>>,
        chains: Arc<WebPkiServerVerifier>,
    },
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.accept {
            Accept::Anyone => {}
            Accept::Pinned(pin) if Fingerprint::of(end_entity) == *pin => {}
            Accept::Pinned(_) => {
                let seen = OtherFingerprint(Fingerprint::of(end_entity));
                let reason = rustls::OtherError(Arc::new(seen));
                return Err(rustls::CertificateError::Other(reason).into());
            }
            // A self-signed server certificate is often marked as a CA (openssl does so), which
            // chain building refuses. Being the very certificate that the user named is proof
            // enough; the name must fit all the same.
            Accept::Signed { trusted, .. } if trusted.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            Accept::Signed { chains, .. } => {
                return chains.verify_server_cert(
                    end_entity,
                    intermediates,
                    server_name,
                    ocsp_response,
                    now,
                );
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
