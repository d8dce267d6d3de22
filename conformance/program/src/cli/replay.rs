//! `replay`: judges recordings again, or plays one against a peer.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use netroxy_judge::again::Again;
use netroxy_judge::monitor::{Limits, Monitor};
use netroxy_judge::recording::{Event, LoadError, Recording, Source, events, to_case};
use netroxy_judge::shell::quoted;
use netroxy_judge::sut::Subject;
use netroxy_specification::catalog::{self, Entry, Origin};
use netroxy_specification::notation::ast::{Role, Side};
use netroxy_specification::notation::print;
use netroxy_specification::rules::Rule;

use super::address::RunningServer;
use super::arguments::Pace;
use super::complaint::Complaint;
use super::exit::{EXIT_CODES, EXIT_FAILURE, EXIT_HARNESS, EXIT_NOTHING, EXIT_USAGE};
use super::judging::{RunFlags, Selection, judge_all};
use super::output::Output;
use super::role::{self, manifest_or_reference};
use super::violations::Violations;
use crate::report::{self, Totals, last_line};

/// By every rule (profile hardened)
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Replay {
    /// Recordings of `tap --record` or `run --record`; only one can be played
    #[arg(value_name = "RECORDING", required = true)]
    recordings: Vec<PathBuf>,
    /// Play it against this program: a manifest file, or the name of a built-in one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["addr", "reference"])]
    sut: Option<String>,
    /// Play it against the embedded reference
    #[arg(long, conflicts_with = "addr")]
    reference: bool,
    #[command(flatten)]
    running: RunningServer,
    /// The side to judge, for the recording of a tap [default: that of --sut, else server]
    #[arg(long, value_enum)]
    role: Option<SideName>,
    /// Print the recording as a case, and play nothing
    #[arg(long)]
    case: bool,
    #[command(flatten)]
    pace: Pace,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum SideName {
    Server,
    Client,
}

pub(super) async fn execute(replay: &Replay, rules: &[Rule]) -> Result<u8, Complaint> {
    let played = replay.sut.is_some() || replay.running.addr.is_some() || replay.reference;
    if !played && !replay.case {
        return judge_each(replay, rules);
    }
    let [file] = &replay.recordings[..] else {
        let message = "one recording can be played or printed at a time";
        return Err(Complaint::new(EXIT_USAGE, message).hint("name one file"));
    };
    let recording = load(file)?;
    let side = side(replay, recording.head.source)?;
    note_cut(&recording);
    // The timeout of a server that runs already cannot be configured.
    let text = case(&recording, side, replay.running.addr.is_none())?;
    if replay.case {
        report::out(&text);
        return Ok(0);
    }
    play(replay, file, &text, side, rules).await
}

/// The side to judge. The recording of a case names it; the recording of a tap has both sides.
fn side(replay: &Replay, source: Source) -> Result<Side, Complaint> {
    let named = replay.role.map(|role| match role {
        SideName::Server => Side::Server,
        SideName::Client => Side::Client,
    });
    let recorded = match source {
        Source::Case(Role::Client) => Some(Side::Client),
        Source::Case(Role::Server) => Some(Side::Server),
        Source::Case(Role::Pair) | Source::Tap => None,
    };
    if let (Some(named), Some(recorded)) = (named, recorded)
        && named != recorded
    {
        let message = format!("this is the recording of a {recorded}, but --role is {named}");
        return Err(Complaint::new(EXIT_USAGE, message).hint("leave --role out"));
    }
    match (recorded.or(named), &replay.sut) {
        (Some(side), _) => Ok(side),
        (None, Some(file)) => Ok(role::manifest(file, None)?.role),
        (None, None) => Ok(Side::Server),
    }
}

/// Reads a recording.
pub(super) fn load(path: &Path) -> Result<Recording, Complaint> {
    Recording::load(path).map_err(|error| {
        let hint = match error {
            LoadError::Unreadable { .. } => {
                "`tap --record FILE` and `run --record DIR` write recordings"
            }
            LoadError::TooLong { .. } => "record for a shorter time",
            LoadError::Syntax { .. } => "conformance/README.md describes recordings",
        };
        Complaint::new(EXIT_USAGE, error.to_string()).hint(hint)
    })
}

/// Prints to standard error that a recording is cut.
pub(super) fn note_cut(recording: &Recording) {
    if let Some(cut) = &recording.cut {
        // If standard error cannot be written, the command continues.
        let _ = writeln!(std::io::stderr(), "note: the recording is cut: {cut}");
    }
}

/// Judges the recordings without playing them.
fn judge_each(replay: &Replay, rules: &[Rule]) -> Result<u8, Complaint> {
    if replay.output.writes_reports() {
        let message =
            "without --sut, --addr and --reference nothing is played, so there is no --report";
        return Err(Complaint::new(EXIT_USAGE, message).hint("leave --report out, or name a peer"));
    }
    let mut totals = Totals::default();
    for file in &replay.recordings {
        let recording = load(file)?;
        side(replay, recording.head.source)?;
        let limits = Limits::scaled(replay.pace.time_scale());
        let found = judge(file, &recording, limits, rules)?;
        totals.passed += found.passed;
        totals.failed += found.failed;
        totals.skipped += found.skipped;
    }
    report::out(&last_line(totals));
    Ok(if totals.failed == 0 { 0 } else { EXIT_FAILURE })
}

/// Judges a recording and prints its violations. Returns the totals of its connections.
///
/// # Errors
/// If it is the recording of a pair.
fn judge(
    file: &Path,
    recording: &Recording,
    limits: Limits,
    rules: &[Rule],
) -> Result<Totals, Complaint> {
    let whom = match recording.head.source {
        Source::Case(Role::Server) => Some(Side::Server),
        Source::Case(Role::Client) => Some(Side::Client),
        Source::Tap => None,
        Source::Case(Role::Pair) => {
            let message = format!(
                "{}: the recording of a pair does not hold the messages between client and server",
                file.display()
            );
            return Err(Complaint::new(EXIT_NOTHING, message).hint("record them with `tap`"));
        }
    };
    let mut monitor = Monitor::new(limits, whom);
    let events = events(recording);
    let held_up = held_up(&events);
    for (event, until) in events.iter().zip(held_up) {
        if let Some(until) = until {
            monitor.hold(&event.connection, until);
        }
        monitor.see(event.at, &event.connection, &event.what);
        // `hold` has no effect before this event if the event opens the connection.
        if let Some(until) = until {
            monitor.hold(&event.connection, until);
        }
    }
    if let Some(last) = recording.entries.last() {
        monitor.pass(last.at);
    }
    report::out(&format!(
        "replay: {}, every rule counts\n",
        recording.head.title
    ));
    let mut violations = Violations::new("replay", rules);
    for violation in monitor.take() {
        if let Some(text) = violations.note(violation) {
            report::out(&text);
        }
    }
    if let Some(cut) = &recording.cut {
        report::out(&format!("replay: the recording is cut: {cut}\n"));
    }
    report::out(&violations.summary(&monitor));
    Ok(violations.totals(&monitor))
}

/// For each event, until when the tap held up the next event of its connection, if it did.
fn held_up(events: &[Event]) -> Vec<Option<Duration>> {
    let mut next: BTreeMap<&str, &Event> = BTreeMap::new();
    let backwards = events.iter().rev().map(|event| {
        let later = next.insert(&event.connection, event);
        let later = later.filter(|later| later.held_up).map(|later| later.at);
        later.or_else(|| event.held_up.then_some(event.at))
    });
    let mut all: Vec<Option<Duration>> = backwards.collect();
    all.reverse();
    all
}

fn case(recording: &Recording, side: Side, configured: bool) -> Result<String, Complaint> {
    let case = to_case(recording, side, configured);
    let case = case.map_err(|error| {
        Complaint::new(
            EXIT_USAGE,
            format!("the recording cannot be played: {error}"),
        )
        .hint("without --sut, --addr, --reference and --case, the recording itself is judged")
    })?;
    Ok(print(&case))
}

async fn play(
    replay: &Replay,
    file: &Path,
    text: &str,
    side: Side,
    rules: &[Rule],
) -> Result<u8, Complaint> {
    let recording = file.to_string_lossy();
    let stem = file.file_stem().unwrap_or_default();
    let stem = stem.to_string_lossy();
    let (id, file) = (format!("replay/{stem}"), format!("{stem}.case"));
    let entry = catalog::read(&id, &file, text).map_err(|error| {
        Complaint::new(
            EXIT_HARNESS,
            format!("the recording does not become a valid case: {error}"),
        )
        .hint("--case prints the case")
    })?;
    let subject = match replay.running.subject()? {
        Some(running) => running,
        None => Subject::Started(manifest_or_reference(replay.sut.as_deref(), side)?),
    };
    let role = match side {
        Side::Server => "server",
        Side::Client => "client",
    };
    let again = Again::new(["replay", &recording]).flag("--role", role);
    // If standard error cannot be written, the command continues.
    let _ = writeln!(
        std::io::stderr(),
        "the recording is played as a case, which `{} > {}` writes",
        again.subject(&subject).word("--case"),
        quoted(&file),
    );
    let entry = Entry {
        origin: Origin::Recording {
            file: recording.into_owned(),
            role,
        },
        ..entry
    };
    let selection = Selection {
        entries: vec![Arc::new(entry)],
        subject: Arc::new(subject),
        wanted: Vec::new(),
    };
    let flags = RunFlags {
        order: replay.pace.order()?,
        output: replay.output.clone(),
        ..RunFlags::default()
    };
    let done = judge_all(rules, vec![selection], replay.pace.options(true), flags).await?;
    Ok(done.code)
}
