//! The control connection, and what the client receives on it.

use std::future::Future;
use std::io;
use std::pin::Pin;

use netroxy_net::connection::{Connection, Received};
use netroxy_net::stream::Stream;
use netroxy_net::tls::explained;
use netroxy_proto::ServerMessage;
use netroxy_proto::client::Input;
use tracing::warn;

use crate::dial::Server;

/// The control connection.
pub(crate) enum Control {
    None,
    Connecting(Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>),
    Open {
        connection: Box<Connection<ServerMessage>>,
        /// Whether the server has sent a message yet.
        spoken: bool,
    },
}

impl Control {
    /// The next input for the machine. Without a connection it never comes.
    pub(crate) async fn next(&mut self, server: &Server) -> Input {
        match self {
            Self::None => std::future::pending().await,
            Self::Connecting(dialling) => match dialling.await {
                Ok(stream) => {
                    *self = Self::Open {
                        connection: Box::new(Connection::new(stream)),
                        spoken: false,
                    };
                    Input::Connected
                }
                Err(error) => {
                    warn!(%server, %error, "cannot connect");
                    Input::ConnectFailed
                }
            },
            Self::Open { connection, spoken } => match connection.receive().await {
                Received::Message(message) => {
                    *spoken = true;
                    Input::Message(message)
                }
                Received::Malformed(error) => Input::Malformed(error),
                Received::Ended(error) => {
                    // A server that closes TLS without close_notify has closed all the same.
                    let broken = error
                        .as_ref()
                        .is_some_and(|error| error.kind() != io::ErrorKind::UnexpectedEof);
                    // With TLS 1.3 a server that rejects the client's certificate reports it here.
                    let is_tls = error
                        .as_ref()
                        .and_then(|error| error.get_ref())
                        .is_some_and(|cause| cause.is::<rustls::Error>());
                    let error = error.map(explained).map(tracing::field::display);
                    if *spoken || is_tls {
                        warn!(error, "the server has ended the control connection");
                    } else {
                        warn!(
                            error,
                            "the server has closed the connection before it sent anything: its port may \
                             need TLS, which the client does not use"
                        );
                    }
                    if broken { Input::Broken } else { Input::Ended }
                }
            },
        }
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Connecting(_) => "Connecting",
            Self::Open { .. } => "Open",
        })
    }
}
