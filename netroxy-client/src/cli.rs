//! The command line of `netroxy-client`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use netroxy_manual::Manual;
use netroxy_net::check_config::CheckConfig;
use netroxy_net::log::Logging;
use netroxy_net::program::{self, Failure};
use tokio_util::sync::CancellationToken;

use crate::config::flags::Flags;
use crate::config::password;
use crate::config::sources::{Sources, USUAL_FILE};
use crate::public::PublicAddresses;
use crate::{Client, Config};

#[cfg(unix)]
mod ask;
mod init;
#[cfg(test)]
#[cfg(unix)]
mod reference;
#[cfg(unix)]
mod reload;

/// The private side of a Netroxy reverse tunnel (protocol v0.3)
#[derive(Debug, Parser)]
#[command(version = program::version(crate::VERSION), after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// Configuration file; client_config.json if neither this nor --server is given
    #[arg(
        long,
        value_name = "PATH",
        env = "NETROXY_CLIENT_CONFIG",
        global = true
    )]
    config: Option<PathBuf>,

    #[command(flatten)]
    logging: Logging,

    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a first configuration file, and print the next commands
    Init(init::Init),
    /// Report all problems of a configuration file, and start nothing
    CheckConfig(CheckConfig),

    #[cfg(unix)]
    #[command(flatten)]
    Ask(ask::Command),

    #[command(flatten)]
    Manual(Manual),
}

const EXIT_CODES: &str = "\
Without a file:
  netroxy-client --server example.org:10000 --user alice --map 10003=127.0.0.1:3389

A flag replaces the value in the file. --map adds mappings to those in the file. When the server listens
for a mapping, the client prints one line to stdout: tcp://HOST:PORT -> TARGET

On SIGHUP a client with a configuration file reads it again. New mappings are added at once. For other
changes the client logs in anew; open tunnels stay.

If the server cannot be reached or refuses the login, the client tries again for ever.

Exit codes:
  0    stopped by SIGTERM or SIGINT; nothing wrong was found (check-config)
  1    the machine fails, or a command is refused
  2    wrong flags, configuration or CA file
  130  stopped at once by a second signal";

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = parse();
    let Some(asked) = cli.command else {
        return program::exit_code(run(cli));
    };
    match asked {
        Command::Init(command) => {
            if cli.config.is_some() {
                return program::exit_code(Err(init::takes_no_config()));
            }
            program::exit_code(command.run(&cli.flags))
        }
        Command::Manual(manual) => {
            program::exit_code(manual.run(command()).map_err(Failure::runtime))
        }
        Command::CheckConfig(command) => {
            let path = cli.config.unwrap_or_else(|| USUAL_FILE.into());
            command.run(&path, |path| Ok(Config::load(path)?.1))
        }
        #[cfg(unix)]
        Command::Ask(command) => {
            let sources = Sources::new(cli.config, cli.flags, None);
            program::exit_code(command.run(&sources))
        }
    }
}

/// The command line. The flags of the log are shared with the server, so their variables get their names here.
fn command() -> clap::Command {
    Cli::command()
        .mut_arg("level", |flag| flag.env("NETROXY_CLIENT_LOG"))
        .mut_arg("format", |flag| flag.env("NETROXY_CLIENT_LOG_FORMAT"))
}

fn parse() -> Cli {
    let parsed = Cli::from_arg_matches(&command().get_matches());
    parsed.unwrap_or_else(|error| error.exit())
}

fn run(cli: Cli) -> Result<(), Failure> {
    let sources = Sources::new(cli.config, cli.flags, Some(password::from_terminal));
    let (config, warnings) = sources.load()?;
    program::run(cli.logging, warnings, async |stop| {
        let addresses = PublicAddresses::on_stdout();
        let socket = config.control_socket.clone();
        let client = Client::new(config).on_mapped(move |line| addresses.show(line));
        serve(client, socket, sources, stop).await
    })
}

/// Runs the client on the threads of its tunnels. On this thread, each message would wake two threads.
async fn run_as_task(client: Client, stop: CancellationToken) {
    if let Err(error) = tokio::spawn(client.run(stop)).await
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

/// Runs the client, and answers commands of its administrator.
#[cfg(unix)]
async fn serve(
    client: Client,
    socket: Option<PathBuf>,
    sources: Sources,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let handle = client.handle();
    if sources.path.is_some() {
        tokio::spawn(reload::on_hangup(sources, handle.clone()));
    }
    match socket {
        None => run_as_task(client, stop).await,
        Some(path) => {
            let socket = ask::bind(&path)?;
            tokio::select! {
                () = run_as_task(client, stop) => {}
                () = ask::serve(&socket, handle) => {}
            }
        }
    }
    Ok(())
}

#[cfg(not(unix))]
async fn serve(
    client: Client,
    socket: Option<PathBuf>,
    _: Sources,
    stop: CancellationToken,
) -> Result<(), Failure> {
    if socket.is_some() {
        return Err(Failure::usage("this system has no control socket"));
    }
    run_as_task(client, stop).await;
    Ok(())
}
