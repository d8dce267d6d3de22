//! How long the judge waits.

use std::time::Duration;

/// Until an embedded peer has ended. Its tasks end where they wait, which is soon.
pub(crate) const EMBEDDED_END: Duration = Duration::from_secs(2);
