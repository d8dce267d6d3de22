//! What `diff` and `flakes` have in common: runs against programs that have shown that they are ready.

use std::time::Duration;

use clap::Args;
use netroxy_judge::run::{self, Job, Options, Order, Start};
use netroxy_judge::wire::Tls;
use netroxy_specification::rules::Rule;
use tokio_util::sync::CancellationToken;

use super::select::wanted;
use super::session::{Round, not_ready};
use super::{Complaint, EXIT_INTERRUPTED, EXIT_NOTHING, time_scale};

/// How fast cases are played.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Haste {
    /// How many cases run at a time, at most; most cases wait for a deadline and use little CPU
    #[arg(short, long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Multiply every deadline, for slow machines [default: 1]
    #[arg(long, value_name = "X", default_value_t = 1.0, hide_default_value = true, value_parser = time_scale)]
    time_scale: f64,
    /// How many seconds connections stand still in the cases that look for deadlines [default: as the manifest says]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u16).range(1..=600))]
    still: Option<u16>,
}

impl Haste {
    pub(super) fn time_scale(self) -> f64 {
        self.time_scale
    }

    pub(super) fn options(self, hardened: bool) -> Options {
        Options {
            hardened,
            jobs: usize::from(self.jobs),
            time_scale: self.time_scale,
            still: self.still.map(|still| Duration::from_secs(still.into())),
        }
    }
}

/// The runs of each round, with the deadlines that its program needs.
///
/// # Errors
/// When a round has no cases, a program does not become ready, or somebody has stopped it.
pub(super) async fn ready(
    rounds: &[Round],
    rules: &[Rule],
    tls: &Tls,
    options: Options,
    stop: &CancellationToken,
) -> Result<Vec<Vec<Job>>, Complaint> {
    let mut plans = Vec::new();
    for round in rounds {
        let mut jobs = run::plan(&round.entries, &round.subject, rules, options);
        jobs.retain(|job| wanted(&round.wanted, job));
        if jobs.iter().all(|job| job.skip.is_some()) {
            let message = format!("the selection has no case for {}", round.subject.name());
            let complaint = Complaint::new(EXIT_NOTHING, message);
            return Err(match jobs.into_iter().find_map(|job| job.skip) {
                Some(why) => complaint.hint(why.to_string()),
                None => complaint,
            });
        }
        plans.push(jobs);
    }
    for (round, jobs) in rounds.iter().zip(&mut plans) {
        let ready = run::preflight(&round.subject, tls, options.time_scale);
        let Some(ready) = stop.run_until_cancelled(ready).await else {
            return Err(interrupted());
        };
        let ready = ready.map_err(|error| not_ready(&round.subject, &error))?;
        let tempo = Start::new(&ready, options.time_scale, Order::default()).tempo;
        jobs.iter_mut().for_each(|job| job.tempo = tempo);
    }
    Ok(plans)
}

pub(super) fn interrupted() -> Complaint {
    Complaint::new(EXIT_INTERRUPTED, "interrupted")
}
