//! What people and programs get to read.

pub(crate) mod json;
pub(crate) mod listing;
mod text;

pub(crate) use text::{Report, Totals, out};
