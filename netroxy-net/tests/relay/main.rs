//! Tests of the relay between real sockets, on each path that bytes can take.
#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

use std::io;

use netroxy_net::relay::relay;
use netroxy_net::stream::{Stream, not_to_itself};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

macro_rules! on_path {
    ($module:ident, $path:ident) => {
        mod $module {
            const PATH: netroxy_net::relay::Path = netroxy_net::relay::Path::$path;

            mod cases {
                include!("cases.rs");
            }
        }
    };
}

on_path!(adaptive, Adaptive);
on_path!(copy, Copy);
on_path!(splice, Splice);
on_path!(alternate, Alternate);

#[tokio::test]
async fn a_connection_to_itself_is_refused() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let own = socket.local_addr().unwrap();
    let itself = socket.connect(own).await.unwrap();
    let error = not_to_itself(itself).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap());
    not_to_itself(near.await.unwrap()).unwrap();
}

/// This future is the greatest part of the memory of an idle tunnel.
#[tokio::test]
async fn the_future_of_a_relay_is_small() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await;
    let far = listener.accept().await.unwrap().0;
    let [near, far] = [near.unwrap(), far].map(Stream::Plain);
    let cut = CancellationToken::new();
    let size = size_of_val(&relay(near, far, Vec::new(), &cut));
    assert!(size <= 800, "{size} bytes");
}
