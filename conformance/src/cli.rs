//! The command line.

mod commands;
mod select;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::notation::ast::Role;

/// Runs the program and tells how it has ended.
///
/// Exit codes: 0 nothing unexpected, 1 a failure, 2 wrong usage, manifest or case file, 3 the judged program never
/// became ready, 4 no case was selected or all were skipped, 5 the suite could not do its part, 130 interrupted.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; clap knows where each belongs.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return complain(&Complaint::new(
                EXIT_HARNESS,
                format!("cannot start the runtime: {error}"),
            ));
        }
    };
    let code = runtime.block_on(commands::execute(arguments));
    // Tasks that still wait for a peer must not keep the program alive.
    runtime.shutdown_background();
    match code {
        Ok(code) => ExitCode::from(code),
        Err(complaint) => complain(&complaint),
    }
}

/// Judges any Netroxy v0.3 server or client by what it does on the wire.
///
/// Without a command it runs every case of both roles against the embedded reference peers.
#[derive(Debug, Parser)]
#[command(name = "netroxy-conformance", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    pace: Pace,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge a server or a client
    Run(Box<Run>),
    /// List cases or rules
    List {
        #[arg(value_enum)]
        what: Listed,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Show a rule with its cases, or a case with its rules
    Explain {
        /// Such as tunnel.early-data or server/tunnel/early-data
        id: String,
    },
    /// Write case files in their canonical form
    Format {
        /// Only tell which are not, and fail
        #[arg(long)]
        check: bool,
        #[arg(required = true, value_name = "FILE")]
        files: Vec<String>,
    },
    /// Look at a system under test (SUT) without judging it
    Sut {
        #[command(subcommand)]
        command: SutCommand,
    },
}

#[derive(Debug, Subcommand)]
enum SutCommand {
    /// Start it as the manifest says and let it log in
    Check {
        /// Manifest file, or the name of a built-in one
        #[arg(long, value_name = "FILE")]
        sut: String,
    },
}

#[derive(Debug, Args)]
struct Run {
    /// The side that is judged
    #[arg(value_enum)]
    role: RoleName,
    /// Cases or rules to judge: names, or patterns with `*`; all when there are none
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Manifest file, or the name of a built-in one; the embedded reference when not given
    #[arg(long, value_name = "FILE", conflicts_with = "addr")]
    sut: Option<String>,
    /// Role pair: the server, as --sut
    #[arg(long, value_name = "FILE")]
    server: Option<String>,
    /// Role pair: the client, as --sut
    #[arg(long, value_name = "FILE")]
    client: Option<String>,
    /// A server that is running already, HOST:PORT
    #[arg(long, value_name = "HOST:PORT", requires = "user", requires = "pass")]
    addr: Option<String>,
    /// Its TLS port
    #[arg(long, value_name = "HOST:PORT", requires = "addr")]
    tls_addr: Option<String>,
    /// Its user name
    #[arg(long, requires = "addr")]
    user: Option<String>,
    /// Its password
    #[arg(long, requires = "addr")]
    pass: Option<String>,
    /// Which rules count
    #[arg(long, value_enum, default_value = "wire")]
    profile: Profile,
    /// What is allowed but not recommended fails too
    #[arg(long)]
    strict: bool,
    /// A case file of your own; may be given several times
    #[arg(long, value_name = "FILE", conflicts_with = "ids")]
    case_file: Vec<String>,
    /// Write a report, json:PATH
    #[arg(long, value_name = "FORMAT:PATH")]
    report: Option<String>,
    #[command(flatten)]
    pace: Pace,
}

#[derive(Debug, Clone, Copy, Args)]
struct Pace {
    /// How many cases run at a time [default: 16]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Multiply every deadline, for slow machines [default: 1]
    #[arg(long, value_name = "X", value_parser = time_scale)]
    time_scale: Option<f64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    Server,
    Client,
    /// A client with a server
    Pair,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Profile {
    /// What peers need to work together, and what would corrupt data
    Wire,
    /// Every rule
    Hardened,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Listed {
    Cases,
    Rules,
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

const EXIT_CODES: &str = "Exit codes: 0 nothing unexpected, 1 a case failed, 2 wrong usage, manifest or case file, \
3 the SUT never became ready, 4 no case was selected or all were skipped, 5 the suite itself failed, 130 interrupted.";

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

impl From<RoleName> for Role {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Server => Self::Server,
            RoleName::Client => Self::Client,
            RoleName::Pair => Self::Pair,
        }
    }
}

fn time_scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if (0.01..=1000.0).contains(&scale) => Ok(scale),
        Ok(_) | Err(_) => Err("a number from 0.01 to 1000".to_owned()),
    }
}

fn complain(complaint: &Complaint) -> ExitCode {
    let mut err = std::io::stderr().lock();
    // Where errors cannot be written, the exit code still tells.
    let _ = writeln!(err, "error: {}", complaint.message);
    if let Some(hint) = &complaint.hint {
        let _ = writeln!(err, "hint: {hint}");
    }
    ExitCode::from(complaint.code)
}

/// Colours are for people at a terminal who have not asked for none.
fn wants_colour() -> bool {
    std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
