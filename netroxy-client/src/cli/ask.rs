//! The commands for a running client.

use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

use clap::Subcommand;
use netroxy_net::local_socket::{self, LocalSocket};
use netroxy_net::program::Failure;

use crate::admin::{
    Answer, Changed, Handle, MappingState, Request, RequestStanding, RequestState, Requests, State,
    Status,
};
use crate::config::sources::Sources;
use crate::requests::LONGEST_REASON;
use crate::{MapFlag, Ports, RequestId};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add, remove or list mappings of the running client
    #[command(subcommand)]
    Map(MapCommand),
    /// Show the state of the running client
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List, accept or refuse mappings that users have requested at the web interface of the server
    Requests {
        #[command(subcommand)]
        command: Option<RequestsCommand>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum RequestsCommand {
    /// List the requests; the same as without a command
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Accept a request: the client maps the port
    Accept {
        /// The request, as the list shows it
        id: RequestId,
    },
    /// Refuse a request; if it is mapped, its mapping is removed and the client logs in anew
    Refuse {
        /// The request, as the list shows it
        id: RequestId,
        /// Reason that the user reads, at most 200 characters
        #[arg(value_parser = reason)]
        reason: Option<String>,
    },
}

fn reason(text: &str) -> Result<String, String> {
    if text.chars().count() > LONGEST_REASON {
        return Err(format!(
            "must not be longer than {LONGEST_REASON} characters"
        ));
    }
    if text.chars().any(char::is_control) {
        return Err("must be one line without control characters".to_owned());
    }
    Ok(text.to_owned())
}

#[derive(Debug, Subcommand)]
pub(super) enum MapCommand {
    /// Make more services reachable, until the next reload or start
    Add {
        /// REMOTE=HOST:PORT, as for the flag --map
        #[arg(required = true, value_parser = checked::<MapFlag>)]
        map: Vec<String>,
    },
    /// Make services unreachable, until the next reload or start; the client logs in anew, and open
    /// tunnels stay
    Remove {
        /// Remote ports, or ranges such as 10000-10009
        #[arg(required = true, value_name = "REMOTE", value_parser = checked::<Ports>)]
        ports: Vec<String>,
    },
    /// Show each mapping, its state and its tunnels
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// The text itself if it can be parsed. The client parses it again.
fn checked<T>(text: &str) -> Result<String, T::Err>
where
    T: FromStr,
{
    text.parse::<T>().map(|_| text.to_owned())
}

/// Opens the control socket.
pub(super) fn bind(path: &Path) -> Result<LocalSocket, Failure> {
    LocalSocket::bind(path).map_err(|error| {
        let text = format!(
            "cannot listen on the control socket {}: {error}",
            path.display()
        );
        Failure::runtime(text)
            .hint("the folder has to exist and to be writable; each client needs a path of its own")
    })
}

/// Answers commands for ever.
pub(super) async fn serve(socket: &LocalSocket, client: Handle) {
    let answer = move |request: Request| {
        let client = client.clone();
        async move {
            let stopping = || Answer::Refused("the client is stopping".to_owned());
            client.ask(request).await.unwrap_or_else(stopping)
        }
    };
    socket.serve(answer).await;
}

impl Command {
    /// Asks the running client, and prints its answer.
    pub(super) fn run(&self, sources: &Sources) -> Result<(), Failure> {
        let Some(path) = sources.control_socket()? else {
            return Err(Failure::usage("no control socket is named").hint(
                "start the client with --control-socket PATH, or with \"controlSocket\" in its \
                 configuration file, and give the same here",
            ));
        };
        let answer = local_socket::ask::<Answer>(&path, &self.request()).map_err(|error| {
            let text = format!("cannot ask the client at {}: {error}", path.display());
            Failure::runtime(text)
                .hint("the client has to run with this control socket, under your account")
        })?;
        let json = match self {
            Self::Status { json }
            | Self::Map(MapCommand::List { json })
            | Self::Requests {
                command: Some(RequestsCommand::List { json }),
            } => *json,
            Self::Map(MapCommand::Add { .. } | MapCommand::Remove { .. })
            | Self::Requests { .. } => false,
        };
        let text = match &answer {
            Answer::Refused(why) => return Err(Failure::runtime(why.clone())),
            Answer::Mappings(all) if json => as_json(all)?,
            Answer::Status(status) if json => as_json(status)?,
            Answer::Requests(requests) if json => as_json(requests)?,
            Answer::Requests(requests) => listed(requests),
            Answer::Decided { request, changed } => decided(request, changed),
            Answer::Mappings(all) => table(all),
            Answer::Status(status) => shown(status),
            Answer::Changed(changed) => told(changed),
        };
        // A closed stdout is no error.
        let _ = writeln!(io::stdout(), "{text}");
        Ok(())
    }

    fn request(&self) -> Request {
        match self {
            Self::Status { .. } => Request::Status,
            Self::Map(MapCommand::List { .. }) => Request::List,
            Self::Map(MapCommand::Add { map }) => Request::Add { map: map.clone() },
            Self::Map(MapCommand::Remove { ports }) => Request::Remove {
                ports: ports.clone(),
            },
            Self::Requests { command } => match command {
                None | Some(RequestsCommand::List { .. }) => Request::Requests,
                Some(RequestsCommand::Accept { id }) => Request::Accept { id: id.clone() },
                Some(RequestsCommand::Refuse { id, reason }) => Request::Refuse {
                    id: id.clone(),
                    reason: reason.clone(),
                },
            },
        }
    }
}

fn as_json(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map_err(Failure::runtime)
}

fn told(changed: &Changed) -> String {
    let Changed {
        added,
        removed,
        changed,
        logs_in_anew,
        was_connected,
    } = changed;
    let what = format!("added {added}, removed {removed}, changed {changed}");
    if *logs_in_anew {
        format!(
            "{what}: the client logs in anew, because the protocol has no message to give a port \
             back; open tunnels stay"
        )
    } else if *was_connected {
        what
    } else {
        format!("{what}: the client is not connected; its next login makes the change")
    }
}

fn table(all: &[MappingState]) -> String {
    let rows = all.iter().map(|mapping| {
        let mut state = match mapping.state {
            State::Mapped if !mapping.is_open => "mapped, users are refused".to_owned(),
            State::Mapped => "mapped".to_owned(),
            State::Refused => "refused".to_owned(),
            State::Asked => "asked".to_owned(),
            State::NotConnected => "not connected".to_owned(),
        };
        if let Some(seconds) = mapping.retry_in {
            state.push_str(&format!(", retry in {seconds} s"));
        }
        if mapping.request.is_some() {
            state.push_str(", requested");
        }
        [
            mapping.remote_port.to_string(),
            mapping.target.escape_debug().to_string(),
            state,
            mapping.tunnels.to_string(),
        ]
    });
    columns(["REMOTE", "TARGET", "STATE", "TUNNELS"], rows)
}

/// A table with a line of heads. All cells of a column have the same width.
fn columns<const N: usize>(heads: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<_> = [heads.map(str::to_owned)].into_iter().chain(rows).collect();
    let width = |column: usize| {
        let widths = rows.iter().filter_map(|row| row.get(column));
        widths.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn listed(requests: &Requests) -> String {
    let problem = requests.problem.as_ref().map(|problem| {
        let problem = problem.escape_debug();
        format!("requests cannot be fetched from the server: {problem}\n")
    });
    let rows = requests.requests.iter().map(|request| {
        let state = shown_state(request);
        [
            request.id.to_string(),
            request.remote_port.to_string(),
            request.target.escape_debug().to_string(),
            request.by.escape_debug().to_string(),
            state,
        ]
    });
    let table = if requests.requests.is_empty() {
        "no requests".to_owned()
    } else {
        columns(["ID", "REMOTE", "TARGET", "BY", "STATE"], rows)
    };
    format!("{}{table}", problem.unwrap_or_default())
}

fn shown_state(request: &RequestState) -> String {
    let state = match request.state {
        RequestStanding::Waiting => "waiting",
        RequestStanding::Accepted => "accepted",
        RequestStanding::Mapped => "mapped",
        RequestStanding::Refused => "refused",
    };
    match &request.reason {
        Some(reason) => format!("{state}: {}", reason.escape_debug()),
        None => state.to_owned(),
    }
}

fn decided(request: &RequestState, changed: &Changed) -> String {
    format!(
        "request {}, {} -> {}: {}; {}",
        request.id,
        request.remote_port,
        request.target.escape_debug(),
        shown_state(request),
        told(changed)
    )
}

fn shown(status: &Status) -> String {
    let connected = match status.connected_for {
        Some(seconds) => format!("for {seconds} s"),
        None => "no".to_owned(),
    };
    let tls = if status.tls { "TLS" } else { "plain" };
    format!(
        "server     {} ({tls})\n\
         name       {}\n\
         connected  {connected}\n\
         logins     {}\n\
         mappings   {}, of which {} mapped and {} refused\n\
         tunnels    {} open of {} at most, {} since the start\n\
         spare      {} connections",
        status.server,
        status.name,
        status.logins,
        status.mappings,
        status.mapped,
        status.refused,
        status.tunnels,
        status.most_tunnels,
        status.tunnels_in_all,
        status.spare_connections,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_columns_of_equal_width() {
        let mapping = |remote_port, target: &str, state, retry_in| MappingState {
            remote_port,
            target: target.to_owned(),
            is_open: true,
            state,
            retry_in,
            request: None,
            tunnels: 2,
        };
        let text = table(&[
            mapping(80, "a:1", State::Mapped, None),
            mapping(10_003, "127.0.0.1:3389", State::Refused, Some(4)),
        ]);
        assert_eq!(
            text,
            "REMOTE  TARGET          STATE                  TUNNELS\n\
             80      a:1             mapped                 2\n\
             10003   127.0.0.1:3389  refused, retry in 4 s  2"
        );
    }
}
