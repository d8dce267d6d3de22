//! What people and programs get to read.

mod build;
mod html;
mod json;
mod junit;
pub(crate) mod listing;
mod live;
mod markdown;
mod matrix;
mod model;
mod outputs;
mod printable;
mod session;
mod tap;
mod text;

pub(crate) use json::SCHEMA;
pub(crate) use live::{InPlay, Look, is_coloured_here};
pub(crate) use model::{Settings, Totals};
pub(crate) use outputs::{OutputError, Outputs};
pub(crate) use session::Session;
pub(crate) use text::{last_line, out};

#[cfg(test)]
mod tests;
