//! The IO that the Netroxy server and client share.
//!
//! Nothing here knows what a login or a mapping is: that is `netroxy-proto`. Here are sockets
//! ([`listen`], [`stream`]), TLS ([`tls`]), messages on a stream ([`connection`]), the byte relay
//! ([`relay`]), deadlines ([`deadline`]), configuration files ([`config_file`], [`check_config`]),
//! the log ([`log`]), and what a well-behaved program does at its start and end ([`program`]).

pub mod check_config;
pub mod config_file;
pub mod connection;
pub mod deadline;
pub mod listen;
pub mod log;
pub mod program;
pub mod relay;
pub mod stream;
pub mod tls;
mod unsent;
mod whole_file;
