//! `selftest`: whether the suite detects the bugs that it is there to detect.

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

use super::pattern::{self, Pattern};
use super::select::all;
use super::signals::stop_on_interrupt;
use super::{
    Complaint, EXIT_FAILURE, EXIT_HARNESS, EXIT_INTERRUPTED, EXIT_NOTHING, Pace,
    manifest_complaint, misplaced, unwritten,
};
use crate::output::{Place, Readers};
use crate::peers;
use crate::peers::fits;
use crate::report::{Pulse, Totals, last_line, out};
use crate::selftest::{self, Mutant, Table, kills};

const EXIT_CODES: &str = "Exit codes: 0 every bug was detected, 1 findings, 2 wrong usage, 4 no bug or rule is called so, \
5 the suite itself failed, 130 interrupted.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Selftest {
    /// Bugs, or rules or areas of rules that they break, patterns with `*` as well; all, and the peers without a bug, when
    /// there are none
    #[arg(value_name = "BUG")]
    bugs: Vec<String>,
    /// Show the bugs instead of running anything
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
    let place = place.transpose().map_err(|error| misplaced(&error))?;
    let (entries, begun) = (all()?, Instant::now());
    let options = selftest.pace.options(true);
    let order = selftest.pace.order()?;
    let tls = Tls::new().map_err(|error| Complaint::new(EXIT_HARNESS, format!("TLS: {error}")))?;
    let pulse = Pulse::start("selftest", selftest.quiet);
    pulse.aside(&format!(
        "selftest: {} bugs, profile {}\n",
        mutants.len(),
        options.profile()
    ));
    let mut findings = Vec::new();
    // They are played among the bugs, whose cases wait for most of the time.
    let mut unbroken = match selftest.bugs.is_empty() {
        true => unbroken(&entries, rules, options)?,
        false => Vec::new(),
    };
    let (mut jobs, names) =
        selftest::plan(&mutants, &entries, rules, options).map_err(manifest_complaint)?;
    for job in &mut jobs {
        job.tempo = Tempo::new(options.time_scale);
        // Who is late is caught; nothing is played twice.
        job.excused = false;
    }
    pulse.aside(&format!(
        "{} runs of cases that may detect a bug, {} against peers without a bug\n",
        jobs.len(),
        unbroken.len()
    ));
    let mut table: Option<Table> = None;
    let mut missed: BTreeMap<Mutant, BTreeSet<String>> = BTreeMap::new();
    let mut detected: BTreeMap<Mutant, usize> = BTreeMap::new();
    let options = Options {
        // Who is caught has been waited for in vain, so many more can be judged at a time.
        jobs: selftest.pace.jobs.map_or(JOBS, usize::from),
        ..options
    };
    for _ in 0..order.repeat {
        let once = Order { repeat: 1, ..order };
        let mut round = Table::of(&mutants);
        let mut all = std::mem::take(&mut unbroken);
        all.extend(jobs.iter().cloned());
        for (job, judged) in conduct(all, &tls, options, once, &pulse).await? {
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
    pulse.say(&often(&detected, rounds));
    findings.extend(rarely(&detected, rounds));
    findings.extend(judge(&detected, &mutants, &missed));
    if selftest.bugs.is_empty() {
        findings.extend(holes(&table, &entries, rules));
    }
    if let Some(place) = &place {
        let written = place.write(table.text(&mutants).as_bytes());
        written.map_err(|error| unwritten(&place.name(), &error))?;
    }
    if selftest.verbose {
        pulse.say(&table.text(&mutants));
    }
    // Some bugs show only if bytes come in an unlucky moment; each is detected by some case all the same.
    for (mutant, case) in selftest::listed().beyond(&table) {
        pulse.aside(&format!(
            "    note: {case} did not detect {mutant} this time\n"
        ));
    }
    for finding in &findings {
        pulse.say(&format!("    {finding}\n"));
    }
    let found = detected.values().filter(|times| **times > 0).count();
    pulse.aside(&format!(
        "\n    {found} of {} bugs detected by a case that names their rule, {:.1} s\n\nselftest: {}\n",
        mutants.len(),
        begun.elapsed().as_secs_f64(),
        match findings.len() {
            0 => "every bug was detected".to_owned(),
            count => format!("{count} findings"),
        },
    ));
    pulse.say(&last_line(Totals {
        passed: found,
        failed: findings.iter().filter(|one| !one.starts_with(' ')).count(),
        skipped: 0,
    }));
    Ok(if findings.is_empty() { 0 } else { EXIT_FAILURE })
}

/// How many broken peers are judged at a time.
const JOBS: usize = 600;

/// How often the bugs were detected that were not detected in each of several rounds.
fn often(detected: &BTreeMap<Mutant, usize>, rounds: usize) -> String {
    let now_and_then = detected.iter().filter(|(_, times)| **times < rounds);
    let lines = now_and_then.filter(|_| rounds > 1).map(|(mutant, times)| {
        format!("    note: {mutant} was detected in {times} of {rounds} rounds\n")
    });
    lines.collect()
}

/// Bugs that enough rounds have shown to be detected in less than 95 in 100.
fn rarely(detected: &BTreeMap<Mutant, usize>, rounds: usize) -> Vec<String> {
    let rare = |times: usize| rounds >= MEANINGFUL && times > 0 && times * 100 < rounds * 95;
    let rare = detected.iter().filter(|(_, times)| rare(**times));
    rare.map(|(mutant, times)| format!("{mutant} is detected in {times} of {rounds} rounds only"))
        .collect()
}

/// Fewer rounds say nothing about 95 in 100.
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
        findings.extend(others.map(|other| format!("    but {other}")));
    }
    findings
}

/// A failure that is about something else.
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
    let rules = rules.map(|(rule, side)| format!("no {side} breaks {rule}"));
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
        // As it is printed, and as a manifest names it.
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

/// Every case against the peers that break nothing: whether their bytes come together or one by one, whether they ask
/// for all their mappings at once, one by one or in another order, and however late they act.
fn unbroken(
    entries: &[Arc<Entry>],
    rules: &[Rule],
    options: Options,
) -> Result<Vec<Job>, Complaint> {
    let mut jobs = Vec::new();
    for manner in Manner::CORRECT {
        // A side that cannot behave like this has a good partner on the other one.
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
        // Two slow peers together need longer for a tunnel than the users of pair cases wait.
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

/// Whether this is nothing but a remark on the recommendation that a correct peer does not follow.
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

/// Runs the jobs; who is interrupted has no result.
async fn conduct(
    jobs: Vec<Job>,
    tls: &Tls,
    options: Options,
    order: Order,
    pulse: &Pulse,
) -> Result<Vec<(Job, Judged)>, Complaint> {
    let stop = stop_on_interrupt();
    let mut results = Vec::new();
    let planned = jobs.len() * order.rounds();
    let each = |job: &Job, judged: Judged| {
        pulse.now(format!("{} of {planned} runs", results.len() + 1));
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
