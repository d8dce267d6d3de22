//! The tests of the protocol that need no other program than this one.

#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

mod arbitrary;
mod client_configure;
mod client_edges;
mod corpus;
mod errors;
mod grammar;
mod limits;
mod purity;
#[path = "../revision/mod.rs"]
mod revision;
#[path = "../rig/mod.rs"]
mod rig;
mod round_trip;
mod rules;
mod same_seed;
mod secrets;
mod server_edges;
mod sessions;
mod spec;
mod split;
#[path = "../strategies/mod.rs"]
mod strategies;
mod vectors;
