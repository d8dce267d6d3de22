//! Signs of life of a command that has nothing to show for a while.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::live::is_dumb;
use crate::output::out;

/// Tells on standard error how far a command is: on a line that is rewritten where that is a terminal, else on a new
/// one whenever nothing has been said for about four seconds. Dropping it ends that. A quiet one only shows what is
/// asked for.
#[derive(Debug)]
pub(crate) struct Pulse {
    state: Arc<Mutex<State>>,
    /// None where it is quiet.
    ticker: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    name: &'static str,
    status: String,
    begun: Instant,
    said: Instant,
    rewrites: bool,
}

/// How long nothing may be said. A look comes each second, so that five seconds are kept.
pub(super) const QUIET: Duration = Duration::from_secs(4);

/// How often it is looked.
pub(super) const LOOK: Duration = Duration::from_secs(1);

impl Pulse {
    /// Of the command of this name.
    pub(crate) fn start(name: &'static str, quiet: bool) -> Self {
        let now = Instant::now();
        let state = Arc::new(Mutex::new(State {
            name,
            status: "getting ready".to_owned(),
            begun: now,
            said: now,
            rewrites: io::stderr().is_terminal() && !is_dumb(),
        }));
        let ticker = (!quiet).then(|| tokio::spawn(tick(Arc::clone(&state))));
        Self { state, ticker }
    }

    /// How far it is now.
    pub(crate) fn now(&self, status: String) {
        lock(&self.state).status = status;
    }

    /// Shows something on standard output that a quiet command leaves out.
    pub(crate) fn aside(&self, text: &str) {
        if self.ticker.is_some() {
            self.say(text);
        }
    }

    /// Shows something on standard output.
    pub(crate) fn say(&self, text: &str) {
        let mut state = lock(&self.state);
        if self.ticker.is_some() {
            state.clear();
        }
        out(text);
        state.said = Instant::now();
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        if let Some(ticker) = &self.ticker {
            ticker.abort();
            lock(&self.state).clear();
        }
    }
}

impl State {
    /// Where it cannot be written, somebody looks elsewhere.
    fn clear(&self) {
        if self.rewrites {
            let _ = io::stderr().lock().write_all(b"\r\x1b[K");
        }
    }

    /// What is to be written at this instant.
    fn due(&mut self, now: Instant) -> Option<String> {
        let took = now.saturating_duration_since(self.begun).as_secs();
        let line = format!("{}: {took} s, {}", self.name, self.status);
        if self.rewrites {
            // One line of a terminal, which is seldom narrower.
            let line: String = line.chars().take(79).collect();
            return Some(format!("\r\x1b[K{line}"));
        }
        if now.saturating_duration_since(self.said) < QUIET {
            return None;
        }
        self.said = now;
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
    use super::*;

    #[test]
    fn a_pipe_gets_a_line_whenever_nothing_was_said_for_a_while() {
        let begun = Instant::now();
        let mut state = State {
            name: "diff",
            status: "3 of 9 cases".to_owned(),
            begun,
            said: begun,
            rewrites: false,
        };
        let mut spoken = Vec::new();
        for second in 0..=12 {
            let line = state.due(begun + Duration::from_secs(second));
            spoken.extend(line.map(|line| (second, line)));
        }
        let line = |second: u64| (second, format!("diff: {second} s, 3 of 9 cases\n"));
        assert_eq!(spoken, [line(4), line(8), line(12)]);
        state.rewrites = true;
        let line = state.due(begun + Duration::from_secs(13)).unwrap();
        assert_eq!(line, "\r\x1b[Kdiff: 13 s, 3 of 9 cases");
    }
}
