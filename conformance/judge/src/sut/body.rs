//! A program that runs: in a process of its own, in this process, or outside the suite.

use std::time::Duration;

use super::process::Process;
use crate::embedded::Embedded;

/// What executes a program.
#[derive(Debug)]
pub(super) enum Body {
    Process(Box<Process>),
    Embedded(Embedded),
    /// A server that the suite did not start.
    Foreign,
}

impl Body {
    /// How it ended, if it has. Always `None` for a server that the suite did not start.
    pub(super) fn ended(&mut self) -> Option<String> {
        match self {
            Self::Process(process) => process.ended(),
            Self::Embedded(embedded) => embedded.ended(),
            Self::Foreign => None,
        }
    }

    /// The id of its process, if it has one that runs.
    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Self::Process(process) => process.pid(),
            Self::Embedded(_) | Self::Foreign => None,
        }
    }

    /// The processor time that it has used; zero if it has no process of its own.
    pub(super) fn effort(&self) -> Duration {
        match self {
            Self::Process(process) => process.effort(),
            Self::Embedded(_) | Self::Foreign => Duration::ZERO,
        }
    }

    /// The end of what it has written to its standard output and error.
    pub(super) async fn log_tail(&mut self) -> String {
        match self {
            Self::Process(process) => process.log_tail().await,
            Self::Embedded(_) | Self::Foreign => String::new(),
        }
    }

    /// Ends it and every process that it has started.
    pub(super) async fn stop(self) {
        match self {
            Self::Process(process) => process.stop().await,
            Self::Embedded(embedded) => embedded.stop().await,
            Self::Foreign => {}
        }
    }
}
