//! The cases that a command line selects.

use std::sync::Arc;

use netroxy_judge::again::Again;
use netroxy_judge::run::Job;
use netroxy_judge::sut::Subject;
use netroxy_judge::{fuzz, input};
use netroxy_specification::catalog::{self, CaseError, Entry, Origin, RULES, Spot, no_rule};
use netroxy_specification::nearest::nearest;
use netroxy_specification::notation;
use netroxy_specification::notation::ast::{Role, Side};
use netroxy_specification::rules::{self, Rule};

use super::arguments::seed;
use super::complaint::{Complaint, input_complaint};
use super::exit::{EXIT_NOTHING, EXIT_USAGE};
use crate::pattern::Pattern;

/// Reads cases from files.
pub(super) fn from_files(
    files: &[String],
    role: Role,
    subject: Option<&Subject>,
) -> Result<Vec<Arc<Entry>>, Complaint> {
    let entries = files.iter().map(|file| from_file(file, role, subject));
    distinct(entries.collect::<Result<_, _>>()?)
}

/// The role of a case file.
pub(super) fn role_of(file: &str) -> Result<Role, Complaint> {
    let text = input::text(file).map_err(input_complaint)?;
    let entry = catalog::read(file, file, &text).map_err(case_complaint)?;
    Ok(entry.case.role.value)
}

/// The embedded cases of a role that the ids select; without ids, all of them. A hint names the subject.
pub(super) fn chosen(
    role: Role,
    ids: &[String],
    subject: Option<&Subject>,
) -> Result<Vec<Arc<Entry>>, Complaint> {
    let mut entries = all()?;
    entries.retain(|entry| entry.case.role.value == role);
    if ids.is_empty() {
        return Ok(entries);
    }
    let mut made = Vec::new();
    for id in ids {
        let pattern = Pattern::new(id);
        if let Some(transport) = pattern.unknown_transport() {
            let message = format!("`{id}`: there is no transport `{transport}`");
            return Err(Complaint::new(EXIT_NOTHING, message).hint("use @plain or @tls"));
        }
        match sequence(pattern.name()) {
            Some(entry) if entry.case.role.value == role => made.push(entry),
            _ if entries.iter().any(|entry| pattern.entry(entry)) => {}
            _ => return Err(no_match(role, id, &entries, subject)?),
        }
    }
    entries.retain(|entry| ids.iter().any(|id| Pattern::new(id).entry(entry)));
    entries.extend(made);
    Ok(entries)
}

/// The error about a name that matches no case of a role.
fn no_match(
    role: Role,
    id: &str,
    entries: &[Arc<Entry>],
    subject: Option<&Subject>,
) -> Result<Complaint, Complaint> {
    let pattern = Pattern::new(id);
    let name = pattern.name();
    let rules = rules::embedded().map_err(|error| Complaint::new(EXIT_USAGE, error.to_string()))?;
    let rule = rules.iter().find(|rule| rule.id == name);
    if let Some(Rule {
        unjudged: Some(why),
        ..
    }) = rule
    {
        let complaint = Complaint::new(EXIT_NOTHING, format!("{name} is not judged: {why}"));
        return Ok(complaint.hint(format!("`{}` shows it", Again::new(["explain", name]))));
    }
    let made = sequence(name);
    let others = all()?;
    let other = made
        .iter()
        .chain(&others)
        .find(|entry| pattern.entry(entry));
    let Some(other) = other.map(|entry| entry.case.role.value) else {
        let message = format!("no {role} case or rule matches `{id}`");
        return Ok(Complaint::new(EXIT_NOTHING, message).hint(names_like(id, entries, &[])));
    };
    let message = match rule {
        Some(rule) if rule.subject == other.to_string() => format!("{name} binds {other}s"),
        _ => format!("`{id}` is judged with the role {other}, not {role}"),
    };
    let run = Again::new(["run", &other.to_string(), id]);
    Ok(Complaint::new(EXIT_NOTHING, message).hint(elsewhere(run, other, subject)))
}

/// The hint to judge another role. The command names the current subject if that can play the role. Otherwise it has
/// a placeholder, because without one it would judge the embedded reference.
fn elsewhere(run: Again, role: Role, subject: Option<&Subject>) -> String {
    let placeholder = |run: Again| match role {
        Role::Pair => format!("{run} --server FILE --client FILE"),
        Role::Server | Role::Client => format!("{run} --sut FILE"),
    };
    match (subject, role) {
        (None, _) => run.to_string(),
        (Some(subject), _) if subject.role() == role => run.subject(subject).to_string(),
        (Some(subject @ Subject::Started(manifest)), Role::Pair) => {
            let (own, other) = match manifest.role {
                Side::Server => ("--server", "--client"),
                Side::Client => ("--client", "--server"),
            };
            let run = run.variables(subject).flag(own, &manifest.argument);
            format!("{run} {other} FILE")
        }
        (Some(Subject::Pair(pair)), Role::Server) => {
            let server = Subject::Started(pair.0.clone());
            run.subject(&server).to_string()
        }
        (Some(Subject::Pair(pair)), Role::Client) => {
            let client = Subject::Started(pair.1.clone());
            run.subject(&client).to_string()
        }
        (Some(Subject::Started(_) | Subject::Running(_) | Subject::Pair(_)), _) => placeholder(run),
    }
}

