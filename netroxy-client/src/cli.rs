//! The command line of `netroxy-client`.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use netroxy_net::program::{self, Failure, LogLevel};

use crate::{
    Client,
    config::{flags::Flags, password, sources::Sources},
    public::PublicAddresses,
};

/// The private side of a Netroxy reverse tunnel (protocol v0.3)
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Cli {
    /// Configuration file; client_config.json when neither this nor --server is given
    #[arg(long, value_name = "PATH", env = "NETROXY_CLIENT_CONFIG")]
    config: Option<PathBuf>,

    /// How much to log, to stderr
    #[arg(
        long,
        value_name = "LEVEL",
        value_enum,
        default_value_t = LogLevel::Info,
        env = "NETROXY_CLIENT_LOG"
    )]
    log: LogLevel,

    #[command(flatten)]
    flags: Flags,
}

const EXIT_CODES: &str = "\
Without a file:
  netroxy-client --server example.org:10000 --user alice --map 10003=127.0.0.1:3389

Flags come before the values of a file, and --map adds to its connections. Each mapping that the
server listens on is one line on stdout: tcp://HOST:PORT -> TARGET

A server that cannot be reached or refuses the login is tried again for ever.

Exit codes:
  0    stopped by SIGTERM or SIGINT
  1    the machine fails
  2    wrong flags, configuration or CA file
  130  stopped at once by a second signal";

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    program::exit_code(run(cli))
}

fn run(cli: Cli) -> Result<(), Failure> {
    let sources = Sources::new(cli.config, cli.flags, Some(password::from_terminal));
    let (config, warnings) = sources.load()?;
    program::run(cli.log, warnings, async |stop| {
        let addresses = PublicAddresses::on_stdout();
        Client::new(config)
            .on_mapped(move |line| addresses.show(line))
            .run(stop)
            .await;
        Ok(())
    })
}
