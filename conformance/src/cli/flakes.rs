//! `flakes`: the same cases many times over, in any order, on a busy machine.

use std::sync::Arc;
use std::time::Duration;

use super::jobs::{Haste, interrupted, ready};
use super::run::{Profile, RoleName, manifest};
use super::select::{all, chosen};
use super::session::Round;
use super::signals::stop_on_interrupt;
use super::{Complaint, EXIT_FAILURE, EXIT_HARNESS, EXIT_USAGE, seed};
use crate::diff::Columns;
use crate::flakes::{Belongings, Load, Run, Tally};
use crate::notation::ast::Side;
use crate::report;
use crate::rules::Rule;
use crate::run::{self, Ended, Job, Order};
use crate::sut::Subject;
use crate::verdict::{Judged, Verdict};
use crate::wire::Tls;

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Flakes {
    /// The side that is judged; every embedded peer, and both together, when not given
    #[arg(value_enum)]
    role: Option<RoleName>,
    /// Cases or rules to play: names, or patterns with `*`; all when there are none
    #[arg(value_name = "ID", requires = "role")]
    ids: Vec<String>,
    /// Manifest file, or the name of a built-in one; the embedded reference when not given
    #[arg(long, value_name = "FILE", requires = "role")]
    sut: Option<String>,
    /// How often every case is played
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    runs: u32,
    /// Keep every core busy meanwhile
    #[arg(long)]
    load: bool,
    /// Decides the orders of all runs, a number [default: another each time]
    #[arg(long, value_name = "N", value_parser = seed)]
    seed: Option<u64>,
    /// Which rules count
    #[arg(long, value_enum, default_value = "hardened")]
    profile: Profile,
    #[command(flatten)]
    haste: Haste,
}

const EXIT_CODES: &str = "Exit codes: 0 steady, 1 something came to different things or was left behind, 2 wrong usage \
or manifest, 3 a peer never became ready, 4 no case was selected, 5 the suite itself failed, 130 interrupted.";

/// What is still being closed behind a run has so long.
const CLOSING: Duration = Duration::from_secs(10);

pub(super) async fn execute(flakes: &Flakes, rules: &[Rule]) -> Result<u8, Complaint> {
    let harness = |what: &str, error: &dyn std::fmt::Display| {
        Complaint::new(EXIT_HARNESS, format!("{what}: {error}"))
    };
    let entries = match flakes.role {
        Some(role) => chosen(role.into(), &flakes.ids)?,
        None => all()?,
    };
    let rounds: Vec<Round> = subjects(flakes)?
        .into_iter()
        .map(|subject| Round {
            entries: entries.clone(),
            subject: Arc::new(subject),
            wanted: flakes.ids.clone(),
        })
        .collect();
    let options = flakes.haste.options(flakes.profile == Profile::Hardened);
    let tls = Tls::new().map_err(|error| harness("TLS", &error))?;
    let first = match flakes.seed {
        Some(seed) => seed,
        None => getrandom::u64().map_err(|error| harness("no random seed", &error))?,
    };
    let stop = stop_on_interrupt();
    // The signal handlers are there from here on.
    tokio::task::yield_now().await;
    let look = |error: std::io::Error| harness("cannot look for what is left behind", &error);
    let before = Belongings::now().map_err(look)?;
    let jobs = ready(&rounds, rules, &tls, options, &stop).await?.concat();
    let load = match flakes.load {
        true => Load::start().map_err(|error| harness("cannot keep the cores busy", &error))?,
        false => Load::default(),
    };
    report::out(&headline(flakes, &rounds, first, &load));
    let mut seeds = fastrand::Rng::with_seed(first);
    let mut tally = Tally::default();
    for _ in 0..flakes.runs {
        let mut run = Run::new(seeds.u64(..));
        let order = Order {
            seed: Some(run.seed),
            ..Order::default()
        };
        let mut failed = None;
        let each = |job: &Job, judged: Judged| {
            if judged.verdict == Verdict::Harness {
                failed = Some(format!(
                    "{}: {}",
                    judged.id,
                    judged.reason.clone().unwrap_or_default()
                ));
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
        report::out(&tally.end(&run, &summary, &left));
    }
    report::out(&tally.text(Columns::here()));
    Ok(if tally.is_steady() { 0 } else { EXIT_FAILURE })
}

fn subjects(flakes: &Flakes) -> Result<Vec<Subject>, Complaint> {
    let of = |side| manifest(flakes.sut.as_deref(), side).map(Subject::Started);
    let pair = || {
        let (server, client) = (manifest(None, Side::Server)?, manifest(None, Side::Client)?);
        Ok(Subject::Pair(Box::new((server, client))))
    };
    match flakes.role {
        None => Ok(vec![of(Side::Server)?, of(Side::Client)?, pair()?]),
        Some(RoleName::Server) => Ok(vec![of(Side::Server)?]),
        Some(RoleName::Client) => Ok(vec![of(Side::Client)?]),
        Some(RoleName::Pair) if flakes.sut.is_some() => {
            let complaint =
                Complaint::new(EXIT_USAGE, "a pair is two programs, and --sut names one");
            Err(complaint.hint("without --sut, it is the embedded pair"))
        }
        Some(RoleName::Pair) => Ok(vec![pair()?]),
    }
}

fn headline(flakes: &Flakes, rounds: &[Round], seed: u64, load: &Load) -> String {
    let names: Vec<String> = rounds.iter().map(|round| round.subject.name()).collect();
    let busy = match load.cores() {
        0 => String::new(),
        1 => ", 1 core kept busy".to_owned(),
        cores => format!(", {cores} cores kept busy"),
    };
    let (names, runs) = (names.join(", "), flakes.runs);
    format!("{names}: {runs} runs, seed {seed:#x}{busy}\n")
}
