//! A session: one or more subjects, their cases, the reports, and the exit code.

use std::path::PathBuf;
use std::sync::Arc;

use netroxy_judge::run::{self, Ended, Job, Options, Order, Shard, Start, Summary};
use netroxy_judge::sut::{StartError, Subject};
use netroxy_judge::verdict::{Judged, Verdict};
use netroxy_judge::wire::Tls;
use netroxy_specification::catalog::Entry;
use netroxy_specification::rules::Rule;

use super::records::Records;
use super::select::wanted;
use super::signals::stop_on_interrupt;
use super::{
    Complaint, EXIT_FAILURE, EXIT_HARNESS, EXIT_INTERRUPTED, EXIT_NOT_READY, EXIT_NOTHING, Output,
    output,
};
use crate::baseline::Baseline;
use crate::report::{Last, Session, Settings, ShardEntry, Totals, counted};

/// Cases and what they are run against.
pub(super) struct Round {
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) subject: Arc<Subject>,
    /// As on the command line.
    pub(super) wanted: Vec<String>,
}

/// How a session is conducted, and what it leaves behind.
#[derive(Debug, Clone, Default)]
pub(super) struct Conduct {
    pub(super) order: Order,
    /// Fail also what is allowed but not recommended.
    pub(super) strict: bool,
    /// How many of the slowest cases are named at the end.
    pub(super) slowest: usize,
    /// What is shown and written.
    pub(super) output: Output,
    /// What is known to fail.
    pub(super) baseline: Option<Baseline>,
    /// Which part of it is played, if it is not all of it.
    pub(super) shard: Option<Shard>,
    /// Where the recordings of all cases go.
    pub(super) record: Option<PathBuf>,
    /// Who writes the last line.
    pub(super) last: Last,
}

/// What a session has come to.
pub(super) struct Done {
    /// The subject and the result, in the order in which they came.
    pub(super) results: Vec<(String, Judged)>,
    pub(super) summary: Summary,
    /// What the last line counts.
    pub(super) totals: Totals,
    /// The exit code.
    pub(super) code: u8,
}

/// Judges and reports.
///
/// # Errors
/// When nothing can be judged at all.
pub(super) async fn judge_all(
    rules: &[Rule],
    rounds: Vec<Round>,
    options: Options,
    conduct: Conduct,
) -> Result<Done, Complaint> {
    let Conduct { order, strict, .. } = conduct;
    let outputs = conduct.output.outputs()?;
    let look = conduct.output.look(&outputs, conduct.slowest);
    let mut records = conduct.record.as_deref().map(Records::check).transpose()?;
    let tls = Tls::new().map_err(|error| Complaint::new(EXIT_HARNESS, format!("TLS: {error}")))?;
    let stop = stop_on_interrupt();
    let mut plans = Vec::new();
    for round in &rounds {
        let mut planned = run::plan(&round.entries, &round.subject, rules, options);
        planned.retain(|job| wanted(&round.wanted, job));
        if planned.is_empty() {
            return Err(Complaint::new(
                EXIT_NOTHING,
                "the selection matches no case",
            ));
        }
        plans.push(planned);
    }
    let shard = match conduct.shard {
        Some(shard) => Some(cut(shard, &mut plans, &conduct)?),
        None => None,
    };
    // What is said is what is done.
    let options = Options {
        jobs: run::at_a_time(&plans.concat(), options.jobs),
        ..options
    };
    let settings = Settings {
        options,
        strict,
        order,
    };
    let mut session = Session::new(rules, settings, outputs, look);
    if let Some(shard) = shard {
        session.shard(shard);
    }
    for (round, planned) in rounds.iter().zip(&mut plans) {
        let ready = run::preflight(&round.subject, &tls, options.time_scale);
        let Some(ready) = stop.run_until_cancelled(ready).await else {
            let complaint = Complaint::new(EXIT_INTERRUPTED, "interrupted before the first case");
            session.stopped(None).iter().for_each(output::complain);
            return Err(complaint);
        };
        let ready = match ready {
            Ok(ready) => ready,
            Err(error) => {
                let complaint = not_ready(&round.subject, &error);
                let why = (&*round.subject, complaint.message.as_str());
                session.stopped(Some(why)).iter().for_each(output::complain);
                return Err(complaint);
            }
        };
        let start = Start::new(&ready, options.time_scale, order);
        for job in planned.iter_mut() {
            job.tempo = start.tempo;
            job.in_play = session.in_play();
            job.listens = true;
        }
        session.subject(&round.subject, planned.len() * order.rounds(), &start);
    }
    let mut results = Vec::new();
    let comparison = conduct.baseline.as_ref().map(Baseline::comparison);
    let each = |job: &Job, mut judged: Judged| {
        if let Some(comparison) = comparison {
            comparison.judge(&mut judged);
        }
        if let (Some(records), Some(transcript)) = (&mut records, &judged.transcript) {
            records.write(job, transcript);
        }
        session.judged(job, &judged);
        let red = judged.verdict.is_red(strict);
        results.push((job.subject.name(), judged));
        red
    };
    let summary = run::run(plans.concat(), &tls, options, order, &stop, each).await;
    let (totals, unwritten) = session.end(&summary, conduct.last);
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

/// The exit code of a run in which cases were judged.
pub(super) fn code(ended: Ended, harness: bool, totals: Totals) -> u8 {
    match ended {
        Ended::Interrupted => EXIT_INTERRUPTED,
        Ended::Complete | Ended::FailFast if harness => EXIT_HARNESS,
        _ if totals.failed > 0 => EXIT_FAILURE,
        // Nothing has been judged, so nothing can be said to be in order.
        _ if totals.passed == 0 => EXIT_NOTHING,
        _ => 0,
    }
}

/// Leaves one part of each plan; what tells it from the parts of other runs.
fn cut(shard: Shard, plans: &mut [Vec<Job>], conduct: &Conduct) -> Result<ShardEntry, Complaint> {
    let all = plans.concat();
    // A list of known failures changes verdicts too.
    let known = conduct.baseline.as_ref().map_or("", Baseline::text);
    let plan = run::fingerprint(&all, known);
    for planned in plans {
        let whole = planned.len();
        *planned = shard.part(std::mem::take(planned));
        if planned.is_empty() {
            let message = format!(
                "part {shard} is empty: the selection has {} only",
                counted(whole, "case")
            );
            return Err(Complaint::new(EXIT_NOTHING, message).hint("cut it into fewer parts"));
        }
    }
    Ok(ShardEntry {
        number: shard.number,
        of: shard.of,
        planned: all.len() * conduct.order.rounds(),
        plan,
    })
}

fn end_of(log: &str) -> String {
    match log {
        "" => String::new(),
        log => format!("\nits output ends with\n{log}"),
    }
}

/// Why a subject could not be judged at all.
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
            Subject::Running(_) => "are --user and --pass those that the server knows?",
            Subject::Started(_) | Subject::Pair(_) => {
                "the files of the manifest must let in {{user}} with {{pass}}"
            }
        }),
    }
}
