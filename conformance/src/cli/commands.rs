//! What the commands do.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::select::{all, select, wants};
use super::{
    Arguments, Command, Complaint, EXIT_FAILURE, EXIT_HARNESS, EXIT_INTERRUPTED, EXIT_NOT_READY,
    EXIT_NOTHING, EXIT_USAGE, Listed, Pace, Profile, RoleName, Run, SutCommand, wants_colour,
};
use crate::catalog::Entry;
use crate::manifest::{Manifest, ManifestError};
use crate::notation::ast::Side;
use crate::notation::{parse, print};
use crate::report::{Report, Totals, json, listing};
use crate::rules::{self, Rule};
use crate::run::{self, Options};
use crate::sut::{Running, StartError, Subject};
use crate::verdict::Verdict;
use crate::wire::Tls;

pub(super) async fn execute(arguments: Arguments) -> Result<u8, Complaint> {
    let rules = rules::embedded().map_err(|error| Complaint::new(EXIT_USAGE, error.to_string()))?;
    match arguments.command {
        None => main_job(&rules, arguments.pace).await,
        Some(Command::Run(run)) => {
            let entries = select(&run)?;
            let subject = Arc::new(subject(&run)?);
            let options = options(run.pace, run.profile == Profile::Hardened);
            let report = run.report.as_deref().map(report_path).transpose()?;
            let round = Round {
                entries,
                subject,
                wanted: if run.case_file.is_empty() {
                    run.ids.clone()
                } else {
                    Vec::new()
                },
            };
            judge_all(&rules, vec![round], options, run.strict, report).await
        }
        Some(Command::List {
            what: Listed::Cases,
            json,
        }) => Ok(listing::cases(&all()?, json)),
        Some(Command::List {
            what: Listed::Rules,
            json,
        }) => Ok(listing::rules(&rules, &all()?, json)),
        Some(Command::Explain { id }) => listing::explain(&id, &rules, &all()?).ok_or_else(|| {
            Complaint::new(
                EXIT_NOTHING,
                format!("no rule and no case is called `{id}`"),
            )
            .hint("`netroxy-conformance list rules` and `list cases` show them all")
        }),
        Some(Command::Format { check, files }) => format(&files, check),
        Some(Command::Sut {
            command: SutCommand::Check { sut },
        }) => check_sut(&sut, arguments.pace).await,
    }
}

/// Cases and what they are run against.
struct Round {
    entries: Vec<Arc<Entry>>,
    subject: Arc<Subject>,
    /// As on the command line.
    wanted: Vec<String>,
}

async fn main_job(rules: &[Rule], pace: Pace) -> Result<u8, Complaint> {
    let entries = all()?;
    let mut rounds = Vec::new();
    let reference = |side| Manifest::reference(side).map_err(manifest_complaint);
    let (server, client) = (reference(Side::Server)?, reference(Side::Client)?);
    for subject in [
        Subject::Started(server.clone()),
        Subject::Started(client.clone()),
        Subject::Pair(Box::new((server, client))),
    ] {
        rounds.push(Round {
            entries: entries.clone(),
            subject: Arc::new(subject),
            wanted: Vec::new(),
        });
    }
    judge_all(rules, rounds, options(pace, true), false, None).await
}

