//! Where everything that a tap sees is judged, shown and written.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use netroxy_judge::monitor::{Limits, Monitor};
use netroxy_judge::note::Note;
use netroxy_judge::pcap::Capture;
use netroxy_judge::recording::{Head, LONGEST, Source, Writer, last_line};
use netroxy_judge::tap::{Backlog, Event, FairClock};
use netroxy_specification::notation::ast::Transport;
use netroxy_specification::rules::Rule;

use super::Tap;
use crate::cli::violations::Violations;
use crate::cli::{Complaint, EXIT_FAILURE, EXIT_HARNESS, EXIT_USAGE, misplaced};
use crate::output::{Growing, Place, Readers, Stopped};

/// The files that a tap writes.
pub(super) struct Files {
    record: Option<Place>,
    capture: Option<Place>,
}

impl Files {
    /// Checks them before anything is seen. Both hold passwords.
    pub(super) fn check(options: &Tap) -> Result<Self, Complaint> {
        let find = |path: &Option<std::path::PathBuf>| {
            let place = path
                .as_deref()
                .map(|path| Place::find(path, Readers::Owner));
            place.transpose().map_err(|error| misplaced(&error))
        };
        let (record, capture) = (find(&options.record)?, find(&options.pcap)?);
        if let (Some(Place::File(one, _)), Some(Place::File(other, _))) = (&record, &capture)
            && one == other
        {
            let message = format!("--record and --pcap both name {}", one.display());
            return Err(Complaint::new(EXIT_USAGE, message).hint("give each a path of its own"));
        }
        Ok(Self { record, capture })
    }
}

/// See the [module documentation](self).
pub(super) struct Desk<'a> {
    verbose: bool,
    monitor: Monitor,
    violations: Violations<'a>,
    writer: Writer,
    record: Option<Log>,
    capture: Option<(Log, Capture<Vec<u8>>)>,
    /// Of the connections that are open.
    backlogs: BTreeMap<String, Arc<Backlog>>,
    /// When all of them were looked at.
    looked: Duration,
    /// The last line that was shown, and how often it has come since.
    last: (String, u64),
    /// What is to be said.
    said: String,
}

/// A file that grows, and what one of its parts is called.
struct Log {
    file: Growing,
    part: &'static str,
    /// That it has stopped was said.
    told: bool,
}

/// The longest capture, in bytes.
const LONGEST_CAPTURE: u64 = 1 << 30;

/// What comes so soon after the tap was behind may have waited for it.
const WORTH_A_WORD: Duration = Duration::from_millis(50);

/// How often all connections are looked at.
const LOOK: Duration = Duration::from_millis(10);

impl<'a> Desk<'a> {
    pub(super) fn open(
        options: &Tap,
        rules: &'a [Rule],
        files: &Files,
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
        let longest = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        let begin = |place: &Place, limit, part| {
            let file = Growing::begin(place, limit).map_err(|error| {
                let message = format!("cannot write {}: {error}", place.name());
                Complaint::new(EXIT_USAGE, message)
                    .hint("name a file in a folder that you may write to")
            });
            file.map(|file| Log {
                file,
                part,
                told: false,
            })
        };
        let record = files.record.as_ref();
        let record = record.map(|place| begin(place, longest, "step"));
        let mut record = record.transpose()?;
        if let Some(log) = &mut record {
            log.file.add(head.to_string().as_bytes());
        }
        let capture = files.capture.as_ref().map(|place| {
            let mut log = begin(place, LONGEST_CAPTURE, "event")?;
            let capture = Capture::new(Vec::new(), Some(to), began);
            let mut capture =
                capture.map_err(|error| Complaint::new(EXIT_HARNESS, error.to_string()))?;
            log.file.add(&capture.take());
            Ok((log, capture))
        });
        Ok(Self {
            verbose: options.verbose,
            monitor: Monitor::new(Limits::scaled(options.time_scale.unwrap_or(1.0)), None),
            violations: Violations::new("tap", rules),
            writer: Writer::default(),
            record,
            capture: capture.transpose()?,
            backlogs: BTreeMap::new(),
            looked: Duration::ZERO,
            last: (String::new(), 0),
            said: String::new(),
        })
    }

