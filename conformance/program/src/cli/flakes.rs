//! `flakes`: plays the same cases many times, in random orders, and on request on a busy machine.

use std::sync::Arc;
use std::time::Duration;

use netroxy_judge::run::{self, Ended, Job, Order};
use netroxy_judge::sut::Subject;
use netroxy_judge::verdict::{Judged, Verdict};
use netroxy_judge::wire::Tls;
use netroxy_specification::notation::ast::{Role, Side};
use netroxy_specification::rules::Rule;

use super::arguments::{Profile, Speed, seed};
use super::complaint::Complaint;
use super::exit::{EXIT_FAILURE, EXIT_HARNESS};
use super::jobs::{interrupted, ready};
use super::judging::Selection;
use super::role::{self, manifest_or_reference};
use super::select::{all, chosen};
use super::signals::stop_on_interrupt;
use crate::diff::Columns;
use crate::flakes::{Load, Resources, Run, Tally};
use crate::report::{StatusLine, last_line};

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Flakes {
    /// `server`, `client` or `pair` (the manifest says it too), then cases, rules, folders of cases or areas of rules,
    /// also as patterns with `*`; without any, all cases of the embedded server, client and pair
    #[arg(value_name = "[ROLE] ID")]
    words: Vec<String>,
    /// Manifest file, or the name of a built-in one; the embedded reference when not given
    #[arg(long, value_name = "FILE")]
    sut: Option<String>,
    /// How often every case is played
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    runs: u32,
    /// Keep every CPU core busy during the runs
    #[arg(long)]
    load: bool,
    /// The seed of all random orders, a number [default: random]
    #[arg(long, value_name = "N", value_parser = seed)]
    seed: Option<u64>,
    /// Which rules count
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// Show only failures and the last line
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    speed: Speed,
}

const EXIT_CODES: &str = "Exit codes: 0 every result was the same, 1 results differed or something was left behind, \
2 wrong usage or manifest, 3 a peer never became ready, 4 no case was selected, 5 the suite itself failed, 130 interrupted.";

/// How long connections and programs may take to close after a run.
const CLOSING: Duration = Duration::from_secs(10);

pub(super) async fn execute(flakes: &Flakes, rules: &[Rule]) -> Result<u8, Complaint> {
    let harness = |what: &str, error: &dyn std::fmt::Display| {
        Complaint::new(EXIT_HARNESS, format!("{what}: {error}"))
    };
    let (named, ids) = role::split(&flakes.words);
    let subjects = subjects(flakes, named, ids)?;
    let entries = match subjects.as_slice() {
        [one] => chosen(one.role(), ids, flakes.sut.as_ref().map(|_| one))?,
        _ => all()?,
    };
    let selections: Vec<Selection> = subjects
        .into_iter()
        .map(|subject| Selection {
            entries: entries.clone(),
            subject: Arc::new(subject),
            wanted: ids.to_vec(),
        })
        .collect();
    let options = flakes.speed.options(flakes.profile == Profile::Hardened);
    let tls = Tls::new().map_err(|error| harness("TLS", &error))?;
    let first = match flakes.seed {
        Some(seed) => seed,
        None => getrandom::u64().map_err(|error| harness("no random seed", &error))?,
    };
    let stop = stop_on_interrupt();
    // Lets the signal handlers start.
    tokio::task::yield_now().await;
    let look = |error: std::io::Error| harness("cannot look for what is left behind", &error);
    let status = StatusLine::start("flakes", flakes.quiet);
    let before = Resources::now().map_err(look)?;
    let profile = options.profile();
    status.print_unless_quiet(&headline(flakes, &selections, first, profile));
    let jobs = ready(&selections, rules, &tls, options, &stop)
        .await?
        .concat();
    let _load = match flakes.load {
        true => Load::start().map_err(|error| harness("cannot keep the cores busy", &error))?,
        false => Load::default(),
    };
    let mut seeds = fastrand::Rng::with_seed(first);
    let mut tally = Tally::default();
    for number in 1..=flakes.runs {
        let mut done = 0;
        let mut run = Run::new(seeds.u64(..));
        let order = Order {
            seed: Some(run.seed),
            ..Order::default()
        };
        let mut failed = None;
        let each = |job: &Job, judged: Judged| {
            done += 1;
            status.set(format!(
                "run {number} of {}: {done} of {} cases",
                flakes.runs,
                jobs.len()
            ));
            if judged.verdict == Verdict::Harness {
                failed = Some(format!("{}: {}", judged.id, judged.why()));
            }
            tally.note(&mut run, job, &judged);
            false
        };
        let summary = run::run(jobs.clone(), &tls, options, order, &stop, each).await;
        if summary.ended != Ended::Complete {
            return Err(interrupted());
        }
        if let Some(why) = failed {
            return Err(Complaint::new(EXIT_HARNESS, why));
        }
        let left = before.left_behind(CLOSING).await.map_err(look)?;
        let line = tally.end(&run, &summary, &left);
        match left.is_empty() {
            true => status.print_unless_quiet(&line),
            false => status.print(&line),
        }
    }
    let last = last_line(tally.totals());
    let text = tally.text(Columns::here());
    match tally.is_steady() {
        true => status.print_unless_quiet(&text),
        false => status.print(&text),
    }
    status.print(&last);
    Ok(if tally.is_steady() { 0 } else { EXIT_FAILURE })
}

fn subjects(
    flakes: &Flakes,
    named: Option<Role>,
    ids: &[String],
) -> Result<Vec<Subject>, Complaint> {
    if let Some(file) = &flakes.sut {
        return Ok(vec![Subject::Started(role::manifest(file, named)?)]);
    }
    let of = |side| manifest_or_reference(None, side).map(Subject::Started);
    let pair = || {
        let server = manifest_or_reference(None, Side::Server)?;
        let client = manifest_or_reference(None, Side::Client)?;
        Ok(Subject::Pair(Box::new((server, client))))
    };
    match named.or_else(|| role::of_ids(ids)) {
        None if ids.is_empty() => Ok(vec![of(Side::Server)?, of(Side::Client)?, pair()?]),
        None => Err(role::unknown("flakes", ids)),
        Some(Role::Server) => Ok(vec![of(Side::Server)?]),
        Some(Role::Client) => Ok(vec![of(Side::Client)?]),
        Some(Role::Pair) => Ok(vec![pair()?]),
    }
}

fn headline(flakes: &Flakes, selections: &[Selection], seed: u64, profile: &str) -> String {
    let names: Vec<String> = selections
        .iter()
        .map(|selection| selection.subject.name())
        .collect();
    let (names, runs) = (names.join(", "), flakes.runs);
    let busy = match (flakes.load, Load::cores()) {
        (false, _) => String::new(),
        (true, 1) => ", 1 core kept busy".to_owned(),
        (true, cores) => format!(", {cores} cores kept busy"),
    };
    format!("flakes: {names}: {runs} runs, profile {profile}, seed {seed:#x}{busy}\n")
}
