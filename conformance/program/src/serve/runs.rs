//! The runs that are shown: the JSON reports of a folder, and the plays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use std::{fs, io};

use netroxy_specification::rules::Rule;

use crate::report::Report;
use crate::report::model::{CaseResult, RuleEntry, Standing};

/// A run, named by its file.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) name: String,
    /// The report, or why it cannot be read.
    pub(super) report: Result<Arc<Report>, String>,
}

/// The reports of a folder. An unchanged file is not read again.
#[derive(Debug)]
pub(super) struct Reports {
    folder: PathBuf,
    rules: Arc<[Rule]>,
    known: Mutex<BTreeMap<String, (Stamp, Run)>>,
}

/// When a file was changed last, and how long it is.
type Stamp = (Option<SystemTime>, u64);

impl Reports {
    pub(super) fn new(folder: &Path, rules: Arc<[Rule]>) -> Self {
        Self {
            folder: folder.to_owned(),
            rules,
            known: Mutex::default(),
        }
    }

    /// All reports, sorted by name.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn all(&self) -> io::Result<Vec<Run>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = BTreeMap::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .map(str::to_owned);
            let Some(name) = name.filter(|name| name.ends_with(".json")) else {
                continue;
            };
            // The file may have been removed since.
            let Ok(data) = fs::metadata(&path) else {
                continue;
            };
            if !data.is_file() {
                continue;
            }
            let stamp = (data.modified().ok(), data.len());
            let run = match known.remove(&name) {
                Some((then, run)) if then == stamp => run,
                _ => self.read(&name, &path),
            };
            now.insert(name, (stamp, run));
        }
        *known = now;
        Ok(known.values().map(|(_, run)| run.clone()).collect())
    }

    fn read(&self, name: &str, path: &Path) -> Run {
        let report = Report::load(&path.to_string_lossy(), &self.rules);
        Run {
            name: name.to_owned(),
            report: report.map(Arc::new).map_err(|error| error.to_string()),
        }
    }
}

/// Runs, the latest first.
#[derive(Debug)]
pub(super) struct Runs(pub(super) Vec<Run>);

/// A result, and where it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) run: &'a str,
    pub(super) report: &'a Report,
    /// The index in the results of its run.
    pub(super) index: usize,
    pub(super) result: &'a CaseResult,
}

impl Runs {
    pub(super) fn new(mut runs: Vec<Run>) -> Self {
        // Reports that cannot be read come last.
        let began = |run: &Run| {
            run.report
                .as_ref()
                .map(|report| report.started.clone())
                .unwrap_or_default()
        };
        runs.sort_by(|one, other| (began(other), &other.name).cmp(&(began(one), &one.name)));
        Self(runs)
    }

    /// The reports that can be read.
    pub(super) fn reports(&self) -> impl Iterator<Item = (&str, &Report)> {
        let read = |run: &'_ Run| run.report.is_ok();
        self.0
            .iter()
            .filter(move |run| read(run))
            .filter_map(|run| {
                let report = run.report.as_deref().ok()?;
                Some((run.name.as_str(), report))
            })
    }

    pub(super) fn named(&self, name: &str) -> Option<&Run> {
        self.0.iter().find(|run| run.name == name)
    }

    /// Each subject with the latest run in which it was judged.
    pub(super) fn latest(&self) -> Vec<(&str, &str)> {
        let mut latest: Vec<(&str, &str)> = Vec::new();
        for (run, report) in self.reports() {
            for subject in &report.subjects {
                if !latest.iter().any(|(known, _)| *known == subject.name) {
                    latest.push((&subject.name, run));
                }
            }
        }
        latest.sort_unstable();
        latest
    }

    /// The latest run that judged a rule with a subject, and the standing of the rule in it.
    pub(super) fn standing(&self, rule: &str, subject: &str) -> Option<(&str, Standing)> {
        self.reports()
            .find_map(|(run, report)| Some((run, standing(report, rule, subject)?)))
    }

    /// The results of a case in all runs.
    pub(super) fn of_case<'a>(&'a self, case: &'a str) -> impl Iterator<Item = Place<'a>> {
        self.reports().flat_map(move |(run, report)| {
            let results = report.results.iter().enumerate();
            let own = results.filter(move |(_, result)| result.case == case);
            own.map(move |(index, result)| Place {
                run,
                report,
                index,
                result,
            })
        })
    }

    /// The result at an [`address`](Place::address).
    pub(super) fn at(&self, address: &str) -> Option<Place<'_>> {
        let (run, index) = address.rsplit_once('/')?;
        let run = self.named(run)?;
        let (report, index) = (run.report.as_deref().ok()?, index.parse().ok()?);
        let result = report.results.get(index)?;
        Some(Place {
            run: &run.name,
            report,
            index,
            result,
        })
    }
}

impl Place<'_> {
    pub(super) fn address(&self) -> String {
        format!("{}/{}", self.run, self.index)
    }
}

/// The standing of a rule with a subject in a report.
fn standing(report: &Report, rule: &str, subject: &str) -> Option<Standing> {
    let named = |entry: &&RuleEntry| entry.id == rule;
    let entry = report.rules.iter().find(named)?;
    entry.standing.get(subject).copied()
}
