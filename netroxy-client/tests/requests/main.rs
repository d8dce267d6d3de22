//! Mappings that users request: with a real server and its web interface, and with servers that request what the
//! client does not allow.
#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

mod asked;
#[cfg(unix)]
mod by_hand;
mod evil;
mod http;
mod scene;
#[path = "../support/mod.rs"]
mod support;
