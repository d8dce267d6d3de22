//! A server that has never more than one connection: only what asks for no second one can be had.

use super::*;
use crate::manifest::Manifest;
use crate::notation::ast::Side;
use netroxy_broken::Manner;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_one_connection_at_a_time_passes_only_what_needs_no_second() {
    let server = Manifest::broken(Side::Server, Manner::Lonely).unwrap();
    let subject = Arc::new(Subject::Started(server));
    let found = verdicts_of(&subject, 1.0).await;
    let mut passed = passed(&found);
    passed.sort_unstable();
    assert_eq!(passed, PINNED);
}

/// The others prove their silence by another login, open data connections, or log in once more at the end.
const PINNED: [&str; 2] = ["server/auth/many-logins", "server/auth/many-logins@tls"];
