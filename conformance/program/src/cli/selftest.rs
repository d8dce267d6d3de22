//! `selftest`: checks that the suite detects each known bug.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use netroxy_broken::Manner;
use netroxy_judge::embedded::Peer;
use netroxy_judge::manifest::Manifest;
use netroxy_judge::run::{self, Ended, Job, Options, Order};
use netroxy_judge::sut::Subject;
use netroxy_judge::times::Tempo;
use netroxy_judge::verdict::{Judged, Verdict};
use netroxy_judge::wire::Tls;
use netroxy_specification::catalog::Entry;
use netroxy_specification::nearest::nearest;
use netroxy_specification::notation::ast::Side;
use netroxy_specification::rules::Rule;

use super::arguments::Pace;
use super::complaint::{Complaint, manifest_complaint, place_complaint, write_complaint};
use super::exit::{EXIT_FAILURE, EXIT_HARNESS, EXIT_INTERRUPTED, EXIT_NOTHING};
use super::select::all;
use super::signals::stop_on_interrupt;
use crate::output::{Place, Readers};
use crate::pattern::{self, Pattern};
use crate::peers;
use crate::peers::fits;
use crate::report::{StatusLine, Totals, last_line, out};
use crate::selftest::{self, Mutant, Table, kills};

const EXIT_CODES: &str = "Exit codes: 0 every bug was detected, 1 findings, 2 wrong usage, 4 no such bug or rule, \
5 the suite itself failed, 130 interrupted.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Selftest {
    /// Bugs, or the rules or areas of rules that they break, also as patterns with `*`; without any, all bugs, and the
    /// peers without a bug
    #[arg(value_name = "BUG")]
    bugs: Vec<String>,
    /// List the bugs, and run nothing
    #[arg(long)]
    list: bool,
    /// Write the table of bugs and the cases that detect them to a file
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Show only failures and the last line
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Name the cases that detect each bug
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    pace: Pace,
}

pub(super) async fn execute(selftest: &Selftest, rules: &[Rule]) -> Result<u8, Complaint> {
    let mutants = chosen(&selftest.bugs)?;
    if selftest.list {
        let lines = mutants.iter().map(|mutant| {
            let bug = mutant.bug;
            format!(
                "{:40} {:28} {}\n",
                mutant.to_string(),
                bug.rule(),
                bug.what()
            )
        });
        out(&lines.collect::<String>());
        return Ok(0);
    }
    let place = selftest.write.as_deref();
    let place = place.map(|path| Place::find(path, Readers::Usual));
    let place = place.transpose().map_err(|error| place_complaint(&error))?;
    let (entries, begun) = (all()?, Instant::now());
    let options = selftest.pace.options(true);
    let order = selftest.pace.order()?;
    let tls = Tls::new().map_err(|error| Complaint::new(EXIT_HARNESS, format!("TLS: {error}")))?;
    let status = StatusLine::start("selftest", selftest.quiet);
    status.print_unless_quiet(&format!(
        "selftest: {} bugs, profile {}\n",
        mutants.len(),
        options.profile()
    ));
    let mut findings = Vec::new();
    // They run at the same time as the cases of the bugs, which mostly wait.
    let mut unbroken = match selftest.bugs.is_empty() {
        true => unbroken(&entries, rules, options)?,
        false => Vec::new(),
    };
    let (mut jobs, names) =
        selftest::plan(&mutants, &entries, rules, options).map_err(manifest_complaint)?;
    for job in &mut jobs {
        job.tempo = Tempo::new(options.time_scale);
        // A late answer detects the bug, so no case is played again.
        job.excused = false;
    }
    status.print_unless_quiet(&format!(
        "{} runs of cases that may detect a bug, {} against peers without a bug\n",
        jobs.len(),
        unbroken.len()
    ));
    let mut table: Option<Table> = None;
    let mut missed: BTreeMap<Mutant, BTreeSet<String>> = BTreeMap::new();
    let mut detected: BTreeMap<Mutant, usize> = BTreeMap::new();
    let options = Options {
        // A case that detects a bug mostly waits for a deadline, so more cases can run at a time.
        jobs: selftest.pace.jobs.map_or(JOBS, usize::from),
        ..options
    };
    for _ in 0..order.repeat {
        let once = Order { repeat: 1, ..order };
        let mut round = Table::of(&mutants);
        let mut all = std::mem::take(&mut unbroken);
        all.extend(jobs.iter().cloned());
        for (job, judged) in run_all(all, &tls, options, once, &status).await? {
            let name = job.subject.name();
            let Some(mutant) = names.get(&name) else {
                if judged.verdict.is_red(true) && !is_left_out(&job.subject, &judged) {
                    let failure = in_short(&judged);
                    findings.push(format!("{name}, which has no bug, fails {failure}"));
                }
                continue;
            };
            if kills(&judged, *mutant) {
                round.add(*mutant, &job.entry.id);
            } else if judged.verdict.is_red(true) {
                missed.entry(*mutant).or_default().insert(in_short(&judged));
            }
        }
        for mutant in &mutants {
            *detected.entry(*mutant).or_default() +=
                usize::from(round.killers(*mutant).next().is_some());
        }
        match &mut table {
            Some(table) => table.keep(&round),
            None => table = Some(round),
        }
    }
    let table = table.unwrap_or_default();
    let rounds = usize::try_from(order.repeat).unwrap_or(1);
    status.print(&often(&detected, rounds));
    findings.extend(rarely(&detected, rounds));
    findings.extend(judge(&detected, &mutants, &missed));
    if selftest.bugs.is_empty() {
        findings.extend(holes(&table, &entries, rules));
    }
    if let Some(place) = &place {
        let written = place.write(table.text(&mutants).as_bytes());
        written.map_err(|error| write_complaint(&place.name(), &error))?;
    }
    if selftest.verbose {
        status.print(&table.text(&mutants));
    }
    // Some bugs show only if bytes come at a certain moment, so a listed case may miss one.
    for (mutant, case) in selftest::listed().beyond(&table) {
        status.print_unless_quiet(&format!(
            "    note: {case} did not detect {mutant} this time\n"
        ));
    }
    for finding in &findings {
        status.print(&format!("    {finding}\n"));
    }
    let found = detected.values().filter(|times| **times > 0).count();
    status.print_unless_quiet(&format!(
        "\n    {found} of {} bugs detected by a case that names their rule, {:.1} s\n\nselftest: {}\n",
        mutants.len(),
        begun.elapsed().as_secs_f64(),
        match findings.len() {
            0 => "every bug was detected".to_owned(),
            count => format!("{count} findings"),
        },
    ));
    status.print(&last_line(Totals {
        passed: found,
        failed: findings.iter().filter(|one| !one.starts_with(' ')).count(),
        skipped: 0,
    }));
    Ok(if findings.is_empty() { 0 } else { EXIT_FAILURE })
}

