//! Netroxy protocol v0.3: messages, parser, encoder, framer and the session state machines.
//!
//! This crate has no sockets, no clock, no randomness and no threads; it needs `alloc` only.
//! Bytes, time and random tokens are arguments. Sockets and tasks are in the crates
//! `netroxy-server` and `netroxy-client`.
//!
//! # Messages
//!
//! The direction is in the type: a server reads [`ClientMessage`]s, a client reads
//! [`ServerMessage`]s. A value of a message type is always valid on the wire.
//!
//! ```
//! use netroxy_proto::{ClientMessage, Decoder, Limits};
//!
//! let mut decoder = Decoder::<ClientMessage>::new(Limits::default());
//! decoder.push(b"SRQ\nTRS\n68c24c62c13aef70\n8080\nearly data");
//! assert_eq!(decoder.next_message(), Ok(Some(ClientMessage::Srq)));
//! assert!(matches!(decoder.next_message(), Ok(Some(ClientMessage::Trs(_)))));
//! // TRS ends the lines: the bytes that follow belong to the tunnel.
//! assert_eq!(decoder.next_message(), Ok(None));
//! assert_eq!(decoder.into_tail(), b"early data");
//! ```
//!
//! # State machines
//!
//! [`server::Server`] is a whole server: control connections, mapped ports, waiting users, and the
//! data connections that they are joined with. [`client::Client`] is a whole client: login, mappings,
//! keepalive and reconnection. Both are driven in the same way:
//!
//! > **Feed one input, then drain every output, then feed the next input.**
//!
//! 1. `handle(now, input)`: `now` is the time since an epoch that the caller chose; it must not
//!    go back.
//! 2. `poll_output()` until it returns `None`; carry out each output in order.
//! 3. `poll_timeout()`: when that time has come, feed `Input::Tick`.
//!
//! Each machine has one table of states and events, in its `table` module. The machine takes every
//! step from there: the action, the next state, the rule, and the reason to close a connection.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod client;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod server;

mod decoder;
mod error;
mod field;
mod message;
mod parse;
mod table;
mod timer;

pub use decoder::{Decoder, Limits};
pub use error::{Excerpt, LocalMisuse, ParseError, ParseErrorKind, PeerMisbehaved};
pub use field::{
    ClientName, InvalidField, Password, PortNumber, RemotePort, Target, Timeout, Token, Username,
};
pub use message::{Ars, Ath, ClientMessage, Incoming, Map, Mrs, ServerMessage, Trq, Trs};
pub use table::Row;
