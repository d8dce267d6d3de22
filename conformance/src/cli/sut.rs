//! `sut`: looks at a program without judging it.

use std::time::Instant;

use super::session::{not_ready, stop_on_interrupt};
use super::{Complaint, EXIT_HARNESS, EXIT_INTERRUPTED, Pace, manifest_complaint};
use crate::manifest::Manifest;
use crate::report::listing;
use crate::run;
use crate::sut::Subject;
use crate::wire::Tls;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Start it as the manifest says and let it log in
    Check {
        /// Manifest file, or the name of a built-in one
        #[arg(long, value_name = "FILE")]
        sut: String,
        #[command(flatten)]
        pace: Pace,
    },
}

pub(super) async fn execute(command: Command) -> Result<u8, Complaint> {
    match command {
        Command::Check { sut, pace } => check_sut(&sut, pace).await,
    }
}

async fn check_sut(sut: &str, pace: Pace) -> Result<u8, Complaint> {
    let subject = Subject::Started(Manifest::load(sut).map_err(manifest_complaint)?);
    let tls = Tls::new().map_err(|error| Complaint::new(EXIT_HARNESS, format!("TLS: {error}")))?;
    let begun = Instant::now();
    let options = pace.options(false);
    let stop = stop_on_interrupt();
    let ready = run::preflight(&subject, &tls, options.time_scale);
    let Some(outcome) = stop.run_until_cancelled(ready).await else {
        return Ok(EXIT_INTERRUPTED);
    };
    outcome.map_err(|error| not_ready(&subject, &error))?;
    Ok(listing::ready(&subject, begun.elapsed()))
}
