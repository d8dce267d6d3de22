//! The configuration: its types, its file and the reader of the file.

mod file;
mod keys;
#[cfg(test)]
pub(crate) mod reference;
mod shape;
mod types;
#[cfg(test)]
mod words;

pub use types::{Config, MappedPorts, TlsConfig, UserNetworks, WebConfig};
