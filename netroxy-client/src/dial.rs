//! Connections to the server and to services.

use std::{fmt, io, sync::Arc, time::Duration};

use netroxy_net::{
    resolve::{Class, Resolver},
    stream::{Stream, not_to_itself, tune},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use crate::ServerConfig;

/// So long may connecting take, the TLS handshake included.
const DIAL: Duration = Duration::from_secs(10);

/// Each of several addresses of a name gets at least so long.
const LEAST_SHARE: Duration = Duration::from_secs(1);

/// The server, for control and data connections.
#[derive(Debug)]
pub(crate) struct Server {
    config: ServerConfig,
    names: Resolver,
}

impl Server {
    pub(crate) fn new(config: ServerConfig, names: Resolver) -> Self {
        Self { config, names }
    }

    /// Whether connections are plain TCP.
    pub(crate) fn is_plain(&self) -> bool {
        self.config.tls.is_none()
    }

    /// For a data connection.
    pub(crate) async fn dial(self: Arc<Self>) -> io::Result<Stream> {
        within(self.open()).await
    }

    /// Takes as long as it takes: the machine has a deadline for control connections.
    pub(crate) async fn open(self: Arc<Self>) -> io::Result<Stream> {
        let ServerConfig { host, port, .. } = &self.config;
        let tcp = connect(&self.names, Class::Own, host, *port).await?;
        let Some(tls) = &self.config.tls else {
            return Ok(Stream::Plain(tcp));
        };
        let connector = TlsConnector::from(tls.client.clone());
        let stream = connector.connect(tls.server_name.clone(), tcp).await?;
        Ok(Stream::Tls(Box::new(stream.into())))
    }
}

/// Connects to a service.
pub(crate) async fn target(names: &Resolver, host: &str, port: u16) -> io::Result<Stream> {
    within(async {
        let tcp = connect(names, Class::Target, host, port).await?;
        Ok(Stream::Plain(tcp))
    })
    .await
}

async fn connect(names: &Resolver, class: Class, host: &str, port: u16) -> io::Result<TcpStream> {
    // As for the original, no address is this machine.
    let host = if host.is_empty() { "localhost" } else { host };
    let addrs = names.resolve(host, port, class).await?;
    let count = u32::try_from(addrs.len()).unwrap_or(u32::MAX).max(1);
    let share = (DIAL / count).max(LEAST_SHARE);
    let mut last = io::ErrorKind::NotFound.into();
    for addr in addrs {
        // An address that does not answer must leave time for the next one.
        let dialled = timeout(share, TcpStream::connect(addr)).await;
        match dialled.map(|dialled| dialled.and_then(not_to_itself)) {
            Ok(Ok(tcp)) => {
                tune(&tcp)?;
                return Ok(tcp);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
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
