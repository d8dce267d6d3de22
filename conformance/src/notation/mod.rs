//! The transcript notation: one way to write down what crosses the wire.
//!
//! The normative description is `spec/v0.3/notation.md`.

pub mod ast;
mod parse;
mod print;

pub(crate) use parse::parse_step;
pub use parse::{SyntaxError, parse};
pub(crate) use print::joined;
pub use print::{print, print_action, print_step};
