//! `tap`: stands between any client and any server, and judges both.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound as _, Utc};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::run::address;
use super::session::stop_on_interrupt;
use super::{Complaint, EXIT_FAILURE, EXIT_HARNESS, EXIT_USAGE, time_scale};
use crate::monitor::{Limits, Monitor, Violation};
use crate::notation::ast::{Side, Transport};
use crate::pcap::Capture;
use crate::recording::{Head, LONGEST, Source, Writer};
use crate::report::{self, Totals, last_line};
use crate::rules::Rule;
use crate::tap::{Event, FairClock, Seen, tap, ticks};

const EXIT_CODES: &str = "It judges by every rule that it can see kept or broken (profile hardened).\n\n\
Exit codes: 0 no violation, 1 violations, 2 wrong usage or an address that cannot be used, 5 the suite itself failed.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Tap {
    /// Where clients connect to, instead of the server
    #[arg(long, value_name = "HOST:PORT")]
    listen: String,
    /// The control port of the server
    #[arg(long, value_name = "HOST:PORT")]
    to: String,
    /// Write everything down, passwords and tokens too
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write a capture for Wireshark: the same in packets, which are made up
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// End by itself after so long, such as 90s, 15m or 2h
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    lasting: Option<Duration>,
    /// Multiply every deadline, for slow networks [default: 1]
    #[arg(long, value_name = "X", value_parser = time_scale)]
    time_scale: Option<f64>,
    /// Show each message, passwords and tokens too
    #[arg(short, long)]
    verbose: bool,
}

pub(super) async fn execute(options: &Tap, rules: &[Rule]) -> Result<u8, Complaint> {
    // Port 0 is any port that is free.
    let listen = options
        .listen
        .parse()
        .or_else(|_| address(&options.listen))?;
    let to = address(&options.to)?;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        Complaint::new(EXIT_USAGE, format!("cannot listen on {listen}: {error}"))
            .hint("name an address of this machine that nobody listens on")
    })?;
    let listen = listener.local_addr().unwrap_or(listen);
    let began = Utc::now().trunc_subsecs(6);
    let mut desk = Desk::open(options, rules, to, began)?;
    let stop = stop_on_interrupt();
    let (seen, mut queue) = mpsc::channel(QUEUED);
    let started = Instant::now();
    report::out(&format!("tap: {listen} -> {to}\n"));
    let relays = tokio::spawn(tap(listener, to, started, seen, stop.clone()));
    let (mut clock, mut ticks) = (FairClock::new(), ticks());
    let end = options.lasting.map(|lasting| started + lasting);
    loop {
        tokio::select! {
            biased;
            next = queue.recv() => match next {
                Some(Seen::Event(event)) => desk.see(&clock, event)?,
                Some(Seen::Unserved(from, why)) => desk.say(&format!("tap: {from} cannot be served: {why}\n")),
                None => break,
            },
            _ = ticks.tick() => {
                desk.pass(clock.tick(started.elapsed()))?;
                if end.is_some_and(|end| Instant::now() >= end) {
                    stop.cancel();
                }
            }
        }
    }
    // What is left of it are connections that are gone already.
    let _ = relays.await;
    desk.close()
}

/// Events that wait to be looked at; each holds at most 64 KiB.
const QUEUED: usize = 64;

/// Where everything that is seen is judged, shown and written.
struct Desk<'a> {
    rules: &'a [Rule],
    verbose: bool,
    monitor: Monitor,
    writer: Writer,
    record: Option<Record>,
    capture: Option<(PathBuf, Capture<BufWriter<File>>)>,
    /// Violations of the server and of the client.
    found: [u64; 2],
    /// The connections on which there were any.
    blamed: BTreeSet<String>,
}

struct Record {
    path: PathBuf,
    file: BufWriter<File>,
    left: usize,
}

impl<'a> Desk<'a> {
    fn open(
        options: &Tap,
        rules: &'a [Rule],
        to: SocketAddr,
        began: DateTime<Utc>,
    ) -> Result<Self, Complaint> {
        let head = Head {
            title: format!("tap of {to}"),
            source: Source::Tap,
            over: Transport::Plain,
            server: Some(to),
            began,
        };
        let record = options.record.as_deref();
        let capture = options.pcap.as_deref().map(|path| {
            let capture = Capture::new(create(path)?, Some(to), began);
            let capture = capture.map_err(|error| unwritable(path, &error))?;
            Ok((path.to_owned(), capture))
        });
        Ok(Self {
            rules,
            verbose: options.verbose,
            monitor: Monitor::new(Limits::scaled(options.time_scale.unwrap_or(1.0)), None),
            writer: Writer::default(),
            record: record.map(|path| Record::create(path, &head)).transpose()?,
            capture: capture.transpose()?,
            found: [0; 2],
            blamed: BTreeSet::new(),
        })
    }

    fn see(&mut self, clock: &FairClock, event: Event) -> Result<(), Complaint> {
        let Event {
            at,
            connection,
            what,
        } = event;
        let readable = !self.monitor.is_unread(&connection);
        self.monitor.see(clock.at(at), &connection, &what);
        if readable && self.monitor.is_unread(&connection) {
            self.say(&format!(
                "{:>9.3}  {connection}: TLS, not judged; let the tap see plain connections\n",
                at.as_secs_f64()
            ));
        }
        if self.record.is_some() || self.verbose {
            for entry in self.writer.write(at, &connection, &what) {
                if self.verbose && !self.monitor.is_unread(&connection) {
                    let step = crate::transcript::shortened(&entry.step);
                    let step = crate::notation::print_step(&step);
                    report::out(&format!("{:>9.3}  {step}\n", at.as_secs_f64()));
                }
                if let Some(record) = &mut self.record {
                    record.add(&format!("{entry}\n"))?;
                }
            }
        }
        if let Some((path, capture)) = &mut self.capture {
            let written = capture.event(at, &connection, &what, &[]);
            written.map_err(|error| unwritable(path, &error))?;
        }
        self.tell();
        Ok(())
    }

