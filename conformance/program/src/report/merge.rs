//! Merges the reports of the parts of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::model::{Ended, Report, RuleEntry, ShardEntry, SubjectEntry, Totals};

/// Reports that are not the parts of one run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct NotOneRun {
    message: String,
    /// The next step.
    pub(crate) hint: &'static str,
}

/// Merges the reports of all parts, each with the name of its file. The verdicts are those of the whole run. Its time
/// is that of the longest part.
///
/// # Errors
/// When the parts are of different runs, or a part is missing or given twice.
pub(crate) fn merge(mut parts: Vec<(String, Report)>) -> Result<Report, NotOneRun> {
    let shards = shards(&parts)?;
    for other in &parts[1..] {
        same(&parts[0], other)?;
    }
    whole(&parts, &shards)?;
    let planned = shards.first().map_or(0, |shard| shard.planned);
    // The result must not depend on the order of the files.
    parts.sort_by_key(|(_, part)| part.shard.as_ref().map(|shard| shard.number));
    let mut reports = parts.into_iter().map(|(_, report)| report);
    let Some(mut merged) = reports.next() else {
        return Err(nothing());
    };
    merged.shard = None;
    merged.planned = planned;
    let mut results = std::mem::take(&mut merged.results);
    (merged.totals, merged.verdicts) = (Totals::default(), BTreeMap::new());
    for part in reports {
        merged.jobs = merged.jobs.max(part.jobs);
        merged.started = merged.started.min(part.started);
        merged.seconds = merged.seconds.max(part.seconds);
        merged.retried += part.retried;
        merged.longest_stall = merged.longest_stall.max(part.longest_stall);
        if rank(part.ended) > rank(merged.ended) {
            merged.ended = part.ended;
        }
        merged.not_ready = merged.not_ready.or(part.not_ready);
        subjects(&mut merged.subjects, part.subjects);
        rules(&mut merged.rules, part.rules);
        results.extend(part.results);
    }
    results.into_iter().for_each(|result| merged.add(result));
    merged.settle();
    Ok(merged)
}

/// The part that each report is of.
fn shards(parts: &[(String, Report)]) -> Result<Vec<ShardEntry>, NotOneRun> {
    if parts.is_empty() {
        return Err(nothing());
    }
    let shard = |(file, part): &(String, Report)| {
        part.shard.clone().ok_or_else(|| NotOneRun {
            message: format!("{file} is the report of a whole run"),
            hint: "only the reports of `run --shard K/N` can be merged",
        })
    };
    parts.iter().map(shard).collect()
}

/// Checks that two parts are of one run: the same program, options, subjects and cases.
fn same(one: &(String, Report), other: &(String, Report)) -> Result<(), NotOneRun> {
    let ((first, one), (second, other)) = (one, other);
    let differ = |what: &str, one: &dyn fmt::Display, other: &dyn fmt::Display| NotOneRun {
        message: format!(
            "{first} and {second} are of different runs: {what} {one}, and {what} {other}"
        ),
        hint: "run every part with the same program and the same arguments, except --shard",
    };
    let seed = |report: &Report| report.seed.clone().unwrap_or_else(|| "none".to_owned());
    for (what, one, other) in [
        ("version", one.version.clone(), other.version.clone()),
        ("spec", one.spec.to_owned(), other.spec.to_owned()),
        ("profile", one.profile.to_owned(), other.profile.to_owned()),
        ("strict", one.strict.to_string(), other.strict.to_string()),
        ("repeat", one.repeat.to_string(), other.repeat.to_string()),
        ("seed", seed(one), seed(other)),
        (
            "time scale",
            one.time_scale.to_string(),
            other.time_scale.to_string(),
        ),
    ] {
        if one != other {
            return Err(differ(what, &one, &other));
        }
    }
    // A report does not list a subject that never became ready.
    let mut pairs = one.subjects.iter().zip(&other.subjects);
    if let Some((one, other)) = pairs.find(|(one, other)| !alike(one, other)) {
        return Err(differ("subject", &called(one), &called(other)));
    }
    let of = |report: &Report| report.shard.as_ref().map_or(0, |shard| shard.of);
    if of(one) != of(other) {
        return Err(differ("parts", &of(one), &of(other)));
    }
    let plan = |report: &Report| {
        let shard = report.shard.as_ref();
        shard.map(|shard| (shard.plan.clone(), shard.planned))
    };
    match plan(one) == plan(other) {
        true => Ok(()),
        false => Err(NotOneRun {
            message: format!(
                "{first} and {second} are of different runs: their cases are not the same"
            ),
            hint: "the selection, a case file, --still, --baseline or the manifest differs",
        }),
    }
}

