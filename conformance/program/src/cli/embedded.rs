//! Without a command: plays every case against the embedded reference server, client and pair.

use std::sync::Arc;

use netroxy_judge::sut::Subject;
use netroxy_specification::notation::ast::Side;
use netroxy_specification::rules::Rule;

use super::arguments::Pace;
use super::complaint::{Complaint, manifest_complaint};
use super::judging::{RunFlags, Selection, judge_all};
use super::output::Output;
use super::select::all;
use crate::peers;

pub(super) async fn execute(rules: &[Rule], pace: Pace, output: Output) -> Result<u8, Complaint> {
    let entries = all()?;
    let mut selections = Vec::new();
    let reference = |side| peers::reference(side).map_err(manifest_complaint);
    let (server, client) = (reference(Side::Server)?, reference(Side::Client)?);
    for subject in [
        Subject::Started(server.clone()),
        Subject::Started(client.clone()),
        Subject::Pair(Box::new((server, client))),
    ] {
        selections.push(Selection {
            entries: entries.clone(),
            subject: Arc::new(subject),
            wanted: Vec::new(),
        });
    }
    let flags = RunFlags {
        order: pace.order()?,
        slowest: pace.slowest,
        output,
        ..RunFlags::default()
    };
    let done = judge_all(rules, selections, pace.options(true), flags).await?;
    Ok(done.code)
}
