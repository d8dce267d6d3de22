//! Judges, shows and writes the events of a tap.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
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

use crate::cli::complaint::{Complaint, place_complaint};
use crate::cli::exit::{EXIT_FAILURE, EXIT_HARNESS, EXIT_USAGE};
use crate::cli::violations::Violations;
use crate::output::{Growing, Place, Readers, Stopped};
use crate::report;

/// How a tap judges and shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// Show each message.
    pub(super) verbose: bool,
    /// What every deadline is multiplied by.
    pub(super) time_scale: f64,
}

/// The files that a tap writes.
pub(super) struct Files {
    record: Option<Place>,
    capture: Option<Place>,
}

impl Files {
    /// Checks the paths before the tap starts. Both files hold passwords.
    pub(super) fn check(record: Option<&Path>, capture: Option<&Path>) -> Result<Self, Complaint> {
        let find = |path: Option<&Path>| {
            let place = path.map(|path| Place::find(path, Readers::Owner));
            place.transpose().map_err(|error| place_complaint(&error))
        };
        let (record, capture) = (find(record)?, find(capture)?);
        if let (Some(Place::File(one, _)), Some(Place::File(other, _))) = (&record, &capture)
            && one == other
        {
            let message = format!("--record and --pcap both name {}", one.display());
            return Err(Complaint::new(EXIT_USAGE, message).hint("give them different paths"));
        }
        Ok(Self { record, capture })
    }
}

/// See the [module documentation](self).
pub(super) struct Observer<'a> {
    verbose: bool,
    monitor: Monitor,
    violations: Violations<'a>,
    writer: Writer,
    record: Option<Log>,
    capture: Option<(Log, Capture<Vec<u8>>)>,
    /// The backlogs of the open connections.
    backlogs: BTreeMap<String, Arc<Backlog>>,
    /// When the backlogs were checked last.
    looked: Duration,
    /// The last step that was shown, and how often it was repeated since.
    last: (String, u64),
    /// The text to print next.
    text: String,
}

/// A file that grows, and the word for one of its parts.
struct Log {
    file: Growing,
    part: &'static str,
    /// The text says already that the file has stopped.
    told: bool,
}

/// The longest capture, in bytes.
const LONGEST_CAPTURE: u64 = 1 << 30;

/// An event that comes so soon after a delay by the tap may have been held up by it.
const AFTER_DELAY: Duration = Duration::from_millis(50);

/// How often the backlogs of all connections are checked.
const LOOK: Duration = Duration::from_millis(10);

