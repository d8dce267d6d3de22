//! The tests of the server, with real connections.

#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

#[cfg(unix)]
mod administration;
mod cli;
mod features;
#[cfg(target_os = "linux")]
mod hostile;
mod init;
#[cfg(unix)]
mod log;
mod order;
mod requests;
#[cfg(target_os = "linux")]
mod stopped;
#[path = "../support/mod.rs"]
mod support;
mod web;
