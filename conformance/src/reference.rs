//! The reference peers inside this program. The only module that may know our protocol crates.

use tempfile::TempDir;

use crate::notation::ast::Role;

/// A reference peer that runs as a task.
#[derive(Debug)]
pub(crate) struct Embedded {
    _directory: TempDir,
}

impl Embedded {
    /// Starts a peer from the configuration files in `directory`.
    #[allow(clippy::unused_async)]
    pub(crate) async fn start(role: Role, directory: TempDir) -> Result<Self, String> {
        drop(directory);
        Err(format!("the reference {role} is not built in"))
    }

    /// Why it is no longer running, if it is not.
    #[allow(clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    pub(crate) fn ended(&mut self) -> Option<String> {
        None
    }

    /// Ends it.
    #[allow(clippy::unused_async)]
    pub(crate) async fn stop(self) {}
}
