//! The tests of the client, with real connections.

#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

#[cfg(unix)]
mod admin;
mod cli;
mod client_certificates;
#[cfg(target_os = "linux")]
mod descriptors;
mod loops;
mod names;
mod one_line;
mod original;
mod pair;
mod spares;
#[path = "../support/mod.rs"]
mod support;
