//! The output of a run: lines, and on a terminal a line of progress.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::ColorChoice;
use netroxy_judge::run::InPlay;
use tokio::task::JoinHandle;

use super::terminal::{LOOK, QUIET, is_coloured, is_dumb};

/// Which results are shown, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Also plain passes.
    pub(crate) verbose: bool,
    /// Only failures and the last line.
    pub(crate) quiet: bool,
    pub(crate) colour: ColorChoice,
    /// How many of the slowest cases are named at the end.
    pub(crate) slowest: usize,
    /// The text goes to standard error, because standard output holds a report.
    pub(crate) to_stderr: bool,
}

/// The output of a run.
#[derive(Debug)]
pub(super) struct Live {
    screen: Arc<Mutex<Screen>>,
    ticker: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Screen {
    to_stderr: bool,
    colour: bool,
    /// Whether it is a terminal that can rewrite a line.
    redraws: bool,
    begun: Instant,
    /// The time of the last output.
    written: Instant,
    in_play: InPlay,
    progress: Progress,
}

/// The progress of a run.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    done: usize,
    failed: usize,
    /// 0 while nothing has been planned.
    planned: usize,
}

impl Live {
    /// The output with these options.
    pub(super) fn new(look: Look, in_play: InPlay) -> Self {
        let terminal = match look.to_stderr {
            true => io::stderr().is_terminal(),
            false => io::stdout().is_terminal(),
        };
        let dumb = is_dumb();
        let screen = Screen {
            to_stderr: look.to_stderr,
            colour: is_coloured(look.colour, terminal, dumb),
            redraws: terminal && !dumb && !look.quiet,
            begun: Instant::now(),
            written: Instant::now(),
            in_play,
            progress: Progress::default(),
        };
        let redraws = screen.redraws;
        let screen = Arc::new(Mutex::new(screen));
        let ticker = match (redraws, look.quiet) {
            (true, _) => Some(tokio::spawn(redraw(Arc::clone(&screen)))),
            (false, false) => Some(tokio::spawn(report_progress(Arc::clone(&screen)))),
            (false, true) => None,
        };
        Self { screen, ticker }
    }

    pub(super) fn colour(&self) -> bool {
        lock(&self.screen).colour
    }

    /// Adds planned cases.
    pub(super) fn plan(&self, cases: usize) {
        lock(&self.screen).progress.planned += cases;
    }

    /// Counts a case that has ended, and prints its lines.
    pub(super) fn done(&self, failed: bool, lines: &str) {
        let mut screen = lock(&self.screen);
        screen.progress.done += 1;
        screen.progress.failed += usize::from(failed);
        screen.show(lines);
    }

    /// Prints lines.
    pub(super) fn print(&self, lines: &str) {
        lock(&self.screen).show(lines);
    }

    /// Prints the last lines, and ends the progress.
    pub(super) fn end(self, lines: &str) {
        if let Some(ticker) = &self.ticker {
            ticker.abort();
        }
        let mut screen = lock(&self.screen);
        screen.progress.planned = 0;
        screen.show(lines);
    }
}

impl Screen {
    fn show(&mut self, lines: &str) {
        if !lines.is_empty() {
            self.written = Instant::now();
        }
        match self.redraws {
            true => self.write(&format!("\r\x1b[K{lines}{}", self.status())),
            false if lines.is_empty() => {}
            false => self.write(lines),
        }
    }

    /// The line of progress, cut to the width of the terminal.
    fn status(&self) -> String {
        if self.progress.planned == 0 {
            return String::new();
        }
        let line = self
            .progress
            .line(self.begun.elapsed(), self.in_play.longest());
        let columns = match self.to_stderr {
            true => rustix::termios::tcgetwinsize(io::stderr()),
            false => rustix::termios::tcgetwinsize(io::stdout()),
        };
        let columns = columns.map_or(80, |size| usize::from(size.ws_col));
        // Some terminals wrap when the last column is written.
        line.chars().take(columns.saturating_sub(1)).collect()
    }

    fn write(&self, text: &str) {
        match self.to_stderr {
            // If standard error cannot be written, the run continues.
            true => drop(io::stderr().lock().write_all(text.as_bytes())),
            false => crate::output::out(text),
        }
    }
}

impl Progress {
    fn line(self, elapsed: Duration, longest: Option<(String, Duration)>) -> String {
        let Self {
            done,
            failed,
            planned,
        } = self;
        let mut line = format!(
            "    {done}/{planned}  {failed} failed  {} s",
            elapsed.as_secs()
        );
        if let Some((name, time)) = longest {
            let _ = write!(line, "  slowest {} s: {name}", time.as_secs());
        }
        line
    }
}

/// Redraws the line of progress.
async fn redraw(screen: Arc<Mutex<Screen>>) {
    let mut clock = tokio::time::interval(Duration::from_millis(200));
    loop {
        clock.tick().await;
        lock(&screen).show("");
    }
}

/// Writes a line of progress to standard error whenever there was no output for [`QUIET`].
async fn report_progress(screen: Arc<Mutex<Screen>>) {
    let mut clock = tokio::time::interval(LOOK);
    loop {
        clock.tick().await;
        let mut screen = lock(&screen);
        if screen.written.elapsed() >= QUIET {
            screen.written = Instant::now();
            let elapsed = screen.begun.elapsed();
            let line = match screen.progress.planned {
                0 => format!("    not ready yet, {} s", elapsed.as_secs()),
                _ => screen.progress.line(elapsed, screen.in_play.longest()),
            };
            // If standard error cannot be written, the run continues.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
}

fn lock(screen: &Mutex<Screen>) -> MutexGuard<'_, Screen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_names_the_case_that_runs_for_longest() {
        let in_play = InPlay::default();
        let slow = in_play.begin("server/keepalive/expiry".into());
        let _other = in_play.begin("server/auth/login".into());
        let progress = Progress {
            done: 37,
            failed: 2,
            planned: 170,
        };
        let line = |longest: Option<(String, Duration)>| {
            progress.line(
                Duration::from_millis(12_345),
                longest.map(|(name, _)| (name, Duration::from_secs(4))),
            )
        };
        insta::assert_snapshot!(line(in_play.longest()), @"    37/170  2 failed  12 s  slowest 4 s: server/keepalive/expiry");
        drop(slow);
        insta::assert_snapshot!(line(in_play.longest()), @"    37/170  2 failed  12 s  slowest 4 s: server/auth/login");
        insta::assert_snapshot!(line(None), @"    37/170  2 failed  12 s");
    }
}
