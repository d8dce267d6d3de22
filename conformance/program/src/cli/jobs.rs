//! What `diff` and `flakes` share: the runs of the selected cases, and the check that the programs are ready.

use netroxy_judge::run::{self, Job, Options, Order, Start};
use netroxy_judge::wire::Tls;
use netroxy_specification::rules::Rule;
use tokio_util::sync::CancellationToken;

use super::complaint::Complaint;
use super::exit::{EXIT_INTERRUPTED, EXIT_NOTHING};
use super::judging::{Selection, not_ready};
use super::select::wanted;

/// The runs of each selection, with deadlines that fit the response time of its program.
///
/// # Errors
/// When a selection has no case, a program does not become ready, or the user interrupts.
pub(super) async fn ready(
    selections: &[Selection],
    rules: &[Rule],
    tls: &Tls,
    options: Options,
    stop: &CancellationToken,
) -> Result<Vec<Vec<Job>>, Complaint> {
    let mut plans = Vec::new();
    for selection in selections {
        let mut jobs = run::plan(&selection.entries, &selection.subject, rules, options);
        jobs.retain(|job| wanted(&selection.wanted, job));
        if jobs.iter().all(|job| job.skip.is_some()) {
            let message = format!("the selection has no case for {}", selection.subject.name());
            let complaint = Complaint::new(EXIT_NOTHING, message);
            return Err(match jobs.into_iter().find_map(|job| job.skip) {
                Some(why) => complaint.hint(why.to_string()),
                None => complaint,
            });
        }
        plans.push(jobs);
    }
    for (selection, jobs) in selections.iter().zip(&mut plans) {
        let ready = run::preflight(&selection.subject, tls, options.time_scale);
        let Some(ready) = stop.run_until_cancelled(ready).await else {
            return Err(interrupted());
        };
        let ready = ready.map_err(|error| not_ready(&selection.subject, &error))?;
        let tempo = Start::new(&ready, options.time_scale, Order::default()).tempo;
        jobs.iter_mut().for_each(|job| job.tempo = tempo);
    }
    Ok(plans)
}

pub(super) fn interrupted() -> Complaint {
    Complaint::new(EXIT_INTERRUPTED, "interrupted")
}
