//! Writes files and standard output.
//!
//! An output is complete, or absent, or an error says what is missing. A file is written in its folder under another
//! name and moved to its place when it is complete. Only files that grow for a long time, such as the recording of a
//! tap, are written in place; they end with their last complete part.

mod growing;
mod place;
mod stdout;

pub(crate) use growing::{Growing, Stopped};
pub(crate) use place::{Folder, Place, PlaceError, Readers};
pub(crate) use stdout::{lost, out};