    fn pass(&mut self, now: Duration) -> Result<(), Complaint> {
        self.monitor.pass(now);
        self.tell();
        match &mut self.record {
            Some(record) => record.flush(),
            None => Ok(()),
        }
    }

    fn say(&self, text: &str) {
        report::out(text);
    }

    /// Shows what was found.
    fn tell(&mut self) {
        for violation in self.monitor.take() {
            self.found[usize::from(violation.side == Side::Client)] += 1;
            self.say(&shown(&violation, self.rules));
            self.blamed.insert(violation.connection);
        }
    }

    fn close(mut self) -> Result<u8, Complaint> {
        self.tell();
        if let Some(record) = &mut self.record {
            record.flush()?;
        }
        if let Some((path, capture)) = &mut self.capture {
            let flushed = capture.flush();
            flushed.map_err(|error| unwritable(path, &error))?;
        }
        self.say(&totals(
            "tap",
            &self.monitor,
            &self.found,
            self.blamed.len(),
        ));
        Ok(if self.found == [0; 2] {
            0
        } else {
            EXIT_FAILURE
        })
    }
}

/// The last lines, of what the judge has seen and found of server and client. The very last one counts connections:
/// those without and with a violation, and those that could not be read.
pub(super) fn totals(
    name: &str,
    monitor: &Monitor,
    [server, client]: &[u64; 2],
    blamed: usize,
) -> String {
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let (opened, unread) = (number(monitor.opened()), monitor.unread());
    let last = last_line(Totals {
        passed: opened.saturating_sub(unread + blamed),
        failed: blamed,
        skipped: unread,
    });
    let unread = match monitor.unread() {
        0 => String::new(),
        count => format!("{name}: {count} of the connections were TLS and are not judged\n"),
    };
    format!(
        "{unread}{name}: {}, {}, {} (server {server}, client {client})\n{last}",
        counted(monitor.opened(), "connection"),
        counted(monitor.messages(), "message"),
        counted(server + client, "violation"),
    )
}

/// Two lines: what was seen, and the rule.
pub(super) fn shown(violation: &Violation, rules: &[Rule]) -> String {
    let Violation {
        at,
        connection,
        side,
        rule,
        seen,
    } = violation;
    let found = rules.iter().find(|one| one.id == *rule);
    let (level, says) = match found {
        Some(rule) => (
            format!(" ({})", rule.level),
            format!(
                "{}\n           {}:{}",
                rule.text,
                crate::rules::FILE,
                rule.line
            ),
        ),
        None => (
            String::new(),
            format!(
                "What a sender sends is defined there\n           {}",
                grammar(rule)
            ),
        ),
    };
    format!(
        "{:>9.3}  {connection}: VIOLATION {side} {rule}{level}: {seen}\n           {says}\n",
        at.as_secs_f64()
    )
}

/// Where a production stands.
fn grammar(rule: &str) -> String {
    let name = rule.trim_start_matches("grammar: ");
    let mut lines = GRAMMAR.lines().zip(1..);
    let found = lines.find(|(line, _)| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    });
    let line = found.map_or(1, |(_, number)| number);
    format!("spec/v0.3/grammar.abnf:{line}")
}

const GRAMMAR: &str = include_str!("../../../spec/v0.3/grammar.abnf");

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl Record {
    fn create(path: &Path, head: &Head) -> Result<Self, Complaint> {
        let file = create(path)?;
        let mut record = Self {
            path: path.to_owned(),
            file,
            left: LONGEST,
        };
        record.add(&head.to_string())?;
        Ok(record)
    }

    /// Adds a line while there is room.
    fn add(&mut self, text: &str) -> Result<(), Complaint> {
        let Some(left) = self.left.checked_sub(text.len()) else {
            if self.left > 0 {
                self.left = 0;
                let full = LONGEST >> 20;
                report::out(&format!(
                    "tap: {} is full, {full} MiB; what follows is judged and not recorded\n",
                    self.path.display()
                ));
            }
            return Ok(());
        };
        self.left = left;
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|error| unwritable(&self.path, &error))
    }

    fn flush(&mut self) -> Result<(), Complaint> {
        let flushed = self.file.flush();
        flushed.map_err(|error| unwritable(&self.path, &error))
    }
}

/// A file that only its owner reads, because it holds passwords.
fn create(path: &Path) -> Result<BufWriter<File>, Complaint> {
    let mut open = OpenOptions::new();
    let open = open.write(true).create(true).truncate(true).mode(0o600);
    let file = open.open(path).map_err(|error| {
        let message = format!("cannot write {}: {error}", path.display());
        Complaint::new(EXIT_USAGE, message).hint("name a file in a folder that you may write to")
    })?;
    Ok(BufWriter::new(file))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Complaint {
    let message = format!("cannot write {}: {error}", path.display());
    Complaint::new(EXIT_HARNESS, message)
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a time such as 90s, 15m or 2h".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return Err(wrong()),
    };
    let number: u32 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    if number == 0 {
        return Err(wrong());
    }
    Ok(Duration::from_secs(u64::from(number) * seconds))
}
