//! `matrix`: plays every client with every server.

use std::sync::Arc;

use netroxy_judge::manifest::Manifest;
use netroxy_judge::sut::Subject;
use netroxy_specification::notation::ast::{Role, Side};
use netroxy_specification::rules::Rule;

use super::arguments::{Pace, Profile};
use super::complaint::{Complaint, manifest_complaint};
use super::exit::{EXIT_CODES, EXIT_USAGE};
use super::judging::{RunFlags, Selection, judge_all};
use super::output::Output;
use super::role;
use super::select::chosen;
use crate::peers;

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Matrix {
    /// Cases, rules, folders of cases or areas of rules, also as patterns with `*`; without any, all cases
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// A server or a client: a manifest file, or the name of a built-in one; the embedded reference always takes part
    #[arg(long, value_name = "FILE")]
    sut: Vec<String>,
    /// Which rules count
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// Count as failed what is allowed but not recommended
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    pace: Pace,
}

pub(super) async fn execute(matrix: Matrix, rules: &[Rule]) -> Result<u8, Complaint> {
    let mut servers = vec![peers::reference(Side::Server).map_err(manifest_complaint)?];
    let mut clients = vec![peers::reference(Side::Client).map_err(manifest_complaint)?];
    for sut in &matrix.sut {
        let manifest = peers::manifest(sut).map_err(manifest_complaint)?;
        let side = match manifest.role {
            Side::Server => &mut servers,
            Side::Client => &mut clients,
        };
        if side.iter().any(|known| known.name == manifest.name) {
            let message = format!(
                "two programs of this matrix have the name `{}`",
                manifest.name
            );
            let complaint = Complaint::new(EXIT_USAGE, message);
            return Err(complaint.hint("give them different names in their manifests"));
        }
        side.push(manifest);
    }
    let last = |all: &[Manifest]| all.last().cloned();
    let told = (!matrix.sut.is_empty())
        .then(|| Some((last(&servers)?, last(&clients)?)))
        .flatten()
        .map(|pair| Subject::Pair(Box::new(pair)));
    // The first word may be the role `pair`.
    let ids = match role::split(&matrix.ids) {
        (Some(Role::Pair), ids) => ids,
        _ => &matrix.ids,
    };
    let entries = chosen(Role::Pair, ids, told.as_ref())?;
    let mut selections = Vec::new();
    for client in &clients {
        for server in &servers {
            let subject = Subject::Pair(Box::new((server.clone(), client.clone())));
            selections.push(Selection {
                entries: entries.clone(),
                subject: Arc::new(subject),
                wanted: ids.to_vec(),
            });
        }
    }
    let flags = RunFlags {
        order: matrix.pace.order()?,
        strict: matrix.strict,
        slowest: matrix.pace.slowest,
        output: matrix.output,
        ..RunFlags::default()
    };
    let options = matrix.pace.options(matrix.profile == Profile::Hardened);
    let done = judge_all(rules, selections, options, flags).await?;
    Ok(done.code)
}