/// How many broken peers are judged at a time.
const JOBS: usize = 600;

/// Notes about bugs that were not detected in every round.
fn often(detected: &BTreeMap<Mutant, usize>, rounds: usize) -> String {
    let now_and_then = detected.iter().filter(|(_, times)| **times < rounds);
    let lines = now_and_then.filter(|_| rounds > 1).map(|(mutant, times)| {
        format!("    note: {mutant} was detected in {times} of {rounds} rounds\n")
    });
    lines.collect()
}

/// Bugs that are detected in less than 95 of 100 rounds, if there were enough rounds.
fn rarely(detected: &BTreeMap<Mutant, usize>, rounds: usize) -> Vec<String> {
    let rare = |times: usize| rounds >= MEANINGFUL && times > 0 && times * 100 < rounds * 95;
    let rare = detected.iter().filter(|(_, times)| rare(**times));
    rare.map(|(mutant, times)| format!("{mutant} is detected in only {times} of {rounds} rounds"))
        .collect()
}

/// Fewer rounds do not show whether a bug is detected in 95 of 100.
const MEANINGFUL: usize = 20;

/// Bugs that were not detected.
fn judge(
    detected: &BTreeMap<Mutant, usize>,
    mutants: &[Mutant],
    missed: &BTreeMap<Mutant, BTreeSet<String>>,
) -> Vec<String> {
    let mut findings = Vec::new();
    for mutant in mutants {
        if detected.get(mutant).is_some_and(|rounds| *rounds > 0) {
            continue;
        }
        let (rule, what) = (mutant.bug.rule(), mutant.bug.what());
        findings.push(format!("bug {mutant} was not detected: it {what} ({rule})"));
        let others = missed.get(mutant).into_iter().flatten();
        findings.extend(others.map(|other| format!("    other failure: {other}")));
    }
    findings
}

/// A failure in one line.
fn in_short(judged: &Judged) -> String {
    let (marks, seen) = match (&judged.broken, &judged.reason) {
        (Some(broken), _) => (
            broken.marks.join(" "),
            format!("{}: {}", broken.expected, broken.got),
        ),
        (None, _) => (String::new(), judged.why()),
    };
    match marks.is_empty() {
        true => format!("{} {seen}", judged.id),
        false => format!("{} [{marks}] {seen}", judged.id),
    }
}

