//! The command line.

mod baseline;
#[cfg(test)]
mod ci;
mod diff;
mod explain;
mod export;
mod flakes;
mod format;
mod fuzz;
mod jobs;
mod list;
mod main_job;
mod matrix;
mod output;
mod pattern;
mod records;
mod replay;
mod role;
mod run;
mod select;
mod selftest;
mod serve;
mod session;
mod signals;
mod sut;
mod tap;
mod template;
mod vectors;
mod violations;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};
use netroxy_judge::descriptors;
use netroxy_judge::input::InputError;
use netroxy_judge::manifest::ManifestError;
use netroxy_judge::run::{Options, Order};
use netroxy_judge::sut::remains;
use netroxy_manual::Manual;
use netroxy_specification::rules;
use output::{Output, ReportCommand, SpecCommand};
pub(crate) use pattern::Pattern;

use crate::output::{Misplaced, lost, out};

/// Runs the program and tells how it has ended.
///
/// Exit codes: 0 nothing unexpected, 1 a failure, 2 wrong usage, manifest or case file, 3 the judged program never
/// became ready, 4 no case was selected or all were skipped, 5 the suite could not do its part, 130 interrupted.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; clap knows where each belongs.
            let printed = error.print();
            if error.use_stderr() {
                return ExitCode::from(EXIT_USAGE);
            }
            return ExitCode::from(match printed {
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                    complain(&incomplete(&error))
                }
                Ok(()) | Err(_) => told(0),
            });
        }
    };
    descriptors::raise_limit();
    if arguments.plays() && descriptors::limit() < descriptors::LEAST {
        return ExitCode::from(complain(&too_few()));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return ExitCode::from(complain(&Complaint::new(
                EXIT_HARNESS,
                format!("cannot start the runtime: {error}"),
            )));
        }
    };
    let code = runtime.block_on(async {
        signals::survive_long_files();
        Box::pin(execute(arguments)).await
    });
    // Tasks that still wait for a peer must not keep the program alive.
    runtime.shutdown_background();
    let remains = left_over();
    let code = match (code, remains) {
        // A full process table must not be the first sign of it.
        (Ok(0), Some(remains)) => complain(&remains),
        (code, remains) => {
            remains.iter().for_each(|remains| {
                complain(remains);
            });
            code.unwrap_or_else(|complaint| complain(&complaint))
        }
    };
    ExitCode::from(told(code))
}

/// What was started and could not be ended.
fn left_over() -> Option<Complaint> {
    let remains: Vec<String> = remains().into_iter().collect();
    (!remains.is_empty()).then(|| {
        let message = format!(
            "not everything that was started could be ended:\n  {}",
            remains.join("\n  ")
        );
        Complaint::new(EXIT_HARNESS, message)
    })
}

fn too_few() -> Complaint {
    let (limit, least) = (descriptors::limit(), descriptors::LEAST);
    let message = format!(
        "this program may have {limit} file descriptors open at a time, and needs at least {least} to play a case"
    );
    Complaint::new(EXIT_HARNESS, message).hint(descriptors::HINT)
}

/// The exit code, when everything has been said.
fn told(code: u8) -> u8 {
    match (code, lost()) {
        (0 | EXIT_FAILURE | EXIT_NOTHING, Some(why)) => complain(&incomplete(&why)),
        // Something worse has been told.
        (code, _) => code,
    }
}

fn incomplete(why: &dyn std::fmt::Display) -> Complaint {
    let message = format!("cannot write to standard output: {why}; what is there is not whole");
    Complaint::new(EXIT_HARNESS, message).hint("is the disk full?")
}

