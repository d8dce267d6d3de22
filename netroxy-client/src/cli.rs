//! The command line of `netroxy-client`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use netroxy_net::{
    check_config::CheckConfig,
    log::Logging,
    program::{self, Failure},
};

use crate::{Client, Config};

/// The private side of a Netroxy reverse tunnel (protocol v0.3)
#[derive(Debug, Parser)]
#[command(version = program::version(crate::VERSION), after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// Configuration file
    #[arg(long, value_name = "PATH", default_value = "client_config.json")]
    config: PathBuf,

    #[command(flatten)]
    logging: Logging,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look for all problems of a configuration file, and start nothing
    CheckConfig(CheckConfig),
}

const EXIT_CODES: &str = "\
A server that cannot be reached or refuses the login is tried again for ever.

Exit codes:
  0    stopped by SIGTERM or SIGINT; nothing wrong was found (check-config)
  1    the machine fails
  2    wrong flags, configuration or CA file
  130  stopped at once by a second signal";

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match &cli.command {
        Some(Command::CheckConfig(command)) => {
            command.run(&cli.config, |path| Ok(Config::load(path)?.1))
        }
        None => program::exit_code(run(&cli)),
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    let (config, warnings) = Config::load(&cli.config)?;
    program::run(cli.logging, warnings, async |stop| {
        Client::new(config).run(stop).await;
        Ok(())
    })
}
