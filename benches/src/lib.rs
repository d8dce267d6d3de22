//! Shared code of the benches: connections over loopback, and a runtime of one thread.
//!
//! All ends of a connection, and everything between them, run on one thread. So a figure is the work of one core for a
//! byte or a user, and does not depend on the scheduler. The cost of a relay is the difference to the line `Direct`.
//!
//! `docs/performance.md` says how to run the benches and how to read their figures.
#![allow(clippy::unwrap_used, reason = "an unwrap that fails ends the bench")]

use std::path::PathBuf;

use netroxy_net::stream::{Stream, tune};
use netroxy_net::tls::{self, Trust};
use netroxy_net::tls_server::{CertificateFiles, Setup};
use netroxy_net::tls_stream;
use rustls_pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

/// A runtime of the calling thread.
#[must_use]
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Both ends of a TCP connection over loopback, with the socket options of both programs.
pub async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let far = listener.accept().await.unwrap().0;
    for end in [&near, &far] {
        tune(end).unwrap();
    }
    (near, far)
}

/// Both ends of a connection without TLS.
pub async fn plain_pair() -> (Stream, Stream) {
    let (near, far) = tcp_pair().await;
    (Stream::Plain(near), Stream::Plain(far))
}

/// Both ends of a TLS 1.3 connection: the client's and the server's.
pub async fn tls_pair() -> (Stream, Stream) {
    let [chain, key] = certificate();
    let setup = Setup {
        certificates: vec![CertificateFiles { chain, key }],
        client_ca: None,
        only_tls13: true,
    };
    let server = setup.load().unwrap();
    let client = tls::client(&Trust::Anyone, None).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let (near, far) = tcp_pair().await;
    let (near, far) = tokio::join!(
        tls_stream::connect(client, name, near),
        tls_stream::accept(server, far),
    );
    let far = far.map_err(|(error, _)| error);
    (
        Stream::Tls(Box::new(near.unwrap())),
        Stream::Tls(Box::new(far.unwrap())),
    )
}

/// The files of a certificate and its P-256 key, like those of `netroxy-server gen-cert`.
#[must_use]
pub fn certificate() -> [PathBuf; 2] {
    ["ec.pem", "ec-pkcs8.key"].map(|name| {
        PathBuf::from(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../netroxy-net/tests/tls"
        ))
        .join(name)
    })
}
