//! The progress of commands that print nothing for a long time.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::task::JoinHandle;

use super::terminal::{LOOK, QUIET, is_dumb};
use crate::output::out;

/// Shows the progress of a command on standard error: on a terminal in one line that is rewritten, else in a new line
/// whenever there was no output for about four seconds. Dropping it ends this. With `--quiet` it shows no progress.
#[derive(Debug)]
pub(crate) struct StatusLine {
    state: Arc<Mutex<State>>,
    /// `None` with `--quiet`.
    ticker: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    name: &'static str,
    status: String,
    begun: Instant,
    last_output: Instant,
    rewrites: bool,
}

impl StatusLine {
    /// Starts the progress of the command of this name.
    pub(crate) fn start(name: &'static str, quiet: bool) -> Self {
        let now = Instant::now();
        let state = Arc::new(Mutex::new(State {
            name,
            status: "getting ready".to_owned(),
            begun: now,
            last_output: now,
            rewrites: io::stderr().is_terminal() && !is_dumb(),
        }));
        let ticker = (!quiet).then(|| tokio::spawn(tick(Arc::clone(&state))));
        Self { state, ticker }
    }

    /// Sets the text of the progress.
    pub(crate) fn set(&self, status: String) {
        lock(&self.state).status = status;
    }

    /// Prints a text to standard output, except with `--quiet`.
    pub(crate) fn print_unless_quiet(&self, text: &str) {
        if self.ticker.is_some() {
            self.print(text);
        }
    }

    /// Prints a text to standard output.
    pub(crate) fn print(&self, text: &str) {
        let mut state = lock(&self.state);
        if self.ticker.is_some() {
            state.clear();
        }
        out(text);
        state.last_output = Instant::now();
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        if let Some(ticker) = &self.ticker {
            ticker.abort();
            lock(&self.state).clear();
        }
    }
}

impl State {
    /// Clears the line of progress; errors are ignored.
    fn clear(&self) {
        if self.rewrites {
            let _ = io::stderr().lock().write_all(b"\r\x1b[K");
        }
    }

    /// The text to write to standard error now.
    fn due(&mut self, now: Instant) -> Option<String> {
        let took = now.saturating_duration_since(self.begun).as_secs();
        let line = format!("{}: {took} s, {}", self.name, self.status);
        if self.rewrites {
            // Terminals are seldom narrower than 80 columns.
            let line: String = line.chars().take(79).collect();
            return Some(format!("\r\x1b[K{line}"));
        }
        if now.saturating_duration_since(self.last_output) < QUIET {
            return None;
        }
        self.last_output = now;
        Some(format!("{line}\n"))
    }
}

async fn tick(state: Arc<Mutex<State>>) {
    let mut clock = tokio::time::interval(LOOK);
    loop {
        clock.tick().await;
        if let Some(line) = lock(&state).due(Instant::now()) {
            let _ = io::stderr().lock().write_all(line.as_bytes());
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_pipe_gets_a_line_after_four_seconds_without_output() {
        let begun = Instant::now();
        let mut state = State {
            name: "diff",
            status: "3 of 9 cases".to_owned(),
            begun,
            last_output: begun,
            rewrites: false,
        };
        let mut written = Vec::new();
        for second in 0..=12 {
            let line = state.due(begun + Duration::from_secs(second));
            written.extend(line.map(|line| (second, line)));
        }
        let line = |second: u64| (second, format!("diff: {second} s, 3 of 9 cases\n"));
        assert_eq!(written, [line(4), line(8), line(12)]);
        state.rewrites = true;
        let line = state.due(begun + Duration::from_secs(13)).unwrap();
        assert_eq!(line, "\r\x1b[Kdiff: 13 s, 3 of 9 cases");
    }
}
