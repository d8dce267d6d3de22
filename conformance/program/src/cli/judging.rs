//! Judges one or more subjects by their cases, writes the reports, and gives the exit code.

use std::path::PathBuf;
use std::sync::Arc;

use netroxy_judge::run::{self, Ended, Job, Options, Order, Shard, Start, Summary};
use netroxy_judge::sut::{StartError, Subject};
use netroxy_judge::verdict::{Judged, Verdict};
use netroxy_judge::wire::Tls;
use netroxy_specification::catalog::Entry;
use netroxy_specification::rules::Rule;

use super::complaint::Complaint;
use super::exit::{EXIT_FAILURE, EXIT_HARNESS, EXIT_INTERRUPTED, EXIT_NOT_READY, EXIT_NOTHING};
use super::output;
use super::output::Output;
use super::records::Records;
use super::select::wanted;
use super::signals::stop_on_interrupt;
use crate::baseline::Baseline;
use crate::report::{Last, Reporter, Settings, ShardEntry, Totals, counted};

/// Cases, and the subject that they are played against.
pub(super) struct Selection {
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) subject: Arc<Subject>,
    /// The words of the command line that select runs; empty selects all.
    pub(super) wanted: Vec<String>,
}

/// The flags of a command that judges.
#[derive(Debug, Clone, Default)]
pub(super) struct RunFlags {
    pub(super) order: Order,
    /// Fail also what is allowed but not recommended.
    pub(super) strict: bool,
    /// How many of the slowest cases are named at the end.
    pub(super) slowest: usize,
    /// Which output is shown, and which reports are written.
    pub(super) output: Output,
    /// The known failures.
    pub(super) baseline: Option<Baseline>,
    /// The part of the run to play; `None` plays all of it.
    pub(super) shard: Option<Shard>,
    /// The folder for the recordings of all cases.
    pub(super) record: Option<PathBuf>,
    /// Whether the run or its caller writes the last line.
    pub(super) last: Last,
}

/// The outcome of a run.
pub(super) struct Done {
    /// The name of the subject and the result, in the order in which the cases ended.
    pub(super) results: Vec<(String, Judged)>,
    pub(super) summary: Summary,
    /// What the last line counts.
    pub(super) totals: Totals,
    /// The exit code.
    pub(super) code: u8,
}

/// Plays and judges all cases, and writes the reports.
///
/// # Errors
/// When nothing can be judged, or an output cannot be written.
pub(super) async fn judge_all(
    rules: &[Rule],
    selections: Vec<Selection>,
    options: Options,
    flags: RunFlags,
) -> Result<Done, Complaint> {
    let RunFlags { order, strict, .. } = flags;
    let outputs = flags.output.outputs()?;
    let look = flags.output.look(&outputs, flags.slowest);
    let mut records = flags.record.as_deref().map(Records::check).transpose()?;
    let tls = Tls::new().map_err(|error| Complaint::new(EXIT_HARNESS, format!("TLS: {error}")))?;
    let stop = stop_on_interrupt();
    let mut plans = Vec::new();
    for selection in &selections {
        let mut planned = run::plan(&selection.entries, &selection.subject, rules, options);
        planned.retain(|job| wanted(&selection.wanted, job));
        if planned.is_empty() {
            return Err(Complaint::new(
                EXIT_NOTHING,
                "the selection matches no case",
            ));
        }
        plans.push(planned);
    }
    let shard = match flags.shard {
        Some(shard) => Some(keep_part(shard, &mut plans, &flags)?),
        None => None,
    };
    // The first line shows how many cases really run at a time.
    let options = Options {
        jobs: run::at_a_time(&plans.concat(), options.jobs),
        ..options
    };
    let settings = Settings {
        options,
        strict,
        order,
    };
    let mut reporter = Reporter::new(rules, settings, outputs, look);
    if let Some(shard) = shard {
        reporter.shard(shard);
    }
    for (selection, planned) in selections.iter().zip(&mut plans) {
        let ready = run::preflight(&selection.subject, &tls, options.time_scale);
        let Some(ready) = stop.run_until_cancelled(ready).await else {
            let complaint = Complaint::new(EXIT_INTERRUPTED, "interrupted before the first case");
            reporter.stopped(None).iter().for_each(output::complain);
            return Err(complaint);
        };
        let ready = match ready {
            Ok(ready) => ready,
            Err(error) => {
                let complaint = not_ready(&selection.subject, &error);
                let why = (&*selection.subject, complaint.message.as_str());
                reporter
                    .stopped(Some(why))
                    .iter()
                    .for_each(output::complain);
                return Err(complaint);
            }
        };
        let start = Start::new(&ready, options.time_scale, order);
        for job in planned.iter_mut() {
            job.tempo = start.tempo;
            job.in_play = reporter.in_play();
            job.listens = true;
        }
        reporter.subject(&selection.subject, planned.len() * order.rounds(), &start);
    }
    let mut results = Vec::new();
    let comparison = flags.baseline.as_ref().map(Baseline::comparison);
    let each = |job: &Job, mut judged: Judged| {
        if let Some(comparison) = comparison {
            comparison.judge(&mut judged);
        }
        if let (Some(records), Some(transcript)) = (&mut records, &judged.transcript) {
            records.write(job, transcript);
        }
        reporter.judged(job, &judged);
        let red = judged.verdict.is_red(strict);
        results.push((job.subject.name(), judged));
        red
    };
    let summary = run::run(plans.concat(), &tls, options, order, &stop, each).await;
    let (totals, unwritten) = reporter.end(&summary, flags.last);
    let harness = |(_, judged): &(String, Judged)| judged.verdict == Verdict::Harness;
    let code = code(summary.ended, results.iter().any(harness), totals);
    let code = output::written(code, unwritten)?;
    if let Some(complaint) = records.and_then(Records::missing) {
        return Err(complaint);
    }
    Ok(Done {
        results,
        summary,
        totals,
        code,
    })
}

