//! The command line of `netroxy-server`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use netroxy_manual::Manual;
use netroxy_net::check_config::CheckConfig;
use netroxy_net::hangup::Hangups;
#[cfg(unix)]
use netroxy_net::local_socket::LocalSocket;
use netroxy_net::log::Logging;
use netroxy_net::program::{self, Failure};
use netroxy_net::service_manager;
use tracing::{error, info, warn};

use crate::gen_cert::GenCert;
use crate::hash_password::HashPassword;
use crate::init::Init;
#[cfg(unix)]
use crate::status::{Question, StatusCommand};
use crate::{Config, Handle, Server, init};

#[cfg(test)]
#[cfg(unix)]
mod reference;

/// The public side of a Netroxy reverse tunnel (protocol v0.3)
#[derive(Debug, Parser)]
#[command(version = program::version(crate::VERSION), after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// Configuration file; by default server_config.json
    #[arg(long, value_name = "PATH", global = true)]
    config: Option<PathBuf>,

    #[command(flatten)]
    logging: Logging,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a first configuration with a certificate and a random password, and say what to run next
    Init(Init),
    /// Make a self-signed certificate and its private key
    GenCert(GenCert),
    /// Report all problems of a configuration file, and start nothing
    CheckConfig(CheckConfig),
    /// Hash a password for the key passwordHash; read it from the first line of stdin, or ask for it in a terminal
    HashPassword(HashPassword),
    /// Show the state of a running server; its configuration must have a controlSocket
    #[cfg(unix)]
    Status(StatusCommand),
    #[command(flatten)]
    Manual(Manual),
}

const EXIT_CODES: &str = "\
Exit codes:
  0    stopped by SIGTERM or SIGINT; nothing wrong was found (check-config)
  1    a port cannot be listened on, no server answers (status), or the machine fails otherwise
  2    wrong flags, configuration, certificate or key
  130  stopped at once by a second signal";

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = cli
        .config
        .as_deref()
        .unwrap_or_else(|| Path::new(init::CONFIG));
    program::exit_code(match cli.command {
        Some(Command::Init(_)) if cli.config.is_some() => Err(init::takes_no_config()),
        Some(Command::Init(command)) => command.run(),
        Some(Command::Manual(command)) => command.run(Cli::command()).map_err(Failure::runtime),
        Some(Command::GenCert(command)) => command.run(),
        Some(Command::HashPassword(command)) => command.run(),
        #[cfg(unix)]
        Some(Command::Status(command)) => command.run(config),
        Some(Command::CheckConfig(command)) => {
            return command.run(config, |path| Ok(Config::load(path)?.1));
        }
        None => serve(config, cli.logging),
    })
}

fn serve(path: &Path, logging: Logging) -> Result<(), Failure> {
    let (config, warnings) = Config::load(path)?;
    program::run(logging, warnings, async |stop| {
        // From here on, SIGHUP does not end the program.
        let hangups = Hangups::new();
        let socket = config.control_socket.clone();
        let server = Server::bind(config).await.map_err(|error| {
            let hint = error.hint();
            Failure::runtime(error).hint(hint)
        })?;
        let handle = server.handle();
        let answering = answer(socket.as_deref(), handle.clone())?;
        service_manager::ready();
        let told = async {
            stop.cancelled().await;
            service_manager::stopping();
            std::future::pending().await
        };
        tokio::select! {
            () = server.run(stop.clone()) => {}
            () = reload(path, &handle, hangups) => {}
            () = answering => {}
            () = service_manager::keep_watchdog() => {}
            () = told => {}
        }
        Ok(())
    })
}

/// Reads the configuration again at each SIGHUP, without end. A wrong configuration changes nothing.
async fn reload(path: &Path, handle: &Handle, mut hangups: Hangups) {
    loop {
        hangups.next().await;
        service_manager::reloading();
        match Config::load(path) {
            Ok((config, warnings)) => {
                for warning in warnings {
                    warn!("{warning}");
                }
                for key in handle.reload(config) {
                    warn!(
                        key,
                        "not changed: this key changes only when the server is started again"
                    );
                }
                info!("configuration read again");
            }
            Err(error) => {
                let report = error.report();
                error!("the configuration has errors, the old one stays in use:\n{report}");
            }
        }
        service_manager::ready();
    }
}

/// Answers requests on the local socket, without end.
#[cfg(unix)]
fn answer(socket: Option<&Path>, handle: Handle) -> Result<impl Future<Output = ()>, Failure> {
    let socket = socket.map(LocalSocket::bind).transpose().map_err(|error| {
        let path = socket.unwrap_or_else(|| Path::new(""));
        Failure::runtime(format!("cannot listen at {}: {error}", path.display()))
            .hint("controlSocket names a file in a folder that the server may write to")
    })?;
    Ok(async move {
        let Some(socket) = socket else {
            return std::future::pending().await;
        };
        let answer = move |Question::Status| std::future::ready(handle.status());
        socket.serve(answer).await;
    })
}

#[cfg(not(unix))]
fn answer(_: Option<&Path>, _: Handle) -> Result<impl Future<Output = ()>, Failure> {
    Ok(std::future::pending())
}
