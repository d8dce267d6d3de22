//! Recordings: everything that was sent, with its times, as a text in the notation.
//!
//! ```text
//! recording 1
//! title    server/keepalive/answer [plain]
//! role     server
//! over     plain
//! server   127.0.0.1:10000
//! began    2026-11-23T10:20:30.123456Z
//!
//!         0.000214  ctl   connect server
//!         0.000507  ctl   > ATH probe-1 alice secret
//! end      2 steps
//! ```
//!
//! The last line shows that the recording is complete. If the disk was full, it is a line such as
//! `cut      2 steps, 7 more are missing: No space left on device`.
//!
//! Arrows have the direction of the role, as in a case. A tap writes `>` for the client and `<` for the server. Lines of
//! one connection and direction with the same time were one segment.

mod convert;
mod parse;
mod traffic;
mod writer;

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
pub use convert::to_case;
use netroxy_specification::notation::ast::{Role, Step, Transport};
use netroxy_specification::notation::print_step;
pub(crate) use parse::parse;
pub use traffic::{End, Event, Kind, Sender, What, events};
pub use writer::Writer;

/// The longest recording that is read or written, in bytes.
pub const LONGEST: usize = 256 << 20;

/// A recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// Its header.
    pub head: Head,
    /// In the order of their times.
    pub entries: Vec<Entry>,
    /// What is missing, if it is not complete.
    pub cut: Option<String>,
}

/// The header of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What was recorded, such as the id of a run; one line.
    pub title: String,
    /// The recorder.
    pub source: Source,
    /// The transport of its connections.
    pub over: Transport,
    /// The address at which clients reach the server, if known.
    pub server: Option<SocketAddr>,
    /// The time from which the steps count, to the microsecond.
    pub began: DateTime<Utc>,
}

/// The recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The player of a case, which judged this role.
    Case(Role),
    /// A tap between a client and a server.
    Tap,
}

/// A step and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Since the beginning, in whole microseconds.
    pub at: Duration,
    /// What was sent, or what happened.
    pub step: Step,
    /// Whether the step failed.
    pub(crate) broken: bool,
}

/// A recording that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read {file}: {error}")]
    /// The file cannot be read.
    Unreadable {
        /// As the user named it.
        file: String,
        /// The reason.
        error: std::io::Error,
    },
    #[error("{file} is longer than {} MiB, the longest recording that is read", LONGEST >> 20)]
    /// The file is longer than a recording may be.
    TooLong {
        /// As the user named it.
        file: String,
    },
    #[error("{file}: {error}")]
    /// A line is not in the notation.
    Syntax {
        /// As the user named it.
        file: String,
        /// The place, and what is expected there.
        error: netroxy_specification::notation::SyntaxError,
    },
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is no recording, cannot be read, or is longer than [`LONGEST`].
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let file = path.display().to_string();
        let unreadable = |error| LoadError::Unreadable {
            file: file.clone(),
            error,
        };
        let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        let mut text = String::new();
        let source = File::open(path).map_err(unreadable)?;
        let read = source.take(limit + 1).read_to_string(&mut text);
        if read.map_err(unreadable)? > LONGEST {
            return Err(LoadError::TooLong { file });
        }
        parse(&text).map_err(|error| LoadError::Syntax { file, error })
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.head)?;
        let mut entries = self.entries.iter();
        entries.try_for_each(|entry| writeln!(f, "{entry}"))?;
        match self.cut {
            None => f.write_str(&last_line(self.entries.len(), None)),
            Some(_) => Ok(()),
        }
    }
}

/// The last line of a recording. `missing`: how many more steps are missing, and why.
pub fn last_line(steps: impl fmt::Display, missing: Option<(u64, &str)>) -> String {
    match missing {
        None => format!("end      {steps} steps\n"),
        Some((more, why)) => format!("cut      {steps} steps, {more} more are missing: {why}\n"),
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "recording {VERSION}")?;
        writeln!(f, "title    {}", self.title)?;
        writeln!(f, "role     {}", self.source)?;
        writeln!(f, "over     {}", self.over)?;
        if let Some(server) = self.server {
            writeln!(f, "server   {server}")?;
        }
        let began = self.began.to_rfc3339_opts(SecondsFormat::Micros, true);
        writeln!(f, "began    {began}\n")
    }
}

/// The only version of the format.
const VERSION: u32 = 1;

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Case(role) => role.fmt(f),
            Self::Tap => f.write_str("tap"),
        }
    }
}

impl fmt::Display for Entry {
    /// Without the line feed at its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut prefix = String::from(if self.broken { "! " } else { "  " });
        let (seconds, micros) = (self.at.as_secs(), self.at.subsec_micros());
        write!(prefix, "{seconds:>8}.{micros:06}  ")?;
        let step = print_step(&self.step);
        let mut lines = step.lines();
        write!(f, "{prefix}{}", lines.next().unwrap_or_default())?;
        // The alternatives of a step that failed.
        lines.try_for_each(|line| write!(f, "\n{:1$}{line}", "", prefix.len()))
    }
}

#[cfg(test)]
mod tests;