/// Checks that no two cases have the same name: a report could not distinguish them.
fn distinct(entries: Vec<Arc<Entry>>) -> Result<Vec<Arc<Entry>>, Complaint> {
    for (index, entry) in entries.iter().enumerate() {
        if let Some(other) = entries[..index].iter().find(|other| other.id == entry.id) {
            let (one, two) = (&other.file, &entry.file);
            let message = format!(
                "--case-file: {one} and {two} have the same name `{}`",
                entry.id
            );
            let complaint = Complaint::new(EXIT_USAGE, message);
            return Err(
                complaint.hint("name each case file once; --repeat N runs it several times")
            );
        }
    }
    Ok(entries)
}

/// A hint with names similar to one that matches nothing.
pub(super) fn names_like(id: &str, entries: &[Arc<Entry>], rules: &[Rule]) -> String {
    let name = Pattern::new(id).name();
    let cases = entries.iter().map(|entry| entry.id.as_str());
    let judged = entries
        .iter()
        .flat_map(|entry| entry.case.rules.value.iter().map(String::as_str));
    let rules = rules.iter().map(|rule| rule.id.as_str());
    nearest(name, cases.chain(judged).chain(rules)).unwrap_or_else(|| LIST_CASES.to_owned())
}

const LIST_CASES: &str = "`netroxy-conformance list cases` shows them all";

/// Every embedded case.
pub(super) fn all() -> Result<Vec<Arc<Entry>>, Complaint> {
    let entries =
        catalog::embedded().map_err(|error| Complaint::new(EXIT_USAGE, error.to_string()))?;
    Ok(entries.into_values().map(Arc::new).collect())
}

/// Whether one of these words selects this run; without words, every run is selected.
pub(super) fn wanted(ids: &[String], job: &Job) -> bool {
    ids.is_empty() || ids.iter().any(|id| Pattern::new(id).job(job))
}

/// The first part of the names of generated sessions.
pub(super) const SEQUENCES: &str = "sequence";

/// The session that is generated from a seed.
pub(super) fn generated(side: Side, seed: u64) -> Arc<Entry> {
    let case = fuzz::sequence(side, seed);
    let id = format!("{SEQUENCES}/{side}/{seed:#x}");
    Arc::new(Entry {
        file: id.clone(),
        id,
        text: notation::print(&case),
        case,
        twin: None,
        origin: Origin::Named,
    })
}

/// The generated session of this name, such as `sequence/server/0x7`.
pub(super) fn sequence(name: &str) -> Option<Arc<Entry>> {
    let rest = name.strip_prefix(SEQUENCES)?.strip_prefix('/')?;
    let (side, digits) = rest.split_once('/')?;
    let side = match side {
        "server" => Side::Server,
        "client" => Side::Client,
        _ => return None,
    };
    let seed = seed(digits).ok()?;
    Some(generated(side, seed)).filter(|entry| entry.id == name)
}

fn from_file(file: &str, role: Role, subject: Option<&Subject>) -> Result<Arc<Entry>, Complaint> {
    let text = input::text(file).map_err(input_complaint)?;
    let id = file
        .rsplit('/')
        .next()
        .unwrap_or(file)
        .trim_end_matches(".case");
    let entry = catalog::read(id, file, &text).map_err(case_complaint)?;
    for (index, id) in entry.case.rules.value.iter().enumerate() {
        if let Some((message, hint)) = no_rule(id) {
            let error = entry.wrong(RULES, &Spot::Word(index + 1), message);
            return Err(case_complaint(error).hint(hint));
        }
    }
    let found = entry.case.role.value;
    if found != role {
        let message = format!("this case judges a {found}, not a {role}");
        let complaint = case_complaint(entry.wrong(2, &Spot::Word(1), message));
        let run = Again::new(["run", &found.to_string()]).flag("--case-file", file);
        return Err(complaint.hint(elsewhere(run, found, subject)));
    }
    let Some(name) = entry.twin_id() else {
        return Ok(Arc::new(entry));
    };
    let twin = find_twin(file, &name)?
        .ok_or_else(|| case_complaint(entry.without_twin(&name)).hint(LIST_CASES))?;
    Ok(Arc::new(Entry {
        twin: Some((name, Arc::new(twin.case))),
        ..entry
    }))
}

fn case_complaint(error: CaseError) -> Complaint {
    let hint = error.hint.clone();
    let notation = || "`netroxy-conformance spec html` describes the notation".to_owned();
    Complaint::new(EXIT_USAGE, error.to_string()).hint(hint.unwrap_or_else(notation))
}

/// Finds a twin: a file in the folder of the case, or an embedded case.
fn find_twin(file: &str, name: &str) -> Result<Option<Entry>, Complaint> {
    let beside = std::path::Path::new(file).with_file_name(format!("{name}.case"));
    match input::text(&beside.to_string_lossy()) {
        Ok(text) => {
            let twin = catalog::read(name, &beside.to_string_lossy(), &text);
            twin.map(Some).map_err(case_complaint)
        }
        Err(error) if error.missing => Ok(all()?
            .iter()
            .find(|entry| entry.id == name)
            .map(|entry| Entry::clone(entry))),
        Err(error) => Err(input_complaint(error)),
    }
}
