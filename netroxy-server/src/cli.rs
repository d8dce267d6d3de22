//! The command line of `netroxy-server`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use netroxy_net::{
    check_config::CheckConfig,
    log::Logging,
    program::{self, Failure},
};

use crate::{Config, Server, gen_cert::GenCert};

/// The public side of a Netroxy reverse tunnel (protocol v0.3)
#[derive(Debug, Parser)]
#[command(version = program::version(crate::VERSION), after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// Configuration file
    #[arg(long, value_name = "PATH", default_value = "server_config.json")]
    config: PathBuf,

    #[command(flatten)]
    logging: Logging,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a self-signed certificate and its private key
    GenCert(GenCert),
    /// Look for all problems of a configuration file, and start nothing
    CheckConfig(CheckConfig),
}

const EXIT_CODES: &str = "\
Exit codes:
  0    stopped by SIGTERM or SIGINT; nothing wrong was found (check-config)
  1    a port cannot be listened on, or the machine fails otherwise
  2    wrong flags, configuration, certificate or key
  130  stopped at once by a second signal";

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    program::exit_code(match cli.command {
        Some(Command::GenCert(command)) => command.run(),
        Some(Command::CheckConfig(command)) => {
            return command.run(&cli.config, |path| Ok(Config::load(path)?.1));
        }
        None => serve(&cli),
    })
}

fn serve(cli: &Cli) -> Result<(), Failure> {
    let (config, warnings) = Config::load(&cli.config)?;
    program::run(cli.logging, warnings, async |stop| {
        let server = Server::bind(config).await.map_err(|error| {
            let hint = error.hint();
            Failure::runtime(error).hint(hint)
        })?;
        server.run(stop).await;
        Ok(())
    })
}
