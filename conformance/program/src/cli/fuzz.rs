//! `fuzz`: plays generated sessions, and merges the findings of several runs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use netroxy_judge::fuzz::{Campaign, CampaignResult, CampaignSettings, FindingStore, Findings};
use netroxy_judge::input;
use netroxy_judge::run::{self, Job, Options, Order, Shard, Start};
use netroxy_judge::sut::Subject;
use netroxy_judge::verdict::Judged;
use netroxy_judge::wire::Tls;
use netroxy_specification::notation::ast::{Role, Side, Transport};
use netroxy_specification::rules::Rule;

use super::arguments::{Profile, duration, seed, time_scale};
use super::complaint::{Complaint, input_complaint, place_complaint, write_complaint};
use super::exit::{EXIT_FAILURE, EXIT_HARNESS, EXIT_INTERRUPTED, EXIT_USAGE};
use super::judging::not_ready;
use super::role;
use super::signals::stop_on_interrupt;
use crate::output::{Folder, Readers};
use crate::report::{self, Settings, StatusLine, Totals, last_line};

const EXIT_CODES: &str = "Exit codes: 0 no finding, 1 findings, 2 wrong usage or manifest, 3 the SUT never \
became ready, 5 the suite itself failed, 130 interrupted.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub(super) struct Fuzz {
    #[command(subcommand)]
    command: Option<Command>,
    /// The side that is judged; the manifest says it too
    #[arg(value_enum)]
    role: Option<FuzzRole>,
    /// Manifest file, or the name of a built-in one; the embedded reference when not given
    #[arg(long, value_name = "FILE")]
    sut: Option<String>,
    /// For how long new sessions are started, such as 90s or 10m [default: 60s unless --runs is given]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// How many sessions are played; --seed decides which
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
    /// The seed of the first session, a number [default: random]
    #[arg(long, value_name = "N", value_parser = seed)]
    seed: Option<u64>,
    /// Play part K of N; each part has its own seeds, and `fuzz merge` merges the findings
    #[arg(long, value_name = "K/N", value_parser = Shard::parse, requires = "seed")]
    shard: Option<Shard>,
    /// The transport of the connections
    #[arg(long, value_enum, default_value = "plain")]
    transport: Carrier,
    /// The folder for findings
    #[arg(long, value_name = "DIR", default_value = "findings")]
    out: PathBuf,
    /// How many sessions are played at a time [default: 32]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Which rules count
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// Also report what is allowed but not recommended
    #[arg(long)]
    strict: bool,
    /// Show only failures and the last line
    #[arg(short, long)]
    quiet: bool,
    /// Multiply every deadline, for slow machines [default: 1]
    #[arg(long, value_name = "X", value_parser = time_scale)]
    time_scale: Option<f64>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Merge the findings of several runs, and keep the shortest of equal findings
    #[command(after_help = MERGE_EXIT_CODES)]
    Merge {
        /// Folders with findings
        #[arg(value_name = "DIR", required = true)]
        folders: Vec<PathBuf>,
        /// The folder to write to; none of the folders above
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

const MERGE_EXIT_CODES: &str = "Exit codes: 0 no finding, 1 findings, 2 wrong usage or a file that is not a case, \
5 the suite itself failed.";

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
    match &fuzz.command {
        Some(Command::Merge { folders, out }) => merge(folders, out),
        None => run_campaign(fuzz, rules).await,
    }
}

/// Copies each finding once.
fn merge(folders: &[PathBuf], out: &Path) -> Result<u8, Complaint> {
    let place = Folder::find(out, Readers::Usual).map_err(|error| place_complaint(&error))?;
    let same = |folder: &PathBuf| {
        let real = |path: &Path| path.canonicalize().ok();
        real(out).is_some_and(|out| real(folder) == Some(out))
    };
    if let Some(folder) = folders.iter().find(|folder| same(folder)) {
        let message = format!("--out is {}, one of the folders to merge", folder.display());
        return Err(Complaint::new(EXIT_USAGE, message).hint("name another folder"));
    }
    let mut findings = Findings::default();
    for folder in folders {
        let cannot = |error: io::Error| {
            let message = format!("cannot read the folder {}: {error}", folder.display());
            Complaint::new(EXIT_USAGE, message).hint("name folders that `fuzz --out` wrote")
        };
        let entries = std::fs::read_dir(folder).map_err(cannot)?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        let mut paths = paths.collect::<Result<Vec<_>, _>>().map_err(cannot)?;
        paths.retain(|path| path.extension().is_some_and(|end| end == "case"));
        paths.sort();
        for path in paths {
            let file = path.to_string_lossy();
            let text = input::text(&file).map_err(input_complaint)?;
            let added = findings.add(&file, text);
            added.map_err(|error| Complaint::new(EXIT_USAGE, error.to_string()))?;
        }
    }
    for finding in findings.each() {
        let written = place.write(&finding.file, finding.text.as_bytes());
        let path = place.join(&finding.file).display().to_string();
        written.map_err(|error| write_complaint(&path, &error))?;
        report::out(&format!(
            "{:3} times  {}\n           {path}\n",
            finding.times, finding.what
        ));
    }
    let (kept, files) = (findings.each().count(), findings.files());
    report::out(&format!("fuzz: {kept} findings of {files} files\n"));
    Ok(if kept > 0 { EXIT_FAILURE } else { 0 })
}

