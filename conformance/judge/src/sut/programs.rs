//! The programs that a case is played against: one, or the two of a pair.

use super::instance::Instance;
use super::pair::Pair;

/// The programs of a case.
#[derive(Debug)]
pub(crate) enum Programs {
    One(Box<Instance>),
    Pair(Box<Pair>),
}

impl Programs {
    /// How a program ended, if one has. Always `None` for a server that the suite did not start.
    pub(crate) fn ended(&mut self) -> Option<String> {
        match self {
            Self::One(instance) => instance.ended(),
            Self::Pair(pair) => pair.ended(),
        }
    }

    /// The id of the process, if it is one program with a process that runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Self::One(instance) => instance.pid(),
            Self::Pair(_) => None,
        }
    }

    /// The end of what the programs have written to their standard output and error.
    pub(crate) async fn log_tail(&mut self) -> String {
        match self {
            Self::One(instance) => instance.log_tail().await,
            Self::Pair(pair) => pair.log_tail().await,
        }
    }

    /// Ends the programs and every process that they have started.
    pub(crate) async fn stop(self) {
        match self {
            Self::One(instance) => instance.stop().await,
            Self::Pair(pair) => pair.stop().await,
        }
    }
}