/// The exit code of a run that has judged cases.
pub(super) fn code(ended: Ended, harness: bool, totals: Totals) -> u8 {
    match ended {
        Ended::Interrupted => EXIT_INTERRUPTED,
        Ended::Complete | Ended::FailFast if harness => EXIT_HARNESS,
        _ if totals.failed > 0 => EXIT_FAILURE,
        // A run that judged nothing must not pass.
        _ if totals.passed == 0 => EXIT_NOTHING,
        _ => 0,
    }
}

/// Removes all but one part from each plan. The returned entry identifies the run that the part belongs to.
fn keep_part(
    shard: Shard,
    plans: &mut [Vec<Job>],
    flags: &RunFlags,
) -> Result<ShardEntry, Complaint> {
    let all = plans.concat();
    // The baseline is part of the fingerprint because it changes verdicts.
    let known = flags.baseline.as_ref().map_or("", Baseline::text);
    let plan = run::fingerprint(&all, known);
    for planned in plans {
        let whole = planned.len();
        *planned = shard.part(std::mem::take(planned));
        if planned.is_empty() {
            let message = format!(
                "part {shard} is empty: the selection has only {}",
                counted(whole, "case")
            );
            return Err(Complaint::new(EXIT_NOTHING, message).hint("use fewer parts"));
        }
    }
    Ok(ShardEntry {
        number: shard.number,
        of: shard.of,
        planned: all.len() * flags.order.rounds(),
        plan,
    })
}

/// The end of a program's output, for an error message.
fn end_of(log: &str) -> String {
    match log {
        "" => String::new(),
        log => format!("\nits output ends with\n{log}"),
    }
}

/// The error about a subject that could not be started, did not become ready, or refused the login.
pub(super) fn not_ready(subject: &Subject, error: &StartError) -> Complaint {
    match error {
        StartError::Harness(why) => Complaint::new(EXIT_HARNESS, why.clone()),
        StartError::Manifest(why) => {
            Complaint::new(EXIT_NOT_READY, why.as_str()).hint(
                "write {{timeout}}, or {{timeout:int}}, where the configuration of the server has its timeout; \
                 nothing was judged",
            )
        }
        StartError::Spawn(why) => Complaint::new(
            EXIT_NOT_READY,
            format!("{}: cannot start it: {why}", subject.name()),
        ),
        StartError::NotReady { why, log } => Complaint::new(
            EXIT_NOT_READY,
            format!(
                "{} never became ready: {why}{}",
                subject.name(),
                end_of(log)
            ),
        ),
        StartError::Refused { why, log } => Complaint::new(
            EXIT_NOT_READY,
            format!(
                "{} never became ready: {why}{}",
                subject.name(),
                end_of(log)
            ),
        )
        .hint(match subject {
            Subject::Running(_) => "check --user and --pass",
            Subject::Started(_) | Subject::Pair(_) => {
                "the files of the manifest must allow the login of {{user}} with {{pass}}"
            }
        }),
    }
}
