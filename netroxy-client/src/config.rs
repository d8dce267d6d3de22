//! `client_config.json`, as the original client reads it, with new keys.
//!
//! [`sources`] reads the [`file`] and the [`flags`] and joins them. [`tls`] and [`requests`] do this for one section
//! each. The result is a [`Config`] of [`types`]. An error finds its place in the file by the [`origin`].

mod fields;
mod file;
pub(crate) mod flags;
mod mapping;
mod name;
mod origin;
pub(crate) mod password;
#[cfg(test)]
pub(crate) mod reference;
mod requests;
pub(crate) mod sources;
pub(crate) mod tls;
mod types;
mod url;
#[cfg(test)]
mod words;

pub use mapping::{InvalidMapping, MapFlag, Ports, ServerFlag};
pub use types::{Accept, Allowed, Config, Peer, RequestsConfig, ServerConfig, Service, TlsConfig};
