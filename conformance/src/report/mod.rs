//! What people and programs get to read.

mod build;
mod html;
mod json;
mod junit;
pub(crate) mod listing;
mod live;
mod markdown;
mod model;
mod outputs;
mod printable;
mod session;
mod tap;
mod text;

pub(crate) use json::SCHEMA;
pub(crate) use live::{InPlay, Look};
pub(crate) use model::Settings;
pub(crate) use outputs::{OutputError, Outputs};
pub(crate) use session::Session;
pub(crate) use text::out;

#[cfg(test)]
mod tests;
