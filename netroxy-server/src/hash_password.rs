//! `netroxy-server hash-password`: makes the hash that a configuration holds in place of a password.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;
use netroxy_net::program::Failure;
use netroxy_proto::Password;

use crate::accounts;

/// The arguments of `hash-password`: none, because other users of the machine can see arguments.
#[derive(Debug, Args)]
pub(crate) struct HashPassword {}

impl HashPassword {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let password = if io::stdin().is_terminal() {
            ask_twice()?
        } else {
            one_line()?
        };
        let password = Password::try_from(password)
            .map_err(|error| Failure::usage(format!("the password {error}")))?;
        let hash = accounts::hash(password.expose()).map_err(Failure::runtime)?;
        let text = format!("{hash}\n");
        io::stdout()
            .write_all(text.as_bytes())
            .map_err(Failure::runtime)
    }
}

fn ask_twice() -> Result<String, Failure> {
    let password = rpassword::prompt_password("password: ").map_err(Failure::runtime)?;
    let again = rpassword::prompt_password("repeat the password: ").map_err(Failure::runtime)?;
    if password != again {
        return Err(Failure::usage("the two passwords differ"));
    }
    Ok(password)
}

fn one_line() -> Result<String, Failure> {
    // Two bytes more than the longest password, so that a longer one is detected.
    let longest = netroxy_proto::Limits::default().line;
    let mut line = Vec::new();
    let limit = u64::try_from(longest + 2).unwrap_or(u64::MAX);
    io::Read::take(io::stdin().lock(), limit)
        .read_until(b'\n', &mut line)
        .map_err(Failure::runtime)?;
    if line.is_empty() {
        return Err(Failure::usage("no password was given")
            .hint("give it as the first line of stdin, or start this in a terminal"));
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if line.len() > longest {
        let message = format!("the password is longer than {longest} bytes");
        return Err(Failure::usage(message));
    }
    String::from_utf8(line).map_err(|_| Failure::usage("the password is not in UTF-8"))
}
