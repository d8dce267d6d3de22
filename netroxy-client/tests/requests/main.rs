//! Mappings that users ask for: a real server with its web interface, a client, and users; and servers
//! that want more than they may.
#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

mod asked;
#[cfg(unix)]
mod by_hand;
mod evil;
mod http;
mod scene;
#[path = "../support/mod.rs"]
mod support;
