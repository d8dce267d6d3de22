//! `run`: judges a server, a client or a pair.

use std::path::PathBuf;
use std::sync::Arc;

use netroxy_judge::run::Shard;
use netroxy_judge::shell::quoted;
use netroxy_judge::sut::Subject;
use netroxy_specification::notation::ast::{Role, Side};
use netroxy_specification::rules::Rule;

use super::address::RunningServer;
use super::arguments::{Pace, Profile};
use super::baseline::load;
use super::complaint::Complaint;
use super::exit::{EXIT_CODES, EXIT_USAGE};
use super::judging::{RunFlags, Selection, judge_all};
use super::output::Output;
use super::role;
use super::select::{chosen, from_files, role_of};
use crate::baseline::ProfileName;

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Run {
    /// `server`, `client` or `pair` (the manifest says it too), then cases, rules, folders of cases or areas of rules,
    /// also as patterns with `*`; without any, all cases
    #[arg(value_name = "[ROLE] ID")]
    words: Vec<String>,
    /// Manifest file, or the name of a built-in one; the embedded reference when not given
    #[arg(long, value_name = "FILE", conflicts_with = "addr")]
    sut: Option<String>,
    /// Role pair: the server, as --sut
    #[arg(long, value_name = "FILE")]
    server: Option<String>,
    /// Role pair: the client, as --sut
    #[arg(long, value_name = "FILE")]
    client: Option<String>,
    #[command(flatten)]
    running: RunningServer,
    /// Which rules count
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// Count as failed what is allowed but not recommended
    #[arg(long)]
    strict: bool,
    /// A case file of your own; may be given several times
    #[arg(long, value_name = "FILE", conflicts_with = "baseline")]
    case_file: Vec<String>,
    /// A baseline of known failures: a file, or the name of a built-in one
    #[arg(long, value_name = "FILE")]
    baseline: Option<String>,
    /// Play part K of N, which take about equally long; `report merge` merges their reports
    #[arg(long, value_name = "K/N", value_parser = Shard::parse)]
    shard: Option<Shard>,
    /// Record what each case sends and receives, including passwords, to DIR/ID.recording
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    #[command(flatten)]
    pace: Pace,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn execute(run: &Run, rules: &[Rule]) -> Result<u8, Complaint> {
    let (named, ids) = role::split(&run.words);
    if let (Some(id), [_, ..]) = (ids.first(), &run.case_file[..]) {
        let message = format!("--case-file names the cases, but so does `{id}`");
        return Err(Complaint::new(EXIT_USAGE, message).hint("leave one of them out"));
    }
    if let (Some(_), true, None) = (run.shard, run.pace.shuffle, run.pace.seed) {
        let complaint = Complaint::new(
            EXIT_USAGE,
            "each part would shuffle the cases in a different order",
        );
        return Err(complaint.hint("give each part the same --seed N"));
    }
    let subject = subject(run, named, ids)?;
    let role = subject.role();
    let told = run.names_a_subject().then_some(&subject);
    let entries = match run.case_file.is_empty() {
        true => chosen(role, ids, told)?,
        false => from_files(&run.case_file, role, told)?,
    };
    let subject = Arc::new(subject);
    let options = run.pace.options(run.profile == Profile::Hardened);
    let profile = ProfileName::new(options.hardened);
    let baseline = run.baseline.as_deref();
    let baseline = baseline.map(|file| load(file, &subject, Some(profile), rules));
    let flags = RunFlags {
        order: run.pace.order()?,
        strict: run.strict,
        slowest: run.pace.slowest,
        output: run.output.clone(),
        shard: run.shard,
        record: run.record.clone(),
        baseline: baseline.transpose()?,
        ..RunFlags::default()
    };
    let selection = Selection {
        entries,
        subject,
        wanted: ids.to_vec(),
    };
    let done = judge_all(rules, vec![selection], options, flags).await?;
    Ok(done.code)
}

impl Run {
    /// Whether the command judges anything but the embedded reference.
    fn names_a_subject(&self) -> bool {
        let files = [&self.sut, &self.server, &self.client, &self.running.addr];
        files.into_iter().any(Option::is_some)
    }
}

/// The subject. Its role is the named one, else that of the manifest, the case file or the ids.
fn subject(run: &Run, named: Option<Role>, ids: &[String]) -> Result<Subject, Complaint> {
    let pair_file = run.server.as_ref().or(run.client.as_ref());
    let side = match (named, &run.sut, &run.running.addr, pair_file) {
        (Some(Role::Pair), ..) | (None, None, None, Some(_)) => return pair(run),
        (Some(Role::Server), ..) | (None, _, Some(_), _) => Some(Side::Server),
        (Some(Role::Client), ..) => Some(Side::Client),
        (None, ..) => None,
    };
    if let Some(file) = pair_file {
        let (flag, role) = match run.server {
            Some(_) => ("--server", side.unwrap_or(Side::Server)),
            None => ("--client", side.unwrap_or(Side::Client)),
        };
        let message = format!("{flag} is for the role pair, but the command judges a {role}");
        return Err(Complaint::new(EXIT_USAGE, message).hint(format!("use --sut {}", quoted(file))));
    }
    if let Some(running) = run.running.subject()? {
        if side == Some(Side::Client) {
            let complaint = Complaint::new(
                EXIT_USAGE,
                "--addr names a running server, but the command judges a client",
            );
            return Err(complaint.hint("a client is started through a manifest: --sut FILE"));
        }
        return Ok(running);
    }
    if let Some(file) = &run.sut {
        return Ok(Subject::Started(role::manifest(
            file,
            side.map(Role::from),
        )?));
    }
    let role = match (side, run.case_file.first()) {
        (Some(side), _) => Some(side.into()),
        (None, Some(file)) => Some(role_of(file)?),
        (None, None) => role::of_ids(ids),
    };
    let side = match role.ok_or_else(|| role::unknown("run", ids))? {
        Role::Server => Side::Server,
        Role::Client => Side::Client,
        Role::Pair => return pair(run),
    };
    Ok(Subject::Started(role::manifest_or_reference(None, side)?))
}

fn pair(run: &Run) -> Result<Subject, Complaint> {
    if run.sut.is_some() || run.running.addr.is_some() {
        let complaint = Complaint::new(EXIT_USAGE, "a pair is two programs");
        return Err(complaint.hint("name them by --server FILE and --client FILE"));
    }
    Ok(Subject::Pair(Box::new((
        role::manifest_or_reference(run.server.as_deref(), Side::Server)?,
        role::manifest_or_reference(run.client.as_deref(), Side::Client)?,
    ))))
}
