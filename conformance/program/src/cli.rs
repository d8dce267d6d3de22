//! The command line.

mod address;
mod arguments;
mod baseline;
#[cfg(test)]
mod ci;
mod complaint;
mod diff;
mod embedded;
mod ending;
mod exit;
mod explain;
mod export;
mod flakes;
mod format;
mod fuzz;
mod jobs;
mod judging;
mod list;
mod matrix;
mod output;
mod records;
mod replay;
mod report;
mod role;
mod run;
mod select;
mod selftest;
mod serve;
mod signals;
mod spec;
mod sut;
mod tap;
mod template;
mod vectors;
mod violations;

use std::process::ExitCode;

use arguments::Pace;
use clap::{CommandFactory, Parser, Subcommand};
use complaint::{Complaint, complain};
use ending::{final_code, incomplete, left_over};
use exit::{EXIT_CODES, EXIT_HARNESS, EXIT_LOOKED_UP, EXIT_USAGE};
use netroxy_judge::descriptors;
use netroxy_manual::Manual;
use netroxy_specification::rules;
use output::Output;

use crate::output::out;

/// Runs the program and returns its exit code.
///
/// Exit codes: 0 nothing unexpected, 1 a failure, 2 wrong usage, manifest or case file, 3 the judged program never
/// became ready, 4 no case was selected or all were skipped, 5 the suite itself failed, 130 interrupted.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are not errors; clap chooses standard output or standard error.
            let printed = error.print();
            if error.use_stderr() {
                return ExitCode::from(EXIT_USAGE);
            }
            return ExitCode::from(match printed {
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                    complain(&incomplete(&error))
                }
                Ok(()) | Err(_) => final_code(0),
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
    // Do not wait for tasks that still wait for a peer.
    runtime.shutdown_background();
    let remains = left_over();
    let code = match (code, remains) {
        // Programs that still run fail even a run that passed: otherwise they could fill the process table.
        (Ok(0), Some(remains)) => complain(&remains),
        (code, remains) => {
            remains.iter().for_each(|remains| {
                complain(remains);
            });
            code.unwrap_or_else(|complaint| complain(&complaint))
        }
    };
    ExitCode::from(final_code(code))
}

fn too_few() -> Complaint {
    let (limit, least) = (descriptors::limit(), descriptors::LEAST);
    let message = format!(
        "this program may have {limit} file descriptors open at a time, and it needs at least {least} to play a case"
    );
    Complaint::new(EXIT_HARNESS, message).hint(descriptors::HINT)
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
    /// Play cases with every pair of client and server, and name the one at fault
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
    /// Check that a system under test (SUT) can be judged
    #[command(after_help = sut::EXIT_CODES)]
    Sut {
        #[command(subcommand)]
        command: sut::Command,
    },
    /// Print the specification as an HTML page
    #[command(after_help = EXIT_LOOKED_UP)]
    Spec {
        #[command(subcommand)]
        command: spec::Command,
    },
    /// Merge the reports of the parts of a run, or print the format of reports
    #[command(after_help = EXIT_LOOKED_UP)]
    Report {
        #[command(subcommand)]
        command: report::Command,
    },
    /// Show the reports of a folder in a browser, and play cases again on request
    Serve(serve::Serve),
    /// Judge peers with known bugs, and check that each bug is detected
    Selftest(selftest::Selftest),
    /// Fuzz a server or a client with generated sessions
    Fuzz(fuzz::Fuzz),
    /// Relay between a client and a server, and judge both
    Tap(tap::Tap),
    /// Judge a recording again, or play it against a peer
    Replay(Box<replay::Replay>),
    /// Write a recording as a capture that Wireshark opens
    Export(export::Export),
    /// List the test vectors of the codec, or judge a codec by them
    #[command(after_help = vectors::EXIT_CODES)]
    Vectors {
        #[command(subcommand)]
        command: vectors::Command,
    },
    #[command(flatten)]
    Manual(Manual),
}

impl Arguments {
    /// Whether the command plays cases or sessions.
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

async fn execute(arguments: Arguments) -> Result<u8, Complaint> {
    let rules = rules::embedded().map_err(|error| Complaint::new(EXIT_USAGE, error.to_string()))?;
    match arguments.command {
        None => embedded::execute(&rules, arguments.pace, arguments.output).await,
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
        Some(Command::Spec { command }) => spec::execute(&command, &rules),
        Some(Command::Report { command }) => report::execute(&command, &rules),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_page_and_completions_name_every_flag() {
        let missing = netroxy_manual::missing(&Arguments::command()).unwrap();
        assert_eq!(missing, [""; 0]);
    }
}
