//! The configuration of TLS for both peers: TLS 1.2 and 1.3 with the cryptography of ring, and private keys in every
//! usual form.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

mod certificate;
mod certificate_files;
mod error;
mod name;
mod pem;
mod provider;
mod trust;
mod verifier;

pub use certificate_files::CertificateFiles;
pub use error::{TlsError, What};
pub use name::{InvalidName, ascii_host, server_name};
pub(crate) use pem::certificates;
pub(crate) use provider::provider;
pub use trust::{Fingerprint, InvalidFingerprint, Trust};
pub use verifier::explained;
use verifier::{Accept, Verifier};

/// The configuration of a server with one certificate chain and its key. [`Setup`](crate::tls_server::Setup) has more
/// choices.
///
/// # Errors
///
/// [`TlsError`] if a file cannot be read or used.
pub fn server(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let files = CertificateFiles {
        chain: cert.to_owned(),
        key: key.to_owned(),
    };
    let pair = files.load()?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::System)?;
    let resolver = Arc::new(SingleCertAndKey::from(pair));
    let config = builder.with_no_client_auth().with_cert_resolver(resolver);
    Ok(Arc::new(config))
}

/// The configuration of a client. `identity` is the certificate that it shows to a server that wants one.
/// [`Trust::Anyone`] and [`Trust::Fingerprint`] also accept certificates of X.509 version 1, and RSA keys from 1024 to
/// 8192 bits (below 2048 bits only with TLS 1.2). They accept no keys on the curves P-224 and P-521.
///
/// # Errors
///
/// [`TlsError`] if the certificates to trust ([`What::Ca`]), the own certificate or its key cannot be read or used.
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
