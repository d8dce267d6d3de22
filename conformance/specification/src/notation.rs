//! The notation of transcripts: how a dialogue is written as text.
//!
//! The normative description is `spec/v0.3/notation.md`.

pub mod ast;
mod parse;
mod print;

pub use parse::{SyntaxError, parse, parse_step};
pub use print::{joined, print, print_action, print_step};
