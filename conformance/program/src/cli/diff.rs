//! `diff`: plays the same cases against two peers.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use clap::ValueEnum;
use netroxy_judge::again::Again;
use netroxy_judge::manifest::Manifest;
use netroxy_judge::run::{self, Ended, Job, Options, Order};
use netroxy_judge::sut::Subject;
use netroxy_judge::verdict::{Judged, Verdict};
use netroxy_judge::wire::Tls;
use netroxy_specification::catalog::Entry;
use netroxy_specification::notation::ast::Role;
use netroxy_specification::notation::{self};
use netroxy_specification::rules::Rule;

use super::arguments::{Profile, Speed, seed};
use super::complaint::{Complaint, manifest_complaint};
use super::exit::{EXIT_FAILURE, EXIT_HARNESS, EXIT_NOTHING, EXIT_USAGE};
use super::jobs::{interrupted, ready};
use super::judging::Selection;
use super::select::{chosen, generated, sequence};
use super::signals::stop_on_interrupt;
use crate::diff::{Columns, Difference, Report, Side, Uncompared};
use crate::peers;
use crate::report::{StatusLine, last_line};

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Diff {
    /// `server` or `client` (the manifests say it too), then cases, rules, folders of cases or areas of rules, also as
    /// patterns with `*`; without any, all cases
    #[arg(value_name = "[ROLE] ID")]
    ids: Vec<String>,
    /// Manifest file, or the name of a built-in one; given twice, for two peers of one role
    #[arg(long, value_name = "FILE", required = true)]
    sut: Vec<String>,
    /// Which rules count
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// Also play N generated sessions, in every profile
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true,
        value_parser = clap::value_parser!(u64).range(..=10_000))]
    sequences: u64,
    /// The seed of the first generated session, a number; each further session has the next seed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = seed, requires = "sequences")]
    seed: u64,
    /// Show only failures and the last line
    #[arg(short, long, conflicts_with = "format")]
    quiet: bool,
    /// The format of the differences
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    speed: Speed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Side by side, in the notation
    Text,
    /// One JSON object
    Json,
}

const EXIT_CODES: &str = "Exit codes: 0 no difference, 1 differences, 2 wrong usage or manifest, 3 a peer never \
became ready, 4 no case was selected, 5 the suite itself failed, 130 interrupted.";

pub(super) async fn execute(diff: &Diff, rules: &[Rule]) -> Result<u8, Complaint> {
    let manifests = manifests(&diff.sut)?;
    let side = manifests[0].role;
    let role = Role::from(side);
    let ids = ids(&diff.ids, role)?;
    let told = Subject::Started(manifests[0].clone());
    let entries = chosen(role, ids, Some(&told))?;
    let names = [0, 1].map(|side| manifests[side].name.clone());
    let selections = manifests.map(|manifest| Selection {
        entries: entries.clone(),
        subject: Arc::new(Subject::Started(manifest)),
        wanted: ids.to_vec(),
    });
    let options = diff.speed.options(diff.profile == Profile::Hardened);
    let tls = Tls::new().map_err(|error| Complaint::new(EXIT_HARNESS, format!("TLS: {error}")))?;
    let stop = stop_on_interrupt();
    let status = StatusLine::start("diff", diff.quiet);
    if diff.format == Format::Text {
        let profile = options.profile();
        let [one, other] = &names;
        status.print_unless_quiet(&format!("diff: {one} and {other}, profile {profile}\n\n"));
    }
    let mut plans = ready(&selections, rules, &tls, options, &stop).await?;
    let sessions = sessions(diff, side);
    let options = Options {
        hardened: true,
        ..options
    };
    for (selection, jobs) in selections.iter().zip(&mut plans) {
        let mut more = run::plan(&sessions, &selection.subject, rules, options);
        let tempo = jobs.first().map(|job| job.tempo);
        more.iter_mut()
            .for_each(|job| job.tempo = tempo.unwrap_or(job.tempo));
        jobs.extend(more);
    }
    let jobs = plans.concat();
    let (planned, mut done) = (jobs.len(), 0);
    let mut results: BTreeMap<String, [Option<Judged>; 2]> = BTreeMap::new();
    let each = |job: &Job, judged: Judged| {
        done += 1;
        status.set(format!("{done} of {planned} runs"));
        let side = usize::from(!Arc::ptr_eq(&job.subject, &selections[0].subject));
        let sides = results.entry(judged.id.clone()).or_default();
        sides[side] = Some(judged);
        false
    };
    let summary = run::run(jobs, &tls, options, Order::default(), &stop, each).await;
    if summary.ended != Ended::Complete {
        return Err(interrupted());
    }
    let mut report = Report {
        names,
        compared: 0,
        differences: Vec::new(),
        uncompared: Vec::new(),
        rules,
        replay: None,
    };
    for (id, sides) in results {
        compare(&mut report, id, sides)?;
    }
    if report.compared == 0 {
        return Err(Complaint::new(
            EXIT_NOTHING,
            "no case can be played against both peers",
        ));
    }
    let first = report.differences.first();
    report.replay = first.map(|one| replay(role, diff, &selections[1].subject, &one.id));
    let last = last_line(report.totals());
    match diff.format {
        Format::Text => {
            let text = report.text(Columns::here());
            match report.differences.is_empty() {
                true => status.print_unless_quiet(&text),
                false => status.print(&text),
            }
            status.print(&last);
        }
        Format::Json => {
            status.print(&report.json());
            // Standard output holds only the JSON object.
            let _ = std::io::stderr().write_all(last.as_bytes());
        }
    }
    Ok(match report.differences.is_empty() {
        true => 0,
        false => EXIT_FAILURE,
    })
}

