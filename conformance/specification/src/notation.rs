//! The transcript notation: one way to write down what crosses the wire.
//!
//! The normative description is `spec/v0.3/notation.md`.

pub mod ast;
mod parse;
mod print;

pub use parse::{SyntaxError, parse, parse_step};
pub use print::{joined, print, print_action, print_step};
