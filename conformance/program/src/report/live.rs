//! What a run shows while it goes on: lines, and on a terminal one more that tells how far it is.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::ColorChoice;
use netroxy_judge::run::InPlay;
use tokio::task::JoinHandle;

use super::pulse::{LOOK, QUIET};

/// How results are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Plain passes too.
    pub(crate) verbose: bool,
    /// Nothing but failures and the last line.
    pub(crate) quiet: bool,
    pub(crate) colour: ColorChoice,
    /// How many of the slowest cases are named at the end.
    pub(crate) slowest: usize,
    /// Standard output belongs to a report.
    pub(crate) to_stderr: bool,
}

/// Where lines go.
#[derive(Debug)]
pub(super) struct Live {
    screen: Arc<Mutex<Screen>>,
    ticker: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Screen {
    to_stderr: bool,
    colour: bool,
    /// It is a terminal that can rewrite a line.
    redraws: bool,
    begun: Instant,
    /// When something was written last.
    said: Instant,
    in_play: InPlay,
    progress: Progress,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    done: usize,
    failed: usize,
    /// None while nothing has been planned.
    planned: usize,
}

impl Live {
    /// Lines for people who look in this way.
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
            said: Instant::now(),
            in_play,
            progress: Progress::default(),
        };
        let redraws = screen.redraws;
        let screen = Arc::new(Mutex::new(screen));
        let ticker = match (redraws, look.quiet) {
            (true, _) => Some(tokio::spawn(tick(Arc::clone(&screen)))),
            (false, false) => Some(tokio::spawn(murmur(Arc::clone(&screen)))),
            (false, true) => None,
        };
        Self { screen, ticker }
    }

    pub(super) fn colour(&self) -> bool {
        lock(&self.screen).colour
    }

    /// More cases are to come.
    pub(super) fn plan(&self, cases: usize) {
        lock(&self.screen).progress.planned += cases;
    }

    /// A case is done; its lines, if it has any.
    pub(super) fn done(&self, failed: bool, lines: &str) {
        let mut screen = lock(&self.screen);
        screen.progress.done += 1;
        screen.progress.failed += usize::from(failed);
        screen.show(lines);
    }

    /// Lines at any time.
    pub(super) fn print(&self, lines: &str) {
        lock(&self.screen).show(lines);
    }

    /// The last lines: there is no progress any more.
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
            self.said = Instant::now();
        }
        match self.redraws {
            true => self.write(&format!("\r\x1b[K{lines}{}", self.status())),
            false if lines.is_empty() => {}
            false => self.write(lines),
        }
    }

    /// The line that tells how far the run is; it fits on one line of the terminal.
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
        // The last column stays free: some terminals wrap as soon as it is written.
        line.chars().take(columns.saturating_sub(1)).collect()
    }

    fn write(&self, text: &str) {
        match self.to_stderr {
            // Where it cannot be written, nobody looks.
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

async fn tick(screen: Arc<Mutex<Screen>>) {
    let mut clock = tokio::time::interval(Duration::from_millis(200));
    loop {
        clock.tick().await;
        lock(&screen).show("");
    }
}

/// Where no line can be rewritten, standard error tells how far it is whenever nothing else has been said.
async fn murmur(screen: Arc<Mutex<Screen>>) {
    let mut clock = tokio::time::interval(LOOK);
    loop {
        clock.tick().await;
        let mut screen = lock(&screen);
        if screen.said.elapsed() >= QUIET {
            screen.said = Instant::now();
            let elapsed = screen.begun.elapsed();
            let line = match screen.progress.planned {
                0 => format!("    not ready yet, {} s", elapsed.as_secs()),
                _ => screen.progress.line(elapsed, screen.in_play.longest()),
            };
            // Where it cannot be written, the run goes on all the same.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
}

/// Whether standard output is to be coloured.
pub(crate) fn is_coloured_here(choice: ColorChoice) -> bool {
    is_coloured(choice, io::stdout().is_terminal(), is_dumb())
}

/// Whether the terminal shows nothing but text.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb")
}

fn is_coloured(choice: ColorChoice, terminal: bool, dumb: bool) -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => terminal && !dumb && !unwanted,
    }
}

fn lock(screen: &Mutex<Screen>) -> MutexGuard<'_, Screen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_names_the_case_that_has_been_played_for_longest() {
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