/// Judges any Netroxy v0.3 server or client by what it does on the wire.
///
/// Without a command: judges the embedded reference server, client and pair by every case (profile hardened). With a
/// command, the default is --profile wire.
#[derive(Debug, Parser)]
#[command(name = "netroxy-conformance", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    pace: Pace,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge a server or a client
    Run(Box<run::Run>),
    /// Let every client meet every server, and tell who is at fault
    Matrix(matrix::Matrix),
    /// List cases, rules, programs, baselines or vectors
    List(list::List),
    /// Show a rule with its cases, or a case with its rules
    Explain(explain::Explain),
    /// Print the beginning of a case for a rule
    Template(template::Template),
    /// Write case files in their canonical form
    Format(format::Format),
    /// Write a list of known failures, or compare a program with one
    #[command(after_help = EXIT_CODES)]
    Baseline {
        #[command(subcommand)]
        command: baseline::Command,
    },
    /// Play the same cases against two peers, and show where they differ
    Diff(diff::Diff),
    /// Play every case many times, in random order, and check that each verdict stays the same
    Flakes(flakes::Flakes),
    /// Look at a system under test (SUT) without judging it
    #[command(after_help = sut::EXIT_CODES)]
    Sut {
        #[command(subcommand)]
        command: sut::Command,
    },
    /// The specification as a page to read
    #[command(after_help = EXIT_LOOKED_UP)]
    Spec {
        #[command(subcommand)]
        command: SpecCommand,
    },
    /// Merge the reports of the parts of a run, or print the format of reports
    #[command(after_help = EXIT_LOOKED_UP)]
    Report {
        #[command(subcommand)]
        command: ReportCommand,
    },
    /// Show the reports of a folder in a browser, and play cases again on request
    Serve(serve::Serve),
    /// Judge peers with known bugs, and check that each bug is detected
    Selftest(selftest::Selftest),
    /// Fuzz a server or a client with generated sessions
    Fuzz(fuzz::Fuzz),
    /// Pass on what a client and a server say, and judge both
    Tap(tap::Tap),
    /// Judge a recording once more, or play it against a peer
    Replay(Box<replay::Replay>),
    /// Write a recording as a capture that Wireshark opens
    Export(export::Export),
    /// Test vectors of the codec: what every parser and serializer must do
    #[command(after_help = vectors::EXIT_CODES)]
    Vectors {
        #[command(subcommand)]
        command: vectors::Command,
    },
    #[command(flatten)]
    Manual(Manual),
}

impl Arguments {
    /// Whether cases or sessions are played.
    fn plays(&self) -> bool {
        match &self.command {
            Some(
                Command::List(_)
                | Command::Explain(_)
                | Command::Format(_)
                | Command::Spec { .. }
                | Command::Report { .. }
                | Command::Export(_)
                | Command::Tap(_)
                | Command::Template(_)
                | Command::Vectors { .. }
                | Command::Manual(_),
            ) => false,
            None
            | Some(
                Command::Run(_)
                | Command::Matrix(_)
                | Command::Baseline { .. }
                | Command::Diff(_)
                | Command::Flakes(_)
                | Command::Sut { .. }
                | Command::Selftest(_)
                | Command::Serve(_)
                | Command::Fuzz(_)
                | Command::Replay(_),
            ) => true,
        }
    }
}

#[derive(Debug, Clone, Copy, Args)]
struct Pace {
    /// How many cases run at a time; most cases wait for a deadline and use little CPU [default: 200, selftest 600; fewer if the limit of file descriptors is low]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Multiply every deadline, for slow machines [default: 1]
    #[arg(long, value_name = "X", value_parser = time_scale)]
    time_scale: Option<f64>,
    /// How many seconds connections stand still in the cases that look for deadlines [default: as the manifest says]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u16).range(1..=600))]
    still: Option<u16>,
    /// Run the cases in a random order
    #[arg(long)]
    shuffle: bool,
    /// The order of --shuffle, a number [default: another each time]
    #[arg(long, value_name = "N", value_parser = seed, requires = "shuffle")]
    seed: Option<u64>,
    /// Run each case N times
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeat: u32,
    /// Stop at the first failure
    #[arg(long)]
    fail_fast: bool,
    /// Name the N slowest cases at the end, at most 10
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    slowest: usize,
}

/// Why the program stops before it has a verdict.
#[derive(Debug)]
struct Complaint {
    code: u8,
    message: String,
    hint: Option<String>,
}

const EXIT_FAILURE: u8 = 1;
const EXIT_USAGE: u8 = 2;
const EXIT_NOT_READY: u8 = 3;
const EXIT_NOTHING: u8 = 4;
const EXIT_HARNESS: u8 = 5;
const EXIT_INTERRUPTED: u8 = 130;

/// Of commands that look something up, or write it.
const EXIT_LOOKED_UP: &str = "Exit codes: 0 done, 2 wrong usage or a file that cannot be used, 4 nothing is called so \
or was selected, 5 the suite itself failed.";

const EXIT_CODES: &str = "Exit codes: 0 nothing unexpected, 1 a case failed, 2 wrong usage, manifest or case file, \
3 the SUT never became ready, 4 no case was selected or all were skipped, 5 the suite itself failed, 130 interrupted.";