    /// Something has happened.
    pub(super) fn see(&mut self, clock: &FairClock, event: Event) {
        let Event {
            at,
            connection,
            what,
            backlog,
        } = event;
        let now = clock.at(at);
        let held_up = backlog.held_up();
        self.backlogs.insert(connection.clone(), backlog);
        if now >= self.looked + LOOK {
            self.look(now);
        } else if held_up > Duration::ZERO {
            self.monitor.hold(&connection, held_up.min(now));
        }
        let readable = !self.monitor.is_unread(&connection);
        self.monitor.see(now, &connection, &what);
        if readable && self.monitor.is_unread(&connection) {
            self.say(&format!(
                "{:>9.3}  {connection}: TLS, not judged; let the tap see plain connections\n",
                at.as_secs_f64()
            ));
        }
        if self.record.is_some() || self.verbose {
            let late = held_up > Duration::ZERO && held_up + WORTH_A_WORD >= at;
            for mut entry in self.writer.write(at, &connection, &what) {
                if late && entry.step.comment.is_none() {
                    entry.step.comment = Some(Note::HeldUp.to_string());
                }
                if self.verbose && !self.monitor.is_unread(&connection) {
                    let step = netroxy_judge::transcript::shortened(&entry.step);
                    self.show(at, netroxy_specification::notation::print_step(&step));
                }
                if let Some(record) = &mut self.record {
                    record.file.add(format!("{entry}\n").as_bytes());
                }
            }
        }
        if let Some((log, capture)) = &mut self.capture {
            let written = match log.file.stopped() {
                None => capture.event(at, &connection, &what, &[]),
                Some(_) => Ok(()),
            };
            let packets = capture.take();
            // A vector takes all that it is given.
            if written.is_ok() && (!packets.is_empty() || log.file.stopped().is_some()) {
                log.file.add(&packets);
            }
        }
        if what == netroxy_judge::recording::What::Gone {
            self.backlogs.remove(&connection);
        }
        self.tell();
    }

    /// Time has passed, and nothing has happened that was not seen.
    pub(super) fn pass(&mut self, now: Duration) {
        self.look(now);
        self.monitor.pass(now);
        self.tell();
    }

    /// Writes what is in buffers, so that files are nearly whole whatever ends the program.
    pub(super) fn flush(&mut self) {
        self.repeated();
        for log in self.logs() {
            log.file.flush();
        }
        self.tell();
    }

    /// What is to be said now.
    pub(super) fn said(&mut self) -> String {
        std::mem::take(&mut self.said)
    }

    pub(super) fn say(&mut self, text: &str) {
        self.said.push_str(text);
    }

    /// The end; `unseen` events are not judged any more. Returns the exit code.
    ///
    /// # Errors
    /// When a file is not whole.
    pub(super) fn close(&mut self, unseen: usize) -> Result<u8, Complaint> {
        self.flush();
        if unseen > 0 {
            self.say(&format!(
                "tap: {unseen} events of the end were neither judged nor written down\n"
            ));
        }
        if let Some(Log { file, .. }) = &mut self.record {
            file.finish(|parts, stopped| {
                let missing = stopped.map(|stopped| (stopped.missing, stopped.why.as_str()));
                // The header is a part too.
                last_line(parts.saturating_sub(1), missing)
            });
        }
        if let Some((Log { file, .. }, _)) = &mut self.capture {
            file.finish(|_, _| String::new());
        }
        self.tell();
        let mut lost = None;
        let mut lines = String::new();
        for log in self.logs() {
            let Some(Stopped { why, missing, full }) = log.file.stopped() else {
                continue;
            };
            let text = format!(
                "{} is not whole: {why}; {missing} {}s are missing",
                log.file.name(),
                log.part
            );
            lines.push_str(&format!("tap: {text}\n"));
            // That it is long enough is as documented.
            if !full {
                lost.get_or_insert(text);
            }
        }
        self.say(&lines);
        let totals = self.violations.totals(&self.monitor);
        self.say(&totals);
        match lost {
            Some(text) => Err(Complaint::new(EXIT_HARNESS, text).hint("is the disk full?")),
            None if self.violations.is_empty() => Ok(0),
            None => Ok(EXIT_FAILURE),
        }
    }

