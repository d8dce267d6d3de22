//! TLS in both roles. The suite accepts any certificate of a server, and sends its own certificate to clients.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use netroxy_specification::notation::ast::Shown;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::authority::{Authority, Dates, Identity};
use super::drip::Tcp;

/// Makes TLS connections. A copy can offer fewer versions, or send another certificate.
#[derive(Clone)]
pub struct Tls {
    made: Arc<Made>,
    /// Whether it offers only TLS 1.2.
    only12: bool,
    /// The certificate that it sends to clients.
    shown: Shown,
}

/// The parts that all copies share.
struct Made {
    /// For all versions, and for TLS 1.2 only.
    connectors: [TlsConnector; 2],
    /// For each certificate: for all versions, and for TLS 1.2 only.
    acceptors: BTreeMap<Shown, [TlsAcceptor; 2]>,
    /// The server name that the suite sends as a client.
    name: ServerName<'static>,
    /// The authority's certificate, in PEM form.
    authority: String,
}

impl Tls {
    /// Reads the embedded certificate, and makes the certificates for clients that verify the server's certificate.
    ///
    /// # Errors
    /// If the embedded files are damaged, or a certificate cannot be made.
    pub fn new() -> io::Result<Self> {
        let connectors = [connector(&ALL_VERSIONS)?, connector(&[&TLS12])?];
        let authority = Authority::new()?;
        let mut acceptors = BTreeMap::new();
        for shown in Shown::ALL {
            let (chain, key) = match shown {
                Shown::Other => embedded()?,
                Shown::Trusted => authority.sign(HOSTS, Dates::Now)?,
                Shown::Misnamed => authority.sign(&["elsewhere.invalid"], Dates::Now)?,
                Shown::Expired => authority.sign(HOSTS, Dates::Past)?,
            };
            let both = [
                acceptor(&ALL_VERSIONS, chain.clone(), key.clone_key())?,
                acceptor(&[&TLS12], chain, key)?,
            ];
            acceptors.insert(shown, both);
        }
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        Ok(Self {
            made: Arc::new(Made {
                connectors,
                acceptors,
                name,
                authority: authority.pem(),
            }),
            only12: false,
            shown: Shown::Other,
        })
    }

    /// A copy that offers only TLS 1.2.
    pub(crate) fn only12(&self) -> Self {
        Self {
            only12: true,
            ..self.clone()
        }
    }

    /// A copy that sends this certificate to clients.
    pub(crate) fn showing(&self, shown: Shown) -> Self {
        Self {
            shown,
            ..self.clone()
        }
    }

    /// The certificate of the authority that a client has to trust, in PEM form.
    pub(crate) fn authority(&self) -> &str {
        &self.made.authority
    }

    pub(super) async fn connect(
        &self,
        stream: Tcp,
    ) -> io::Result<tokio_rustls::client::TlsStream<Tcp>> {
        let connector = &self.made.connectors[usize::from(self.only12)];
        connector.connect(self.made.name.clone(), stream).await
    }

    pub(super) async fn accept(
        &self,
        stream: Tcp,
    ) -> io::Result<tokio_rustls::server::TlsStream<Tcp>> {
        // `new` makes acceptors for each certificate.
        let acceptors = self.made.acceptors.get(&self.shown);
        let acceptors = acceptors.ok_or(io::ErrorKind::NotFound)?;
        acceptors[usize::from(self.only12)].accept(stream).await
    }
}

const ALL_VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// The host names by which the client of a case connects to the suite.
const HOSTS: &[&str] = &["localhost", "127.0.0.1"];

fn connector(versions: &[&'static SupportedProtocolVersion]) -> io::Result<TlsConnector> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

fn acceptor(
    versions: &[&'static SupportedProtocolVersion],
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> io::Result<TlsAcceptor> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(io::Error::other)?;
    Ok(Arc::new(config).into())
}

fn embedded() -> io::Result<Identity> {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_slice(KEY).map_err(io::Error::other)?;
    Ok((vec![certificate], key))
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

const CERTIFICATE: &[u8] = include_bytes!("../../../fixtures/tls/cert.pem");
const KEY: &[u8] = include_bytes!("../../../fixtures/tls/key.pem");

/// Accepts every certificate: a server under test has one that no authority has signed.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