async fn judge_all(
    rules: &[Rule],
    rounds: Vec<Round>,
    options: Options,
    strict: bool,
    report_path: Option<PathBuf>,
) -> Result<u8, Complaint> {
    let tls = Tls::new().map_err(|error| Complaint::new(EXIT_HARNESS, format!("TLS: {error}")))?;
    let stop = stop_on_interrupt();
    let begun = Instant::now();
    let mut jobs = Vec::new();
    let mut reports = Vec::new();
    for round in &rounds {
        let mut planned = run::plan(&round.entries, &round.subject, rules, options);
        planned
            .retain(|job| round.wanted.is_empty() || round.wanted.iter().any(|id| wants(id, job)));
        if planned.is_empty() {
            return Err(Complaint::new(
                EXIT_NOTHING,
                "the selection matches no case",
            ));
        }
        let ready = run::preflight(&round.subject, &tls, options.time_scale);
        let Some(outcome) = stop.run_until_cancelled(ready).await else {
            return Ok(EXIT_INTERRUPTED);
        };
        outcome.map_err(|error| not_ready(&round.subject, &error))?;
        let mut report = Report::new(rules, &round.subject, options, strict, wants_colour());
        report.begin(&planned, begun.elapsed());
        reports.push(report);
        jobs.extend(planned);
    }
    let mut totals = Totals::new(strict);
    let mut results = Vec::new();
    let finished = run::run(jobs, &tls, options, &stop, |job, judged| {
        totals.count(&judged);
        let mine = rounds
            .iter()
            .position(|round| Arc::ptr_eq(&round.subject, &job.subject));
        if let Some(report) = mine.and_then(|index| reports.get_mut(index)) {
            report.judged(&judged);
        }
        results.push((job.subject.name(), judged));
    });
    let finished = finished.await;
    for report in &reports {
        report.end(begun.elapsed(), finished);
    }
    if let Some(path) = report_path {
        json::write(&path, &results, rules, &totals).map_err(|error| {
            Complaint::new(
                EXIT_HARNESS,
                format!("cannot write {}: {error}", path.display()),
            )
        })?;
    }
    totals.close();
    Ok(match () {
        () if stop.is_cancelled() => EXIT_INTERRUPTED,
        () if results
            .iter()
            .any(|(_, judged)| judged.verdict == Verdict::Harness) =>
        {
            EXIT_HARNESS
        }
        () if totals.failed > 0 => EXIT_FAILURE,
        // Nothing has been judged, so nothing can be said to be in order.
        () if totals.passed == 0 => EXIT_NOTHING,
        () => 0,
    })
}

async fn check_sut(sut: &str, pace: Pace) -> Result<u8, Complaint> {
    let subject = Subject::Started(Manifest::load(sut).map_err(manifest_complaint)?);
    let tls = Tls::new().map_err(|error| Complaint::new(EXIT_HARNESS, format!("TLS: {error}")))?;
    let begun = Instant::now();
    let options = options(pace, false);
    let stop = stop_on_interrupt();
    let ready = run::preflight(&subject, &tls, options.time_scale);
    let Some(outcome) = stop.run_until_cancelled(ready).await else {
        return Ok(EXIT_INTERRUPTED);
    };
    outcome.map_err(|error| not_ready(&subject, &error))?;
    Ok(listing::ready(&subject, begun.elapsed()))
}

fn format(files: &[String], check: bool) -> Result<u8, Complaint> {
    let usage = |file: &str, error: &dyn std::fmt::Display| {
        Complaint::new(EXIT_USAGE, format!("{file}: {error}"))
    };
    let mut changed = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).map_err(|error| usage(file, &error))?;
        let canonical = print(&parse(&text).map_err(|error| usage(file, &error))?);
        if canonical != text {
            changed.push(file.clone());
            if !check {
                std::fs::write(file, canonical).map_err(|error| usage(file, &error))?;
            }
        }
    }
    Ok(listing::formatted(&changed, check, EXIT_FAILURE))
}

fn subject(run: &Run) -> Result<Subject, Complaint> {
    let side = match run.role {
        RoleName::Server => Side::Server,
        RoleName::Client => Side::Client,
        RoleName::Pair => return pair(run),
    };
    if let Some(addr) = &run.addr {
        if side == Side::Client {
            let complaint = Complaint::new(
                EXIT_USAGE,
                "--addr names a running server, and a client is to be judged",
            );
            return Err(complaint.hint("a client is started through a manifest: --sut FILE"));
        }
        let tls = run.tls_addr.as_deref().map(address).transpose()?;
        let (username, password) = (
            run.user.clone().unwrap_or_default(),
            run.pass.clone().unwrap_or_default(),
        );
        return Ok(Subject::Running(Running {
            plain: address(addr)?,
            tls,
            username,
            password,
        }));
    }
    Ok(Subject::Started(manifest(run.sut.as_deref(), side)?))
}

