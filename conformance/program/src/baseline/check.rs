//! Checks the entries of a baseline before results are compared with them.

use std::collections::BTreeSet;

use netroxy_judge::input::{InputError, Part, locate};
use netroxy_specification::nearest::nearest;
use netroxy_specification::position::position;
use netroxy_specification::rules::Rule;

use super::file::{Baseline, BaselineError};
use super::list::Entry;

impl Baseline {
    /// Checks that every entry names a run of `runs` once, and rules of `rules`, and has a reason.
    ///
    /// # Errors
    /// The first wrong entry.
    pub(crate) fn check(
        &self,
        runs: &BTreeSet<String>,
        rules: &[Rule],
    ) -> Result<(), BaselineError> {
        for (index, entry) in self.list.entries.iter().enumerate() {
            self.run(index, entry, runs)?;
            self.rules(index, entry, rules)?;
            if entry.why.trim().is_empty() {
                let message = format!("the reason why `{}` fails is missing", entry.run);
                let hint =
                    "`baseline write` leaves it empty for new failures: write the reason there";
                return Err(self.entry_wrong(index, "why", &message, hint));
            }
        }
        Ok(())
    }

    /// An error about the value at `path`.
    pub(crate) fn wrong(&self, path: &[Part<'_>], message: &str, hint: &str) -> BaselineError {
        let mut name = String::new();
        for part in path {
            match part {
                Part::Key(key) if name.is_empty() => name.push_str(key),
                Part::Key(key) => name.push_str(&format!(".{key}")),
                Part::Index(index) => name.push_str(&format!("[{index}]")),
            }
        }
        InputError {
            file: self.file.clone(),
            position: locate(&self.text, path).map(|at| position(&self.text, at)),
            message: format!("{name}: {message}"),
            hint: Some(hint.to_owned()),
            missing: false,
        }
    }

    fn entry_wrong(&self, index: usize, key: &str, message: &str, hint: &str) -> BaselineError {
        let path = [Part::Key("entries"), Part::Index(index), Part::Key(key)];
        self.wrong(&path, message, hint)
    }

    fn run(
        &self,
        index: usize,
        entry: &Entry,
        runs: &BTreeSet<String>,
    ) -> Result<(), BaselineError> {
        let run = &entry.run;
        if !runs.contains(run) {
            let message = format!("no case of this role is called `{run}`");
            let hint = nearest(run, runs.iter().map(String::as_str)).unwrap_or_else(|| {
                "`netroxy-conformance list cases` shows them all; add @tls for a run over TLS"
                    .to_owned()
            });
            return Err(self.entry_wrong(index, "run", &message, &hint));
        }
        let mut before = self.list.entries[..index].iter();
        let twice = before.any(|one| one.run == *run && !(one.sometimes && entry.sometimes));
        if twice {
            let message = format!("`{run}` is listed twice");
            let hint = "remove one of the entries, or mark each as `sometimes`";
            return Err(self.entry_wrong(index, "run", &message, hint));
        }
        Ok(())
    }

    fn rules(&self, index: usize, entry: &Entry, rules: &[Rule]) -> Result<(), BaselineError> {
        for (place, id) in entry.seen.rules.iter().enumerate() {
            if rules.iter().any(|rule| rule.id == *id) {
                continue;
            }
            let hint = nearest(id, rules.iter().map(|rule| rule.id.as_str()))
                .unwrap_or_else(|| "`netroxy-conformance list rules` shows them all".to_owned());
            let path = [
                Part::Key("entries"),
                Part::Index(index),
                Part::Key("rules"),
                Part::Index(place),
            ];
            return Err(self.wrong(&path, &format!("there is no rule `{id}`"), &hint));
        }
        Ok(())
    }
}
