//! The IO that the Netroxy server and client share.
//!
//! Nothing here knows what a login or a mapping is: that is `netroxy-proto`. Here are sockets
//! ([`listen`], [`stream`]), TLS ([`tls`], [`tls_stream`]), messages on a stream ([`connection`]), the byte relay
//! ([`relay`]), its bound of speed ([`throttle`]), deadlines ([`deadline`]), descriptors
//! ([`descriptors`]), names ([`resolve`]), configuration files ([`config_file`], [`check_config`]),
//! what they name ([`networks`], [`ports`]),
//! the log ([`log`]), files that a command makes ([`new_files`]), what a well-behaved program does at its
//! start and end ([`program`], [`hangup`], [`service_manager`]), and,
//! on Unix, questions of its administrator while it runs (`local_socket`).

pub mod check_config;
pub mod config_file;
pub mod connection;
pub mod deadline;
pub mod descriptors;
pub mod hangup;
pub mod listen;
#[cfg(unix)]
pub mod local_socket;
pub mod log;
pub mod networks;
pub mod new_files;
pub mod ports;
pub mod program;
pub mod relay;
pub mod resolve;
pub mod service_manager;
pub mod stream;
#[cfg(test)]
mod test_tcp;
pub mod throttle;
pub mod tls;
pub mod tls_server;
pub mod tls_stream;
mod unsent;
mod whole_file;