fn pair(run: &Run) -> Result<Subject, Complaint> {
    if run.sut.is_some() || run.addr.is_some() {
        let complaint = Complaint::new(EXIT_USAGE, "a pair is two programs");
        return Err(complaint.hint("name them by --server FILE and --client FILE"));
    }
    Ok(Subject::Pair(Box::new((
        manifest(run.server.as_deref(), Side::Server)?,
        manifest(run.client.as_deref(), Side::Client)?,
    ))))
}

/// The manifest of a side; that of the embedded reference when none is named.
pub(super) fn manifest(sut: Option<&str>, side: Side) -> Result<Manifest, Complaint> {
    let manifest = match sut {
        Some(sut) => Manifest::load(sut),
        None => Manifest::reference(side),
    };
    let manifest = manifest.map_err(manifest_complaint)?;
    if manifest.role != side {
        let message = format!(
            "{} is a {}, and a {side} is to be judged",
            manifest.name, manifest.role
        );
        return Err(Complaint::new(EXIT_USAGE, message));
    }
    Ok(manifest)
}

fn address(text: &str) -> Result<SocketAddr, Complaint> {
    let found = text.to_socket_addrs().map(|mut found| found.next());
    let wrong =
        |why: String| Complaint::new(EXIT_USAGE, format!("`{text}` is no HOST:PORT: {why}"));
    found
        .map_err(|error| wrong(error.to_string()))?
        .ok_or_else(|| wrong("it has no address".to_owned()))
}

fn options(pace: Pace, hardened: bool) -> Options {
    let jobs = usize::from(pace.jobs.unwrap_or(16));
    Options {
        hardened,
        jobs,
        time_scale: pace.time_scale.unwrap_or(1.0),
    }
}

fn report_path(text: &str) -> Result<PathBuf, Complaint> {
    match text.split_once(':') {
        Some(("json", path)) if !path.is_empty() => {
            let path = PathBuf::from(path);
            // Found out now, not when everything has been judged.
            match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
                    Err(Complaint::new(
                        EXIT_USAGE,
                        format!("`--report {text}`: there is no folder {}", folder.display()),
                    ))
                }
                _ => Ok(path),
            }
        }
        _ => Err(Complaint::new(
            EXIT_USAGE,
            format!("`--report {text}`: there is no such format"),
        )
        .hint("json:PATH")),
    }
}

fn manifest_complaint(error: ManifestError) -> Complaint {
    let complaint = Complaint::new(EXIT_USAGE, error.to_string());
    match error.hint {
        Some(hint) => complaint.hint(hint),
        None => complaint,
    }
}

fn not_ready(subject: &Subject, error: &StartError) -> Complaint {
    match error {
        StartError::Harness(why) => Complaint::new(EXIT_HARNESS, why.clone()),
        StartError::Spawn(why) => Complaint::new(
            EXIT_NOT_READY,
            format!("{}: cannot start it: {why}", subject.name()),
        ),
        StartError::NotReady { why, log } => {
            let log = if log.is_empty() {
                String::new()
            } else {
                format!("\nits output ends with\n{log}")
            };
            Complaint::new(
                EXIT_NOT_READY,
                format!("{} never became ready: {why}{log}", subject.name()),
            )
        }
    }
}

/// Cancelled by Ctrl-C or a polite kill, so that everything that was started is ended first.
fn stop_on_interrupt() -> CancellationToken {
    let stop = CancellationToken::new();
    let interrupted = stop.clone();
    tokio::spawn(async move {
        // Without handlers the system ends the program, as it would any other.
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            interrupted.cancel();
        }
    });
    stop
}
