//! Bodies of the fuzz targets: each takes any bytes and panics if its property does not hold.
//!
//! They are ordinary functions, so `cargo test` with a stable compiler runs the corpus through them.

mod chunking;
mod client;
mod messages;
mod oracle;
mod server;
mod source;

pub use chunking::chunking;
pub use client::{client_machine, client_rows};
pub use messages::{client_message, round_trip, server_message};
pub use oracle::{Direction, Ending, Framed, frame};
pub use server::{server_machine, server_rows};

/// A fuzz body.
pub type Body = fn(&[u8]);

/// Every fuzz target and its name, which is also the name of its corpus folder.
pub const TARGETS: [(&str, Body); 6] = [
    ("client_message", client_message),
    ("server_message", server_message),
    ("round_trip", round_trip),
    ("chunking", chunking),
    ("server_machine", server_machine),
    ("client_machine", client_machine),
];
