//! Judges any codec by the test vectors, over its standard input and output.

mod codec;
mod contract;
mod judge;
mod probe;
mod run;

pub use contract::HELP;
pub use judge::{escaped, shortened};
pub use run::{Grade, Judged, NotReady, Options, Seen, run};
