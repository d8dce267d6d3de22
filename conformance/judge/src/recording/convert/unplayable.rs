//! Why a recording cannot be played as a case.

use netroxy_specification::notation::ast::{Role, Side};

/// Why a recording cannot be played.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unplayable {
    #[error("a {0} was recorded, and a {1} is to be judged")]
    Role(Role, Side),
    #[error("it is of a pair: what client and server said to each other is not in it")]
    Pair,
    #[error("it has {0} {1}, and a case has names for {2}")]
    TooMany(usize, &'static str, usize),
    #[error("the {0} sends nothing in it")]
    Silent(Side),
}
