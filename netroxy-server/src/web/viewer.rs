//! What an account may see of the server.

use std::sync::Arc;

use netroxy_proto::Username;

use crate::accounts::Account;

/// The account of a request, and what it may see.
#[derive(Debug, Clone)]
pub(super) struct Viewer {
    pub(super) account: Arc<Account>,
    /// Whether it may see and switch everything.
    pub(super) administrator: bool,
}

impl Viewer {
    /// Whether the viewer may see and switch what belongs to `owner`; `None` is the server itself.
    pub(super) fn may_see(&self, owner: Option<&Username>) -> bool {
        self.administrator || owner == Some(&self.account.username)
    }
}
