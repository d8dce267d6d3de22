//! Without a command: every case of both roles against the embedded peers.

use std::sync::Arc;

use netroxy_judge::sut::Subject;
use netroxy_specification::notation::ast::Side;
use netroxy_specification::rules::Rule;

use super::select::all;
use super::session::{Conduct, Round, judge_all};
use super::{Complaint, Output, Pace, manifest_complaint};
use crate::peers;

pub(super) async fn execute(rules: &[Rule], pace: Pace, output: Output) -> Result<u8, Complaint> {
    let entries = all()?;
    let mut rounds = Vec::new();
    let reference = |side| peers::reference(side).map_err(manifest_complaint);
    let (server, client) = (reference(Side::Server)?, reference(Side::Client)?);
    for subject in [
        Subject::Started(server.clone()),
        Subject::Started(client.clone()),
        Subject::Pair(Box::new((server, client))),
    ] {
        rounds.push(Round {
            entries: entries.clone(),
            subject: Arc::new(subject),
            wanted: Vec::new(),
        });
    }
    let conduct = Conduct {
        order: pace.order()?,
        slowest: pace.slowest,
        output,
        ..Conduct::default()
    };
    let done = judge_all(rules, rounds, pace.options(true), conduct).await?;
    Ok(done.code)
}
