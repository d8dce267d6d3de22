//! `fuzz`: sessions that nobody has written down.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;

use super::run::{Profile, manifest};
use super::session::not_ready;
use super::signals::stop_on_interrupt;
use super::{Complaint, EXIT_FAILURE, EXIT_HARNESS, EXIT_INTERRUPTED, EXIT_USAGE, misplaced, seed};
use crate::fuzz::{Hunt, Hunted, Wanted};
use crate::notation::ast::{Side, Transport};
use crate::output::{Folder, Readers, out};
use crate::rules::Rule;
use crate::run::{self, Order, Start};
use crate::sut::Subject;
use crate::wire::Tls;

#[derive(Debug, clap::Args)]
pub(super) struct Fuzz {
    /// The side that is judged
    #[arg(value_enum)]
    role: FuzzRole,
    /// Manifest file, or the name of a built-in one; the embedded reference when not given
    #[arg(long, value_name = "FILE")]
    sut: Option<String>,
    /// How long new sessions are started, such as 90s or 10m [default: 60s unless --runs is given]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// So many sessions; which ones is decided by --seed alone
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
    /// The seed of the first session, a number [default: another each time]
    #[arg(long, value_name = "N", value_parser = seed)]
    seed: Option<u64>,
    /// What the connections are
    #[arg(long, value_enum, default_value = "plain")]
    transport: Carrier,
    /// Where findings are saved
    #[arg(long, value_name = "DIR", default_value = "findings")]
    out: PathBuf,
    /// How many sessions are played at a time [default: 32]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Which rules count
    #[arg(long, value_enum, default_value = "hardened")]
    profile: Profile,
    /// What is allowed but not recommended counts too
    #[arg(long)]
    strict: bool,
    /// Multiply every deadline, for slow machines [default: 1]
    #[arg(long, value_name = "X", value_parser = super::time_scale)]
    time_scale: Option<f64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FuzzRole {
    Server,
    Client,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Carrier {
    /// Bare TCP
    Plain,
    /// TLS over TCP
    Tls,
}

pub(super) async fn execute(fuzz: Fuzz, rules: &[Rule]) -> Result<u8, Complaint> {
    let side = match fuzz.role {
        FuzzRole::Server => Side::Server,
        FuzzRole::Client => Side::Client,
    };
    let transport = match fuzz.transport {
        Carrier::Plain => Transport::Plain,
        Carrier::Tls => Transport::Tls,
    };
    let subject = Arc::new(Subject::Started(manifest(fuzz.sut.as_deref(), side)?));
    if !subject.speaks(transport) {
        let message = format!("{} does not speak {transport}", subject.name());
        return Err(Complaint::new(EXIT_USAGE, message));
    }
    let out_folder = Folder::find(&fuzz.out, Readers::Usual);
    let out_folder = out_folder.map_err(|error| misplaced(&error))?;
    let harness = |message: String| Complaint::new(EXIT_HARNESS, message);
    let seed = match fuzz.seed {
        Some(seed) => seed,
        // Short enough to be typed.
        None => getrandom::u32()
            .map_err(|error| harness(format!("no random seed: {error}")))?
            .into(),
    };
    let tls = Tls::new().map_err(|error| harness(format!("TLS: {error}")))?;
    let stop = stop_on_interrupt();
    let time_scale = fuzz.time_scale.unwrap_or(1.0);
    let ready = run::preflight(&subject, &tls, time_scale);
    let Some(ready) = stop.run_until_cancelled(ready).await else {
        return Err(Complaint::new(
            EXIT_INTERRUPTED,
            "interrupted before the first session",
        ));
    };
    let ready = ready.map_err(|error| not_ready(&subject, &error))?;
    let tempo = Start::new(&ready, time_scale, Order::default()).tempo;
    let time = match (fuzz.time, fuzz.runs) {
        (None, None) => Some(Duration::from_secs(60)),
        (time, _) => time,
    };
    let wanted = Wanted {
        side,
        transport,
        seed,
        runs: fuzz.runs,
        time,
        jobs: usize::from(fuzz.jobs.unwrap_or(32)),
        hardened: fuzz.profile == Profile::Hardened,
        strict: fuzz.strict,
        out: out_folder,
        time_scale,
    };
    out(&format!(
        "fuzz: {} over {transport}, seed {seed}\n\n",
        subject.name()
    ));
    let hunt = Hunt::new(wanted, subject, rules, &tls, tempo, stop);
    let hunted = hunt.run(out, progress).await;
    if let Some(why) = &hunted.harness {
        out(&format!("some sessions could not be played: {why}\n"));
    }
    out(&last_line(&hunted));
    if let Some(why) = &hunted.unsaved {
        let message = format!("not every finding was saved: {why}");
        return Err(Complaint::new(EXIT_HARNESS, message).hint("is the disk full?"));
    }
    Ok(match hunted {
        Hunted {
            interrupted: true, ..
        } => EXIT_INTERRUPTED,
        Hunted { findings: 1.., .. } => EXIT_FAILURE,
        Hunted { elusive: 1.., .. } => EXIT_FAILURE,
        Hunted {
            harness: Some(_), ..
        } => EXIT_HARNESS,
        _ => 0,
    })
}

/// One line that is written over, where somebody looks.
fn progress(hunted: &Hunted) {
    let mut err = io::stderr().lock();
    if err.is_terminal() {
        // Where it cannot be written, nobody looks.
        let _ = write!(err, "\r{}\r", last_line(hunted).trim_end());
    }
}

fn last_line(hunted: &Hunted) -> String {
    let elusive = match hunted.elusive {
        0 => String::new(),
        count => format!(", {count} not reproducible"),
    };
    format!(
        "fuzz: {} sessions, {} steps, {} findings{elusive} in {:.0} s\n",
        hunted.sessions,
        hunted.steps,
        hunted.findings,
        hunted.took.as_secs_f64(),
    )
}

/// Such as `90s`, `10m`, `1h`, or a number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a number of seconds, such as 90s, or 10m or 1h".to_owned();
    let (number, unit) = match text.char_indices().next_back().ok_or_else(wrong)? {
        (at, 's') => (&text[..at], 1),
        (at, 'm') => (&text[..at], 60),
        (at, 'h') => (&text[..at], 3600),
        _ => (text, 1),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(number.saturating_mul(unit)))
}
