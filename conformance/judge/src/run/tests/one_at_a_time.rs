//! A server that serves one connection at a time and closes all others.

use netroxy_broken::Manner;
use netroxy_specification::notation::ast::Side;

use super::*;
use crate::peers;

/// Each case needs a second connection: for a login that proves silence, for data, or for the login after the case.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_one_connection_at_a_time_passes_nothing() {
    let server = peers::broken(Side::Server, Manner::OneAtATime).unwrap();
    let subject = Arc::new(Subject::Started(server));
    let found = verdicts_of(&subject, 1.0).await;
    assert_eq!(passed(&found), [""; 0]);
}
