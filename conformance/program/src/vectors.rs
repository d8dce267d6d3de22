//! Lists vectors, and reports how a codec answered them.

mod list;
mod report;

pub(crate) use list::list;
pub(crate) use report::{Codec, Look, Report};