fn alike(one: &SubjectEntry, other: &SubjectEntry) -> bool {
    let key = |subject: &SubjectEntry| {
        let SubjectEntry {
            name,
            role,
            arguments,
            ..
        } = subject;
        (name.clone(), role.clone(), arguments.clone())
    };
    key(one) == key(other) && one.programs == other.programs
}

fn called(subject: &SubjectEntry) -> String {
    let runs: Vec<&str> = subject
        .programs
        .iter()
        .map(|one| one.runs.as_str())
        .collect();
    format!("{} {} ({})", subject.role, subject.name, runs.join("; "))
}

/// Checks that every part and every result is present once.
fn whole(parts: &[(String, Report)], shards: &[ShardEntry]) -> Result<(), NotOneRun> {
    let mut files: BTreeMap<u16, &str> = BTreeMap::new();
    for ((file, _), shard) in parts.iter().zip(shards) {
        let (number, of) = (shard.number, shard.of);
        if !(1..=of).contains(&number) {
            return Err(NotOneRun {
                message: format!("{file}: there is no part {number}/{of}"),
                hint: "leave the report as it was written",
            });
        }
        if let Some(other) = files.insert(number, file) {
            return Err(NotOneRun {
                message: format!("{other} and {file} are both part {number}/{of}"),
                hint: "name each part once",
            });
        }
    }
    let of = shards.first().map_or(0, |shard| shard.of);
    let missing = (1..=of).filter(|number| !files.contains_key(number));
    let missing: Vec<String> = missing.map(|number| format!("{number}/{of}")).collect();
    if !missing.is_empty() {
        return Err(NotOneRun {
            message: format!("parts are missing: {}", missing.join(", ")),
            hint: "name the reports of all parts; a part that could not run has no report",
        });
    }
    let mut seen = BTreeSet::new();
    for (file, part) in parts {
        for result in &part.results {
            if !seen.insert((&result.subject, &result.id)) {
                return Err(NotOneRun {
                    message: format!(
                        "{file} judges {} of {}, and so does another part",
                        result.id, result.subject
                    ),
                    hint: "leave the reports as they were written",
                });
            }
        }
    }
    let planned = shards.first().map_or(0, |shard| shard.planned);
    let complete = parts.iter().all(|(_, part)| part.ended == Ended::Complete);
    match complete && seen.len() != planned {
        true => Err(NotOneRun {
            message: format!(
                "the parts have {} results, but {planned} were planned",
                seen.len()
            ),
            hint: "leave the reports as they were written",
        }),
        false => Ok(()),
    }
}

fn nothing() -> NotOneRun {
    NotOneRun {
        message: "there is nothing to merge".to_owned(),
        hint: "name the reports of all parts",
    }
}

fn subjects(merged: &mut Vec<SubjectEntry>, part: Vec<SubjectEntry>) {
    for subject in part {
        match merged.iter_mut().find(|known| known.name == subject.name) {
            Some(known) => {
                known.planned += subject.planned;
                known.ready_seconds = known.ready_seconds.max(subject.ready_seconds);
                known.deadline_seconds = known.deadline_seconds.max(subject.deadline_seconds);
            }
            None => merged.push(subject),
        }
    }
}

fn rules(merged: &mut Vec<RuleEntry>, part: Vec<RuleEntry>) {
    for rule in part {
        let Some(known) = merged.iter_mut().find(|known| known.id == rule.id) else {
            merged.push(rule);
            continue;
        };
        for (subject, now) in rule.standing {
            let worst = known.standing.entry(subject).or_insert(now);
            *worst = now.min(*worst);
        }
    }
    merged.sort_by_key(|rule| rule.line);
}

/// The order of the ends of parts: the greatest is the end of the run.
fn rank(ended: Ended) -> u8 {
    match ended {
        Ended::Complete => 0,
        Ended::FailFast => 1,
        Ended::NotReady => 2,
        Ended::Interrupted => 3,
    }
}