/// Rules that no bug breaks, and cases that detect no bug.
fn holes(table: &Table, entries: &[Arc<Entry>], rules: &[Rule]) -> Vec<String> {
    let rules = selftest::rules_without_bugs(rules).into_iter();
    let rules = rules.map(|(rule, side)| format!("no {side} bug breaks {rule}"));
    let cases = selftest::idle(entries, table).into_iter();
    rules
        .chain(cases.map(|case| format!("{case} detects no bug")))
        .collect()
}

fn chosen(names: &[String]) -> Result<Vec<Mutant>, Complaint> {
    let mutants = Mutant::all();
    if names.is_empty() {
        return Ok(mutants);
    }
    let is = |mutant: &Mutant, name: &str| {
        // A bug as it is printed, or as a manifest names it.
        let side = mutant.to_string();
        let side = side.split(' ').next().unwrap_or_default();
        let bug = name
            .strip_prefix(&format!("{side} "))
            .or_else(|| name.strip_prefix(&format!("broken-{side}:")));
        pattern::glob(bug.unwrap_or(name), &mutant.bug.name())
            || Pattern::new(name).rule(mutant.bug.rule())
    };
    for name in names {
        if !mutants.iter().any(|mutant| is(mutant, name)) {
            let known: Vec<String> = mutants.iter().map(|mutant| mutant.bug.name()).collect();
            let rules = mutants.iter().map(|mutant| mutant.bug.rule());
            let hint = nearest(name, known.iter().map(String::as_str).chain(rules));
            let hint = hint.unwrap_or_else(|| {
                "`netroxy-conformance selftest --list` shows them all".to_owned()
            });
            return Err(
                Complaint::new(EXIT_NOTHING, format!("no bug or rule matches `{name}`")).hint(hint),
            );
        }
    }
    let wanted = |mutant: &Mutant| names.iter().any(|name| is(mutant, name));
    Ok(mutants.into_iter().filter(wanted).collect())
}

/// Every case against the peers without a bug: those that send bytes together or one by one, that request their
/// mappings at once, one by one or in another order, and that act late.
fn unbroken(
    entries: &[Arc<Entry>],
    rules: &[Rule],
    options: Options,
) -> Result<Vec<Job>, Complaint> {
    let mut jobs = Vec::new();
    for manner in Manner::CORRECT {
        // A side that cannot behave like this is played by the good peer.
        let peer = |side| {
            let manner = if fits(manner, side) {
                manner
            } else {
                Manner::Good
            };
            peers::broken(side, manner).map_err(manifest_complaint)
        };
        let (server, client) = (peer(Side::Server)?, peer(Side::Client)?);
        let mut subjects = Vec::new();
        // Two slow peers need longer for a tunnel than the users of pair cases wait.
        if manner != Manner::Slow {
            subjects.push(Subject::Pair(Box::new((server.clone(), client.clone()))));
        }
        for (side, manifest) in [(Side::Server, server), (Side::Client, client)] {
            if fits(manner, side) {
                subjects.push(Subject::Started(manifest));
            }
        }
        for subject in subjects {
            jobs.extend(run::plan(entries, &Arc::new(subject), rules, options));
        }
    }
    Ok(jobs)
}

/// Whether the result has only remarks on the recommendation that this correct peer does not follow.
fn is_left_out(subject: &Subject, judged: &Judged) -> bool {
    let of = |manifest: &Manifest| manifest.peer().and_then(Peer::leaves_out);
    let rule = match subject {
        Subject::Started(manifest) => of(manifest),
        Subject::Pair(pair) => of(&pair.0).or_else(|| of(&pair.1)),
        Subject::Running(_) => None,
    };
    judged.verdict == Verdict::Nonstrict
        && judged
            .remarks
            .iter()
            .all(|remark| remark.marks.iter().all(|id| Some(id.as_str()) == rule))
}

/// Runs the jobs.
///
/// # Errors
/// When the run is interrupted, or the suite itself fails.
async fn run_all(
    jobs: Vec<Job>,
    tls: &Tls,
    options: Options,
    order: Order,
    status: &StatusLine,
) -> Result<Vec<(Job, Judged)>, Complaint> {
    let stop = stop_on_interrupt();
    let mut results = Vec::new();
    let planned = jobs.len() * order.rounds();
    let each = |job: &Job, judged: Judged| {
        status.set(format!("{} of {planned} runs", results.len() + 1));
        results.push((job.clone(), judged));
        false
    };
    let summary = run::run(jobs, tls, options, order, &stop, each).await;
    if summary.ended == Ended::Interrupted {
        return Err(Complaint::new(EXIT_INTERRUPTED, "interrupted"));
    }
    if let Some((_, judged)) = results
        .iter()
        .find(|(_, judged)| judged.verdict == Verdict::Harness)
    {
        let why = judged.why();
        return Err(Complaint::new(
            EXIT_HARNESS,
            format!("{}: {why}", judged.id),
        ));
    }
    Ok(results)
}
