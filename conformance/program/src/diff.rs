//! Two peers side by side: the results of the same cases, and how they are shown.

mod columns;
mod difference;
mod report;

pub(crate) use columns::Columns;
pub(crate) use difference::{Difference, Side};
pub(crate) use report::{Report, Uncompared};

#[cfg(test)]
mod tests;
