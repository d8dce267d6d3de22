//! What the HTML pages of this program share.

mod address;
mod markdown;
mod page;
pub(crate) mod spec;

pub(crate) use address::encoded;
pub(crate) use markdown::inline;
pub(crate) use page::{Page, SHARED, document};

#[cfg(test)]
pub(crate) mod tests;