async fn execute(arguments: Arguments) -> Result<u8, Complaint> {
    let rules = rules::embedded().map_err(|error| Complaint::new(EXIT_USAGE, error.to_string()))?;
    match arguments.command {
        None => main_job::execute(&rules, arguments.pace, arguments.output).await,
        Some(Command::Run(run)) => run::execute(&run, &rules).await,
        Some(Command::Matrix(matrix)) => matrix::execute(matrix, &rules).await,
        Some(Command::List(list)) => list::execute(&list, &rules),
        Some(Command::Explain(explain)) => explain::execute(&explain, &rules),
        Some(Command::Template(template)) => template::execute(&template, &rules),
        Some(Command::Format(format)) => format::execute(&format),
        Some(Command::Baseline { command }) => Box::pin(baseline::execute(command, &rules)).await,
        Some(Command::Diff(diff)) => diff::execute(&diff, &rules).await,
        Some(Command::Flakes(flakes)) => flakes::execute(&flakes, &rules).await,
        Some(Command::Sut { command }) => sut::execute(command).await,
        Some(Command::Spec { command }) => output::spec(&command, &rules),
        Some(Command::Report { command }) => output::report(&command, &rules),
        Some(Command::Serve(serve)) => serve::execute(&serve, &rules).await,
        Some(Command::Selftest(selftest)) => selftest::execute(&selftest, &rules).await,
        Some(Command::Fuzz(fuzz)) => Box::pin(fuzz::execute(fuzz, &rules)).await,
        Some(Command::Tap(tap)) => tap::execute(&tap, &rules).await,
        Some(Command::Replay(replay)) => replay::execute(&replay, &rules).await,
        Some(Command::Export(export)) => export::execute(&export),
        Some(Command::Vectors { command }) => vectors::execute(command, &rules).await,
        Some(Command::Manual(manual)) => {
            let text = manual.text(Arguments::command());
            let text = text.map_err(|error| Complaint::new(EXIT_HARNESS, error.to_string()))?;
            out(&String::from_utf8_lossy(&text));
            Ok(0)
        }
    }
}

impl Pace {
    fn options(self, hardened: bool) -> Options {
        Options {
            hardened,
            jobs: usize::from(self.jobs.unwrap_or(200)),
            time_scale: self.time_scale.unwrap_or(1.0),
            still: self.still.map(|still| Duration::from_secs(still.into())),
        }
    }

    fn order(self) -> Result<Order, Complaint> {
        let seed = match (self.shuffle, self.seed) {
            (false, _) => None,
            (true, Some(seed)) => Some(seed),
            (true, None) => Some(getrandom::u64().map_err(|error| {
                Complaint::new(EXIT_HARNESS, format!("no random seed: {error}"))
                    .hint("choose one: --seed N")
            })?),
        };
        Ok(Order {
            seed,
            repeat: self.repeat,
            fail_fast: self.fail_fast,
        })
    }
}

impl Complaint {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

fn manifest_complaint(error: ManifestError) -> Complaint {
    let complaint = Complaint::new(EXIT_USAGE, error.to_string());
    match error.hint {
        Some(hint) => complaint.hint(hint),
        None => complaint,
    }
}

fn input_complaint(error: InputError) -> Complaint {
    let complaint = Complaint::new(EXIT_USAGE, error.to_string());
    match error.hint {
        Some(hint) => complaint.hint(hint),
        None => complaint,
    }
}

fn time_scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if (0.01..=1000.0).contains(&scale) => Ok(scale),
        Ok(_) | Err(_) => Err("a number from 0.01 to 1000".to_owned()),
    }
}

fn seed(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| "a number below 2^64, decimal or with 0x".to_owned())
}

/// Tells what is wrong; the exit code.
fn complain(complaint: &Complaint) -> u8 {
    let mut err = std::io::stderr().lock();
    // Where errors cannot be written, the exit code still tells.
    let _ = writeln!(err, "error: {}", complaint.message);
    if let Some(hint) = &complaint.hint {
        let _ = writeln!(err, "hint: {hint}");
    }
    complaint.code
}

/// A place that is wrong, before anything has been written.
fn misplaced(error: &Misplaced) -> Complaint {
    Complaint::new(EXIT_USAGE, error.to_string()).hint(error.hint.as_str())
}

/// A place that cannot be written to although it was right.
fn unwritten(name: &str, error: &dyn std::fmt::Display) -> Complaint {
    Complaint::new(EXIT_HARNESS, format!("cannot write {name}: {error}"))
        .hint("is the disk full, or the folder gone?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_page_and_completions_name_every_flag() {
        let missing = netroxy_manual::missing(&Arguments::command()).unwrap();
        assert_eq!(missing, [""; 0]);
    }
}