async fn run_campaign(fuzz: Fuzz, rules: &[Rule]) -> Result<u8, Complaint> {
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
    let out_folder = out_folder.map_err(|error| place_complaint(&error))?;
    let harness = |message: String| Complaint::new(EXIT_HARNESS, message);
    let seed = match fuzz.seed {
        Some(seed) => seed,
        // 32 bits are short enough to type.
        None => getrandom::u32()
            .map_err(|error| harness(format!("no random seed: {error}")))?
            .into(),
    };
    let (seed, runs, part) = match fuzz.shard {
        None => (seed, fuzz.runs, String::new()),
        Some(shard) => {
            let (seed, runs) = shard.seeds(seed, fuzz.runs);
            if runs == Some(0) {
                let message = format!("part {shard} has no session");
                return Err(Complaint::new(EXIT_USAGE, message)
                    .hint("give a larger --runs, or fewer parts"));
            }
            (seed, runs, format!(", part {shard}"))
        }
    };
    let tls = Tls::new().map_err(|error| harness(format!("TLS: {error}")))?;
    let stop = stop_on_interrupt();
    let time_scale = fuzz.time_scale.unwrap_or(1.0);
    let profile = match fuzz.profile {
        Profile::Wire => "wire",
        Profile::Hardened => "hardened",
    };
    let status = StatusLine::start("fuzz", fuzz.quiet);
    status.print_unless_quiet(&format!(
        "fuzz: {} over {transport}, profile {profile}, seed {seed}{part}\n\n",
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
    let settings = CampaignSettings {
        side,
        transport,
        seed,
        runs,
        time,
        jobs: usize::from(fuzz.jobs.unwrap_or(32)),
        hardened: fuzz.profile == Profile::Hardened,
        strict: fuzz.strict,
        out: Arc::new(Saved {
            folder: out_folder,
            rules: rules.to_vec(),
            strict: fuzz.strict,
        }),
        time_scale,
    };
    let campaign = Campaign::new(settings, subject, rules, &tls, tempo, stop);
    // A quiet run leaves out blank lines.
    let say = |text: &str| match text.trim().is_empty() {
        true => status.print_unless_quiet(text),
        false => status.print(text),
    };
    let result = Box::pin(campaign.run(say, |phase| status.set(phase.to_string()))).await;
    if let Some(why) = &result.harness {
        status.print(&format!("some sessions could not be played: {why}\n"));
    }
    status.print_unless_quiet(&summary(&result));
    status.print(&last_line(totals(&result)));
    if let Some(why) = &result.unsaved {
        let message = format!("not every finding was saved: {why}");
        return Err(Complaint::new(EXIT_HARNESS, message).hint("check that the disk is not full"));
    }
    Ok(match result {
        CampaignResult {
            interrupted: true, ..
        } => EXIT_INTERRUPTED,
        CampaignResult { findings: 1.., .. } => EXIT_FAILURE,
        CampaignResult {
            not_reproduced: 1..,
            ..
        } => EXIT_FAILURE,
        CampaignResult {
            harness: Some(_), ..
        } => EXIT_HARNESS,
        _ => 0,
    })
}

/// Saves findings in a folder, and shows each as a report shows a failure.
#[derive(Debug)]
struct Saved {
    folder: Folder,
    rules: Vec<Rule>,
    strict: bool,
}

impl FindingStore for Saved {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn save(&self, name: &str, text: &str) -> io::Result<()> {
        self.folder.write(name, text.as_bytes())
    }

    fn report(&self, job: &Job, judged: &Judged, options: Options) -> String {
        let settings = Settings {
            options,
            strict: self.strict,
            order: Order::default(),
        };
        report::finding(job, judged, &self.rules, settings)
    }
}

/// Passed: sessions without a finding. Failed: sessions with one, and leaks. Skipped: sessions that were not played.
fn totals(result: &CampaignResult) -> Totals {
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let bad = result.failed + result.unplayed;
    Totals {
        passed: number(result.sessions.saturating_sub(bad)),
        failed: number(result.failed + result.leaks),
        skipped: number(result.unplayed),
    }
}

fn summary(result: &CampaignResult) -> String {
    let not_reproduced = match result.not_reproduced {
        0 => String::new(),
        count => format!(", {count} not reproducible"),
    };
    format!(
        "fuzz: {} sessions, {} steps, {} findings{not_reproduced} in {:.0} s\n",
        result.sessions,
        result.steps,
        result.findings,
        result.took.as_secs_f64(),
    )
}
