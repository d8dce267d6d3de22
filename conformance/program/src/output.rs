//! Everything that this program writes for others: files and standard output.
//!
//! What is written is there whole or not at all, or it is said what is missing. A file is written beside its place and
//! takes it when it is whole; only what grows while somebody looks, such as the recording of a tap, is written in
//! place, and ends with its last whole part.

mod growing;
mod place;
mod stdout;

pub(crate) use growing::{Growing, Stopped};
pub(crate) use place::{Folder, Misplaced, Place, Readers};
pub(crate) use stdout::{lost, out};
