//! Tests of the stream against the buffered connections of rustls, as client and as server, with TLS 1.2 and 1.3.

use std::path::Path;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, InvalidMessage, ServerConnection, SupportedProtocolVersion};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::test_tcp;
use crate::tls::{self, Trust, provider};
use crate::tls_server::CertificateFiles;

mod keys;
mod limits;
mod relayed;
mod traffic;

type Other = tokio_rustls::TlsStream<TcpStream>;

/// How long a test waits for an event before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// The role of the stream under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Client,
    Server,
}

/// Each role with each version.
fn ways() -> impl Iterator<Item = (Role, &'static SupportedProtocolVersion)> {
    let roles = [Role::Client, Role::Server];
    roles
        .into_iter()
        .flat_map(|role| VERSIONS.map(|version| (role, version)))
}

fn server_config(
    version: &'static SupportedProtocolVersion,
    provider: Arc<CryptoProvider>,
) -> Arc<ServerConfig> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    let files = CertificateFiles {
        chain: folder.join("ec.pem"),
        key: folder.join("ec-sec1.key"),
    };
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(files.load().unwrap())));
    Arc::new(config)
}

fn client_config() -> Arc<ClientConfig> {
    tls::client(&Trust::Anyone, None).unwrap()
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let (near, far) = test_tcp::pair().await;
    for end in [&near, &far] {
        end.set_nodelay(true).unwrap();
    }
    (near, far)
}

/// A stream under test, and the other end.
async fn pair(role: Role, version: &'static SupportedProtocolVersion) -> (TlsStream, Other) {
    meet(role, server_config(version, provider()), client_config()).await
}

async fn meet(
    role: Role,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
) -> (TlsStream, Other) {
    let (near, far) = tcp_pair().await;
    match role {
        Role::Client => {
            let other = TlsAcceptor::from(server).accept(far);
            let (ours, other) = tokio::join!(connect(client, name(), near), other);
            (ours.unwrap(), other.unwrap().into())
        }
        Role::Server => {
            let other = TlsConnector::from(client).connect(name(), far);
            let (ours, other) = tokio::join!(accept(server, near), other);
            (ours.unwrap(), other.unwrap().into())
        }
    }
}

/// Consecutive numbers as bytes: a fault that exchanges parts is detected.
fn bytes(count: usize) -> Vec<u8> {
    let numbers = (0_u32..).flat_map(|number| number.to_be_bytes());
    numbers.take(count).collect()
}

/// The error of TLS in an error of IO.
#[track_caller]
fn cause(error: &io::Error) -> &Error {
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    error
        .get_ref()
        .and_then(|cause| cause.downcast_ref())
        .unwrap()
}

/// Polls once.
async fn once<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll_fn(|cx| Poll::Ready(poll(cx))).await
}

impl TlsStream {
    /// The size of its buffers in bytes.
    fn buffers(&self) -> usize {
        self.incoming.capacity() + self.plain.capacity() + self.outgoing.capacity()
    }
}