impl<'a> Observer<'a> {
    pub(super) fn open(
        settings: Settings,
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
            verbose: settings.verbose,
            monitor: Monitor::new(Limits::scaled(settings.time_scale), None),
            violations: Violations::new("tap", rules),
            writer: Writer::default(),
            record,
            capture: capture.transpose()?,
            backlogs: BTreeMap::new(),
            looked: Duration::ZERO,
            last: (String::new(), 0),
            text: String::new(),
        })
    }

    /// Judges, shows and writes an event.
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
            self.add_text(&format!(
                "{:>9.3}  {connection}: TLS, not judged; use connections without TLS\n",
                at.as_secs_f64()
            ));
        }
        if self.record.is_some() || self.verbose {
            let late = held_up > Duration::ZERO && held_up + AFTER_DELAY >= at;
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
            // Writing to a vector cannot fail.
            if written.is_ok() && (!packets.is_empty() || log.file.stopped().is_some()) {
                log.file.add(&packets);
            }
        }
        if what == netroxy_judge::recording::What::Gone {
            self.backlogs.remove(&connection);
        }
        self.tell();
    }

    /// Moves the clock of the monitor to now; all events before now have been seen.
    pub(super) fn pass(&mut self, now: Duration) {
        self.look(now);
        self.monitor.pass(now);
        self.tell();
    }

    /// Writes the buffers, so that little is lost if the program is killed.
    pub(super) fn flush(&mut self) {
        self.repeated();
        for log in self.logs() {
            log.file.flush();
        }
        self.tell();
    }

    /// Takes the text to print next.
    pub(super) fn take_text(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    pub(super) fn add_text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Finishes the files; `unseen` events were not judged. Returns the exit code.
    ///
    /// # Errors
    /// When a file is incomplete.
    pub(super) fn close(&mut self, unseen: usize) -> Result<u8, Complaint> {
        self.flush();
        if unseen > 0 {
            self.add_text(&format!(
                "tap: the last {unseen} events were neither judged nor recorded\n"
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
                "{} is incomplete: {why}; {missing} {}s are missing",
                log.file.name(),
                log.part
            );
            lines.push_str(&format!("tap: {text}\n"));
            // A file that has reached its documented limit is not an error.
            if !full {
                lost.get_or_insert(text);
            }
        }
        self.add_text(&lines);
        let summary = self.violations.summary(&self.monitor);
        self.add_text(&summary);
        self.add_text(&report::last_line(self.violations.totals(&self.monitor)));
        match lost {
            Some(text) => {
                Err(Complaint::new(EXIT_HARNESS, text).hint("check that the disk is not full"))
            }
            None if self.violations.is_empty() => Ok(0),
            None => Ok(EXIT_FAILURE),
        }
    }

    /// Tells the monitor until when the tap held up each connection, so that neither side is blamed for the delay.
    fn look(&mut self, now: Duration) {
        self.looked = now;
        for (connection, backlog) in &self.backlogs {
            let held_up = backlog.held_up();
            if held_up > Duration::ZERO {
                // The clock of the relay may be ahead of the events that were judged.
                self.monitor.hold(connection, held_up.min(now));
            }
        }
    }

    /// Shows a step; a repetition of the step before is only counted.
    fn show(&mut self, at: Duration, step: String) {
        if self.last.0 == step {
            self.last.1 += 1;
            return;
        }
        self.repeated();
        let line = format!("{:>9.3}  {step}\n", at.as_secs_f64());
        self.add_text(&line);
        self.last = (step, 0);
    }

    /// Shows how often the last step was repeated.
    fn repeated(&mut self) {
        let count = std::mem::take(&mut self.last.1);
        if count > 0 {
            self.add_text(&format!("           the same {count} times more\n"));
        }
    }

    /// Shows new violations, and files that have stopped.
    fn tell(&mut self) {
        for violation in self.monitor.take() {
            if let Some(text) = self.violations.note(violation) {
                self.text.push_str(&text);
            }
        }
        let mut lines = String::new();
        for log in self.logs() {
            if let (false, Some(Stopped { why, .. })) = (log.told, log.file.stopped()) {
                log.told = true;
                lines.push_str(&format!(
                    "tap: {} stops here: {why}; the tap continues to relay and judge\n",
                    log.file.name()
                ));
            }
        }
        self.text.push_str(&lines);
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

    fn observer() -> Observer<'static> {
        let settings = Settings {
            verbose: true,
            time_scale: 1.0,
        };
        let files = Files::check(None, None).unwrap();
        let to = SocketAddr::from(([127, 0, 0, 1], 1));
        Observer::open(settings, &[], &files, to, DateTime::UNIX_EPOCH).unwrap()
    }

    /// The text about an SRQ without an answer, with this backlog of the tap.
    fn said(backlog: Backlog) -> String {
        let mut observer = observer();
        let (clock, backlog) = (FairClock::start(), Arc::new(backlog));
        let bytes = |sender, text: &str| What::Bytes(sender, text.as_bytes().to_vec());
        for (at, what) in [
            (0, What::Open(Kind::Control(Transport::Plain))),
            (0, bytes(Sender::Opener, "ATH\na\nb\nc\n")),
            (0, bytes(Sender::Acceptor, "ARS\ntrue\n30\ntoken\n")),
            (1, bytes(Sender::Opener, "SRQ\n")),
        ] {
            observer.see(
                &clock,
                Event {
                    at: Duration::from_secs(at),
                    connection: "c1".to_owned(),
                    what,
                    backlog: Arc::clone(&backlog),
                },
            );
        }
        observer.pass(Duration::from_secs(5));
        observer.take_text()
    }

    #[test]
    fn a_delay_by_the_tap_is_not_a_violation() {
        let ago = Instant::now().checked_sub(Duration::from_secs(9)).unwrap();
        let idle = said(Backlog::new(ago));
        assert!(idle.contains("VIOLATION server keep.srs"), "{idle}");
        assert!(idle.contains("> SRQ\n"), "{idle}");
        let behind = said(Backlog::waiting(ago));
        assert!(!behind.contains("VIOLATION"), "{behind}");
        // The comment also goes into a recording.
        assert!(
            behind.contains("> SRQ") && behind.contains("# held up by the tap"),
            "{behind}"
        );
    }

    #[test]
    fn a_repeated_step_is_counted() {
        let mut observer = observer();
        for step in ["c1 > SRQ", "c1 > SRQ", "c1 > SRQ", "c1 < SRS"] {
            observer.show(Duration::from_secs(1), step.to_owned());
        }
        let lines = [
            "    1.000  c1 > SRQ\n",
            "           the same 2 times more\n",
            "    1.000  c1 < SRS\n",
        ];
        assert_eq!(observer.take_text(), lines.concat());
    }
}
