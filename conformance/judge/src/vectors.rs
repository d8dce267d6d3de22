//! Judges a codec by the test vectors, over its standard input and output.

mod ask;
mod codec;
mod contract;
mod judge;
mod outcome;
mod probe;
mod run;

pub use contract::HELP;
pub use judge::{escaped, shortened};
pub use outcome::{Grade, Judged, NotReady, Seen};
pub use run::{Options, run};