    /// What this program holds up itself is nobody's fault.
    fn look(&mut self, now: Duration) {
        self.looked = now;
        for (connection, backlog) in &self.backlogs {
            let held_up = backlog.held_up();
            if held_up > Duration::ZERO {
                // Its clock may be ahead of what has been looked at.
                self.monitor.hold(connection, held_up.min(now));
            }
        }
    }

    /// Shows a step; one that is like the one before is counted.
    fn show(&mut self, at: Duration, step: String) {
        if self.last.0 == step {
            self.last.1 += 1;
            return;
        }
        self.repeated();
        let line = format!("{:>9.3}  {step}\n", at.as_secs_f64());
        self.say(&line);
        self.last = (step, 0);
    }

    /// Tells how often the last step has come again.
    fn repeated(&mut self) {
        let count = std::mem::take(&mut self.last.1);
        if count > 0 {
            self.say(&format!("           the same {count} times more\n"));
        }
    }

    /// Shows what was found, and that a file has stopped.
    fn tell(&mut self) {
        for violation in self.monitor.take() {
            if let Some(text) = self.violations.note(violation) {
                self.said.push_str(&text);
            }
        }
        let mut lines = String::new();
        for log in self.logs() {
            if let (false, Some(Stopped { why, .. })) = (log.told, log.file.stopped()) {
                log.told = true;
                lines.push_str(&format!(
                    "tap: {} stops here: {why}; what follows is carried and judged, and is not in it\n",
                    log.file.name()
                ));
            }
        }
        self.said.push_str(&lines);
    }

    fn logs(&mut self) -> impl Iterator<Item = &mut Log> {
        let capture = self.capture.as_mut().map(|(log, _)| log);
        self.record.iter_mut().chain(capture)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use netroxy_judge::recording::{Kind, Sender, What};

    use super::*;

    fn desk() -> Desk<'static> {
        let options = Tap {
            listen: String::new(),
            to: String::new(),
            record: None,
            pcap: None,
            lasting: None,
            time_scale: None,
            verbose: true,
        };
        let files = Files::check(&options).unwrap();
        let to = SocketAddr::from(([127, 0, 0, 1], 1));
        Desk::open(&options, &[], &files, to, DateTime::UNIX_EPOCH).unwrap()
    }

    /// What is said of an SRQ without an answer, when the tap was behind, or was not.
    fn said(backlog: Backlog) -> String {
        let mut desk = desk();
        let (clock, backlog) = (FairClock::start(), Arc::new(backlog));
        let bytes = |sender, text: &str| What::Bytes(sender, text.as_bytes().to_vec());
        for (at, what) in [
            (0, What::Open(Kind::Control(Transport::Plain))),
            (0, bytes(Sender::Opener, "ATH\na\nb\nc\n")),
            (0, bytes(Sender::Acceptor, "ARS\ntrue\n30\ntoken\n")),
            (1, bytes(Sender::Opener, "SRQ\n")),
        ] {
            desk.see(
                &clock,
                Event {
                    at: Duration::from_secs(at),
                    connection: "c1".to_owned(),
                    what,
                    backlog: Arc::clone(&backlog),
                },
            );
        }
        desk.pass(Duration::from_secs(5));
        desk.said()
    }

    #[test]
    fn what_the_tap_holds_up_is_blamed_on_nobody() {
        let ago = Instant::now().checked_sub(Duration::from_secs(9)).unwrap();
        let idle = said(Backlog::new(ago));
        assert!(idle.contains("VIOLATION server keep.srs"), "{idle}");
        assert!(idle.contains("> SRQ\n"), "{idle}");
        let behind = said(Backlog::waiting(ago));
        assert!(!behind.contains("VIOLATION"), "{behind}");
        // So that a recording says it too.
        assert!(
            behind.contains("> SRQ") && behind.contains("# held up by the tap"),
            "{behind}"
        );
    }

    #[test]
    fn what_is_said_again_and_again_is_counted() {
        let mut desk = desk();
        for step in ["c1 > SRQ", "c1 > SRQ", "c1 > SRQ", "c1 < SRS"] {
            desk.show(Duration::from_secs(1), step.to_owned());
        }
        let lines = [
            "    1.000  c1 > SRQ\n",
            "           the same 2 times more\n",
            "    1.000  c1 < SRS\n",
        ];
        assert_eq!(desk.said(), lines.concat());
    }
}
