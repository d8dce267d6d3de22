//! Tests of listening sockets.
#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

use std::io;
use std::net::Ipv4Addr;

use netroxy_net::listen::{Bind, Closable};
use tokio::net::TcpStream;

#[tokio::test]
async fn all_addresses_include_ipv4_and_ipv6() {
    let listener = Bind::Any.listen(0).unwrap();
    let port = listener.local_addr().unwrap().port();
    let closable = Closable::new(listener);
    TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (_, peer) = closable.accept().await.unwrap();
    assert_eq!(
        peer.ip(),
        Ipv4Addr::LOCALHOST,
        "the address of an IPv4 user is an IPv4 address"
    );
    if let Ok(stream) = TcpStream::connect(("::1", port)).await {
        let (_, peer) = closable.accept().await.unwrap();
        assert_eq!(peer, stream.local_addr().unwrap());
    }
}

#[tokio::test]
async fn a_closed_port_is_free_at_once_although_a_task_accepts_on_it() {
    let listener = Bind::Any.listen(0).unwrap();
    let port = listener.local_addr().unwrap().port();
    let closable = std::sync::Arc::new(Closable::new(listener));
    let accepting = tokio::spawn({
        let closable = closable.clone();
        async move { closable.accept().await.is_none() }
    });
    tokio::task::yield_now().await;
    let busy = Bind::Any.listen(port).unwrap_err();
    assert_eq!(busy.kind(), io::ErrorKind::AddrInUse);
    closable.close();
    Bind::Any.listen(port).unwrap();
    assert!(closable.accept().await.is_none());
    accepting.abort();
}
