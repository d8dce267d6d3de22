//! Test vectors of the codec, and how any codec is judged by them over its standard input and output.

mod codec;
mod contract;
mod judge;
mod list;
mod probe;
mod report;
mod run;
mod suite;

pub(crate) use contract::HELP;
pub(crate) use list::list;
pub(crate) use report::{Codec, Look, Report};
pub(crate) use run::{Judged, NotReady, Options, run};
pub(crate) use suite::{Vector, embedded};
