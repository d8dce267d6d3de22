//! Connections to the server and to targets.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use netroxy_net::resolve::{Class, Resolver};
use netroxy_net::stream::{Stream, limit_silence, not_to_itself, tune};
use netroxy_net::tls::explained;
use netroxy_net::tls_stream;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::ServerConfig;

/// How long connecting may take, the TLS handshake included.
const DIAL: Duration = Duration::from_secs(10);

/// The least time that each of several addresses of a name gets.
const LEAST_SHARE: Duration = Duration::from_secs(1);

/// The server, for control and data connections.
#[derive(Debug)]
pub(crate) struct Server {
    config: ServerConfig,
    names: Resolver,
    /// Where the last control connection went.
    peer: Mutex<Option<SocketAddr>>,
}

impl Server {
    /// `peer` is where the last control connection went.
    pub(crate) fn new(config: ServerConfig, names: Resolver, peer: Option<SocketAddr>) -> Self {
        Self {
            config,
            names,
            peer: Mutex::new(peer),
        }
    }

    /// Whether connections are plain TCP.
    pub(crate) fn is_plain(&self) -> bool {
        self.config.tls.is_none()
    }

    /// The host as users write it.
    pub(crate) fn public_host(&self) -> String {
        let host = &self.config.host;
        if host.contains(':') {
            format!("[{host}]")
        } else if host.is_empty() {
            "localhost".to_owned()
        } else {
            host.clone()
        }
    }

    /// For a data connection.
    pub(crate) async fn dial(&self) -> io::Result<Stream> {
        within(async { self.secure(self.connect().await?).await }).await
    }

    /// For a data connection if there is no descriptor to look up the name: connects to the address of the last control
    /// connection.
    pub(crate) async fn dial_peer(&self) -> io::Result<Stream> {
        let Some(addr) = self.peer() else {
            return self.dial().await;
        };
        within(async { self.secure(connect_to(addr).await?).await }).await
    }

    /// For the control connection. It has no time limit of its own, because the machine has a deadline for it.
    pub(crate) async fn open(self: Arc<Self>) -> io::Result<Stream> {
        let tcp = self.connect().await?;
        limit_silence(&tcp)?;
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner) = Some(tcp.peer_addr()?);
        self.secure(tcp).await
    }

    /// Where the last control connection went.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let ServerConfig { host, port, .. } = &self.config;
        connect_to_any(addresses(&self.names, Class::Own, host, *port).await?).await
    }

    async fn secure(&self, tcp: TcpStream) -> io::Result<Stream> {
        let Some(tls) = &self.config.tls else {
            return Ok(Stream::Plain(tcp));
        };
        let (config, name) = (tls.client.clone(), tls.server_name.clone());
        let stream = tls_stream::connect(config, name, tcp).await;
        Ok(stream.map_err(explained)?.into())
    }
}

/// Connects to a target. `forbidden` is the address of the server, if the server listens on the port for this client.
/// A tunnel to it would lead back to this client and open the next tunnel, until no descriptor is left.
pub(crate) async fn target(
    names: &Resolver,
    host: &str,
    port: u16,
    forbidden: Option<IpAddr>,
) -> io::Result<Stream> {
    within(async {
        let addrs = addresses(names, Class::Target, host, port).await?;
        if let Some(server) = forbidden
            && addrs.iter().any(|addr| is_same_host(addr.ip(), server))
        {
            return Err(io::Error::other(format!(
                "a loop: port {port} of the server leads back to this client"
            )));
        }
        Ok(Stream::Plain(connect_to_any(addrs).await?))
    })
    .await
}

/// Whether two addresses are of one host: they are equal, or both are loopback addresses.
fn is_same_host(one: IpAddr, other: IpAddr) -> bool {
    let (one, other) = (one.to_canonical(), other.to_canonical());
    one == other || (one.is_loopback() && other.is_loopback())
}

async fn addresses(
    names: &Resolver,
    class: Class,
    host: &str,
    port: u16,
) -> io::Result<Vec<SocketAddr>> {
    // An empty host is this machine, as for the original.
    let host = if host.is_empty() { "localhost" } else { host };
    names.resolve(host, port, class).await
}

async fn connect_to_any(addrs: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let count = u32::try_from(addrs.len()).unwrap_or(u32::MAX).max(1);
    let share = (DIAL / count).max(LEAST_SHARE);
    let mut last = io::ErrorKind::NotFound.into();
    for addr in addrs {
        // An address that does not answer must leave time for the next one.
        match timeout(share, connect_to(addr)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

async fn connect_to(addr: SocketAddr) -> io::Result<TcpStream> {
    let tcp = not_to_itself(TcpStream::connect(addr).await?)?;
    tune(&tcp)?;
    Ok(tcp)
}

async fn within<T>(dial: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(DIAL, dial)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ServerConfig { host, port, .. } = &self.config;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::path::Path;

    use netroxy_net::stream::SILENCE;
    use netroxy_net::tls::{self, Trust};
    use rustls::HandshakeKind;
    use rustls_pki_types::ServerName;
    use socket2::SockRef;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::TlsConfig;

    /// A full handshake would cost a signature for each data connection.
    #[tokio::test]
    async fn data_connections_resume_the_session_of_the_control_connection() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../netroxy-net/tests/tls");
        let acceptor = tls::server(&folder.join("ec.pem"), &folder.join("ec-sec1.key")).unwrap();
        let acceptor = TlsAcceptor::from(acceptor);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = ServerConfig {
            tls: Some(TlsConfig {
                server_name: ServerName::try_from("localhost").unwrap(),
                client: tls::client(&Trust::Anyone, None).unwrap(),
            }),
            ..ServerConfig::plain(listener.local_addr().unwrap())
        };
        let server = Arc::new(Server::new(config, Resolver::system(), None));
        let accept = async || {
            let mut stream = acceptor.accept(listener.accept().await?.0).await?;
            stream.write_all(b"x").await?;
            io::Result::Ok(stream)
        };
        let expected = [HandshakeKind::Full].into_iter();
        let expected = expected.chain([HandshakeKind::Resumed; 5]);
        for (number, expected) in expected.enumerate() {
            let dial = async {
                let mut stream = match number {
                    0 => server.clone().open().await?,
                    _ => server.dial().await?,
                };
                stream.read_u8().await?;
                Ok(stream)
            };
            let (accepted, _dialled) = tokio::try_join!(accept(), dial).unwrap();
            assert_eq!(accepted.get_ref().1.handshake_kind(), Some(expected));
        }
    }

    #[tokio::test]
    async fn all_connections_have_keepalive_and_only_control_has_a_silence_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let config = ServerConfig::plain(addr);
        let names = Resolver::system();
        let server = Arc::new(Server::new(config, names.clone(), None));
        let control = server.clone().open().await.unwrap();
        let data = [
            server.dial().await.unwrap(),
            server.dial_peer().await.unwrap(),
            target(&names, "127.0.0.1", addr.port(), None)
                .await
                .unwrap(),
        ];
        let socket = SockRef::from(control.tcp());
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(SILENCE));
        assert!(socket.keepalive().unwrap());
        for stream in data {
            let socket = SockRef::from(stream.tcp());
            assert_eq!(socket.tcp_user_timeout().unwrap(), None);
            assert!(socket.keepalive().unwrap());
        }
    }
}
