//! `netroxy-server status`: shows the state of a running server.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use netroxy_net::local_socket;
use netroxy_net::program::Failure;
use serde::{Deserialize, Serialize};

use crate::{Config, Status};

/// The arguments of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusCommand {
    /// Print everything as JSON
    #[arg(long)]
    json: bool,

    /// The server's local socket; by default the one of its configuration
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// A request to the local socket of a server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Question {
    Status,
}

impl StatusCommand {
    pub(crate) fn run(&self, config: &Path) -> Result<(), Failure> {
        let socket = match &self.socket {
            Some(socket) => socket.clone(),
            None => Config::load(config)?.0.control_socket.ok_or_else(|| {
                Failure::usage(format!("{}: controlSocket: missing", config.display())).hint(
                    "add \"controlSocket\": \"netroxy-server.sock\" and start the server again",
                )
            })?,
        };
        let status: Status = local_socket::ask(&socket, &Question::Status).map_err(|error| {
            Failure::runtime(format!("cannot ask {}: {error}", socket.display()))
                .hint("is the server running, and under the same system account?")
        })?;
        let text = if self.json {
            serde_json::to_string_pretty(&status).map_err(Failure::runtime)? + "\n"
        } else {
            page(&status)
        };
        std::io::stdout()
            .write_all(text.as_bytes())
            .map_err(Failure::runtime)
    }
}

/// The state as readable text.
fn page(status: &Status) -> String {
    let census = &status.census;
    let mut page = format!(
        "netroxy-server {}\n\
         clients: {}  ports: {}  users: {}  fresh connections: {}  descriptors: {} of {}\n",
        status.version,
        census.clients,
        census.ports,
        census.users,
        census.fresh_connections,
        census.descriptors,
        census.descriptor_limit,
    );
    for (reason, count) in &census.refused {
        line(&mut page, format_args!("refused {count}: {reason}"));
    }
    for client in &status.clients {
        let tls = if client.tls { "TLS" } else { "no TLS" };
        line(
            &mut page,
            format_args!(
                "client {} of {} at {} ({tls}) for {} s, users: {}",
                client.name, client.user, client.address, client.seconds, client.users
            ),
        );
        for port in &client.ports {
            line(
                &mut page,
                format_args!(
                    "  port {} -> {}: tunnels: {}, bytes to users: {}, from users: {}",
                    port.remote_port,
                    port.target,
                    port.tunnels,
                    port.bytes_to_users,
                    port.bytes_from_users
                ),
            );
        }
    }
    page
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(page, "{text}");
}
