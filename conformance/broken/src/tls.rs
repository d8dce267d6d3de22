//! TLS for both sides.

mod verify;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{fs, io};

use rustls::crypto::{CryptoProvider, ring};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::{Bug, Manner};

/// An acceptor with a certificate and a key from PEM files.
pub(crate) fn acceptor(certificate: &Path, key: &Path, manner: Manner) -> io::Result<TlsAcceptor> {
    let certificate =
        CertificateDer::from_pem_slice(&fs::read(certificate)?).map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_slice(&fs::read(key)?).map_err(io::Error::other)?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(manner))
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(io::Error::other)?;
    Ok(Arc::new(config).into())
}

/// A connector. If it verifies certificates, it trusts the issuer in the PEM file, and none without a file. Else it
/// accepts every certificate.
pub(crate) fn connector(
    verify: bool,
    trusted: Option<&Path>,
    manner: Manner,
) -> io::Result<TlsConnector> {
    let verifier = match verify {
        true => verify::verifier(trusted, manner.bug(), provider())?,
        false => verify::accept_all(provider()),
    };
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(manner))
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn versions(manner: Manner) -> &'static [&'static SupportedProtocolVersion] {
    const OLD: &[&SupportedProtocolVersion] = &[&TLS12];
    const NEW: &[&SupportedProtocolVersion] = &[&TLS13];
    const ALL: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
    match manner {
        Manner::Tls12 => OLD,
        Manner::Bad(Bug::Tls13Alone) => NEW,
        _ => ALL,
    }
}

/// The name of the server in its certificate.
pub(crate) fn name() -> io::Result<ServerName<'static>> {
    ServerName::try_from("localhost").map_err(io::Error::other)
}

/// A TLS connection that ends each direction with close_notify, apart from bugs.
pub(crate) struct Secure {
    stream: TlsStream<TcpStream>,
    bug: Option<Bug>,
    /// Whether the other side has ended its direction.
    received_end: bool,
    /// Whether our direction ends by a FIN alone; set when it ends.
    fin_alone: Option<bool>,
}

impl Secure {
    pub(crate) fn new(stream: impl Into<TlsStream<TcpStream>>, bug: Option<Bug>) -> Self {
        Self {
            stream: stream.into(),
            bug,
            received_end: false,
            fin_alone: None,
        }
    }
}

impl AsyncRead for Secure {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.received_end |= buffer.filled().len() == before;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Secure {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let now = match self.bug {
            Some(Bug::CloseNotifyNever) => true,
            Some(Bug::CloseNotifyNotAtHalf) => !self.received_end,
            Some(Bug::CloseNotifyNotAtClose) => self.received_end,
            _ => false,
        };
        if !*self.fin_alone.get_or_insert(now) {
            return Pin::new(&mut self.stream).poll_shutdown(cx);
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        Pin::new(self.stream.get_mut().0).poll_shutdown(cx)
    }
}