fn compare(
    report: &mut Report<'_>,
    id: String,
    sides: [Option<Judged>; 2],
) -> Result<(), Complaint> {
    let [Some(a), Some(b)] = sides else {
        return Err(Complaint::new(
            EXIT_HARNESS,
            format!("{id}: one of its results is missing"),
        ));
    };
    let both = [&a, &b];
    if let Some(broken) = both.iter().find(|one| one.verdict == Verdict::Harness) {
        let why = broken.why();
        return Err(Complaint::new(EXIT_HARNESS, format!("{id}: {why}")));
    }
    let skipped = [0, 1].map(|side| both[side].verdict == Verdict::Skip);
    match skipped {
        [true, true] => {}
        [false, false] => {
            report.compared += 1;
            let sides = both.map(Side::from);
            report.differences.extend(Difference::between(&id, sides));
        }
        [first, _] => {
            let side = usize::from(!first);
            let reason = both[side].why();
            let why = format!("{}: {reason}", report.names[side]);
            report.uncompared.push(Uncompared { id, why });
        }
    }
    Ok(())
}

/// The generated sessions, named by their seeds.
fn sessions(diff: &Diff, side: notation::ast::Side) -> Vec<Arc<Entry>> {
    let seeds = (0..diff.sequences).map(|index| diff.seed.wrapping_add(index));
    seeds.map(|seed| generated(side, seed)).collect()
}

/// Two manifests of one role, whose names differ.
fn manifests(files: &[String]) -> Result<[Manifest; 2], Complaint> {
    let [one, other] = files else {
        let message = format!(
            "--sut must be given twice, once for each peer, but was given {} times",
            files.len()
        );
        return Err(Complaint::new(EXIT_USAGE, message).hint("diff --sut A --sut B"));
    };
    let load = |file: &str| peers::manifest(file).map_err(manifest_complaint);
    let (mut one, mut other) = (load(one)?, load(other)?);
    if one.role != other.role {
        let message = format!(
            "{} is a {}, and {} is a {}",
            one.name, one.role, other.name, other.role
        );
        let hint = "only peers of one role can be compared; `matrix` plays clients with servers";
        return Err(Complaint::new(EXIT_USAGE, message).hint(hint));
    }
    if one.name == other.name {
        one.name.push_str(" (A)");
        other.name.push_str(" (B)");
    }
    Ok([one, other])
}

/// The selected ids, without the role that may precede them.
fn ids(words: &[String], role: Role) -> Result<&[String], Complaint> {
    match words.split_first() {
        Some((first, rest)) if *first == role.to_string() => Ok(rest),
        Some((first, _)) if ["server", "client", "pair"].contains(&first.as_str()) => {
            let message = format!("both peers are {role}s, so the role {first} cannot be compared");
            Err(Complaint::new(EXIT_USAGE, message))
        }
        _ => Ok(words),
    }
}

/// The command that plays the first difference against the second peer again.
fn replay(role: Role, diff: &Diff, subject: &Subject, id: &str) -> String {
    let role = role.to_string();
    let again = Again::new(["run", &role]).subject(subject);
    // Generated sessions are judged by every rule, in every profile.
    let again = match diff.profile == Profile::Hardened || sequence(id).is_some() {
        false => again,
        true => again.flag("--profile", "hardened"),
    };
    let again = match diff.speed.time_scale() {
        1.0 => again,
        scale => again.flag("--time-scale", &scale.to_string()),
    };
    again.word("-v").word(id).to_string()
}
