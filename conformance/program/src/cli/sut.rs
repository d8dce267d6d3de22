//! `sut`: checks that a program can be judged.

use std::sync::Arc;

use netroxy_judge::manifest::{self, Manifest};
use netroxy_judge::run::{self, Found};
use netroxy_judge::sut::Subject;
use netroxy_judge::wire::Tls;
use netroxy_specification::notation::ast::Transport;

use super::arguments::time_scale;
use super::complaint::{Complaint, manifest_complaint};
use super::exit::{EXIT_HARNESS, EXIT_INTERRUPTED, EXIT_LOOKED_UP, EXIT_NOT_READY};
use super::judging::not_ready;
use super::signals::stop_on_interrupt;
use crate::peers;
use crate::report::{self, listing};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Start the program as its manifest says, wait for a login, and report faults that would make a run useless
    #[command(after_help = EXIT_CODES)]
    Check {
        /// Manifest file, or the name of a built-in one
        #[arg(long, value_name = "FILE")]
        sut: String,
        /// Multiply every deadline, for slow machines [default: 1]
        #[arg(long, value_name = "X", default_value_t = 1.0, hide_default_value = true, value_parser = time_scale)]
        time_scale: f64,
    },
    /// Print the JSON Schema of manifests
    #[command(after_help = EXIT_LOOKED_UP)]
    Schema,
}

pub(super) const EXIT_CODES: &str = "Exit codes: 0 it can be judged, 2 wrong usage or manifest, 3 it never became \
ready or a run would be useless, 5 the suite itself failed, 130 interrupted.";

pub(super) async fn execute(command: Command) -> Result<u8, Complaint> {
    match command {
        Command::Check { sut, time_scale } => check_sut(&sut, time_scale).await,
        Command::Schema => {
            report::out(manifest::SCHEMA);
            Ok(0)
        }
    }
}

async fn check_sut(sut: &str, time_scale: f64) -> Result<u8, Complaint> {
    let manifest = peers::manifest(sut).map_err(manifest_complaint)?;
    let subject = Arc::new(Subject::Started(manifest.clone()));
    let tls = Tls::new().map_err(|error| Complaint::new(EXIT_HARNESS, format!("TLS: {error}")))?;
    let stop = stop_on_interrupt();
    let ready = run::preflight(&subject, &tls, time_scale);
    let Some(outcome) = stop.run_until_cancelled(ready).await else {
        return Ok(EXIT_INTERRUPTED);
    };
    let ready = outcome.map_err(|error| not_ready(&subject, &error))?;
    let mut unclaimed = Vec::new();
    for transport in [Transport::Plain, Transport::Tls] {
        if manifest.transports.contains(&transport) {
            continue;
        }
        let speaks = speaks(&manifest, transport, &tls, time_scale);
        match stop.run_until_cancelled(speaks).await {
            None => return Ok(EXIT_INTERRUPTED),
            Some(true) => unclaimed.push(transport),
            Some(false) => {}
        }
    }
    let checks = run::probe(&subject, &ready, &tls, time_scale);
    let Some(found) = stop.run_until_cancelled(checks).await else {
        return Ok(EXIT_INTERRUPTED);
    };
    let found = found.map_err(|error| not_ready(&subject, &error))?;
    listing::ready(&subject, &ready, &unclaimed);
    listing::checks(&found);
    let faults = found.iter().filter(|one| matches!(one, Found::Fault(_)));
    match faults.count() {
        0 => Ok(0),
        1 => Err(useless("1 fault")),
        count => Err(useless(&format!("{count} faults"))),
    }
}

fn useless(faults: &str) -> Complaint {
    let message = format!("{faults}: a run could not judge the program");
    Complaint::new(EXIT_NOT_READY, message)
}

/// Whether a login succeeds on a transport that the manifest does not name.
async fn speaks(manifest: &Manifest, transport: Transport, tls: &Tls, scale: f64) -> bool {
    let claiming = Manifest {
        transports: vec![transport],
        start_deadline_ms: manifest.start_deadline_ms.min(UNCLAIMED_MS),
        ..manifest.clone()
    };
    run::preflight(&Subject::Started(claiming), tls, scale)
        .await
        .is_ok()
}

/// How long to wait for a login on a transport that the manifest does not name, in milliseconds.
const UNCLAIMED_MS: u64 = 2_000;
