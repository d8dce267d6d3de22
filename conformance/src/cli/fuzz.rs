//! `fuzz`: sessions that nobody has written down.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;

use super::role;
use super::run::Profile;
use super::session::not_ready;
use super::signals::stop_on_interrupt;
use super::{Complaint, EXIT_FAILURE, EXIT_HARNESS, EXIT_INTERRUPTED, EXIT_USAGE, misplaced, seed};
use crate::fuzz::{Hunt, Hunted, Wanted};
use crate::notation::ast::{Role, Side, Transport};
use crate::output::{Folder, Readers};
use crate::report::{Pulse, last_line};
use crate::rules::Rule;
use crate::run::{self, Order, Start};
use crate::sut::Subject;
use crate::wire::Tls;

const EXIT_CODES: &str = "Exit codes: 0 nothing was found, 1 something was, 2 wrong usage or manifest, 3 the SUT never \
became ready, 5 the suite itself failed, 130 interrupted.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Fuzz {
    /// The side that is judged; the manifest says it too
    #[arg(value_enum)]
    role: Option<FuzzRole>,
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
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// What is allowed but not recommended counts too
    #[arg(long)]
    strict: bool,
    /// Show only failures and the last line
    #[arg(short, long)]
    quiet: bool,
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
    let named = fuzz.role.map(|role| match role {
        FuzzRole::Server => Side::Server,
        FuzzRole::Client => Side::Client,
    });
    let manifest = match (&fuzz.sut, named) {
        (Some(file), named) => role::manifest(file, named.map(Role::from))?,
        (None, Some(side)) => role::manifest_or_reference(None, side)?,
        (None, None) => return Err(role::unknown("fuzz", &[])),
    };
    let side = manifest.role;
    let transport = match fuzz.transport {
        Carrier::Plain => Transport::Plain,
        Carrier::Tls => Transport::Tls,
    };
    let subject = Arc::new(Subject::Started(manifest));
    if let Some(why) = subject.silent_on(transport) {
        let message = format!("{}: {why}", subject.name());
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
    let profile = match fuzz.profile {
        Profile::Wire => "wire",
        Profile::Hardened => "hardened",
    };
    let pulse = Pulse::start("fuzz", fuzz.quiet);
    pulse.aside(&format!(
        "fuzz: {} over {transport}, profile {profile}, seed {seed}\n\n",
        subject.name()
    ));
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
    let hunt = Hunt::new(wanted, subject, rules, &tls, tempo, stop);
    // Blank lines only part what is shown.
    let say = |text: &str| match text.trim().is_empty() {
        true => pulse.aside(text),
        false => pulse.say(text),
    };
    let hunted = Box::pin(hunt.run(say, |stage| pulse.now(stage.to_string()))).await;
    if let Some(why) = &hunted.harness {
        pulse.say(&format!("some sessions could not be played: {why}\n"));
    }
    pulse.aside(&in_all(&hunted));
    pulse.say(&last_line(hunted.totals()));
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

fn in_all(hunted: &Hunted) -> String {
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
