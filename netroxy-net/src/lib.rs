//! The IO that the Netroxy server and client share.
//!
//! Nothing here knows what a login or a mapping is: that is `netroxy-proto`. Here are sockets
//! ([`listen`], [`stream`]), TLS ([`tls`]), messages on a stream ([`connection`]), the byte relay
//! ([`relay`]), deadlines ([`deadline`]), descriptors ([`descriptors`]), configuration files ([`config_file`]), names ([`resolve`]), what a well-behaved program
//! does at its start and end ([`program`]), and, on Unix, questions of its administrator while it
//! runs (`local_socket`).

pub mod config_file;
pub mod connection;
pub mod deadline;
pub mod descriptors;
pub mod listen;
#[cfg(unix)]
pub mod local_socket;
pub mod program;
pub mod relay;
pub mod resolve;
pub mod stream;
pub mod tls;
mod unsent;
