//! Which cases a command line asks for.

use std::sync::Arc;

use super::run::Run;
use super::{Complaint, EXIT_NOTHING, EXIT_USAGE, input_complaint};
use crate::catalog::{self, CaseError, Entry, RULES, Spot, no_rule};
use crate::input::{self, nearest};
use crate::notation::ast::Role;
use crate::rules::{self, Rule};
use crate::run::Job;

/// The cases of a run.
pub(super) fn select(run: &Run) -> Result<Vec<Arc<Entry>>, Complaint> {
    let role = Role::from(run.role);
    if !run.case_file.is_empty() {
        let files = run.case_file.iter();
        let entries: Vec<_> = files
            .map(|file| from_file(file, role))
            .collect::<Result<_, _>>()?;
        return distinct(entries);
    }
    chosen(role, &run.ids)
}

/// The embedded cases of a role that are asked for; all when nothing is.
pub(super) fn chosen(role: Role, ids: &[String]) -> Result<Vec<Arc<Entry>>, Complaint> {
    let mut entries = all()?;
    entries.retain(|entry| entry.case.role.value == role);
    if ids.is_empty() {
        return Ok(entries);
    }
    for id in ids {
        if let Some((_, transport)) = id.split_once('@')
            && !["plain", "tls"].contains(&transport)
        {
            let message = format!("`{id}`: there is no transport `{transport}`");
            return Err(Complaint::new(EXIT_NOTHING, message).hint("@plain or @tls"));
        }
        if !entries.iter().any(|entry| matches(entry, id)) {
            return Err(no_match(role, id, &entries)?);
        }
    }
    entries.retain(|entry| ids.iter().any(|id| matches(entry, id)));
    Ok(entries)
}

/// Why a name matches no case of a role.
fn no_match(role: Role, id: &str, entries: &[Arc<Entry>]) -> Result<Complaint, Complaint> {
    let name = id.split_once('@').map_or(id, |(name, _)| name);
    let rules = rules::embedded().map_err(|error| Complaint::new(EXIT_USAGE, error.to_string()))?;
    let rule = rules.iter().find(|rule| rule.id == name);
    if let Some(Rule {
        unjudged: Some(why),
        ..
    }) = rule
    {
        let complaint = Complaint::new(EXIT_NOTHING, format!("{name} is not judged: {why}"));
        return Ok(complaint.hint(format!("`netroxy-conformance explain {name}` shows it")));
    }
    let others = all()?;
    let other = others.iter().find(|entry| matches(entry, id));
    let Some(other) = other.map(|entry| entry.case.role.value) else {
        let message = format!("no {role} case or rule matches `{id}`");
        return Ok(Complaint::new(EXIT_NOTHING, message).hint(names_like(id, entries)));
    };
    let message = match rule {
        Some(rule) if rule.subject == other.to_string() => format!("{name} binds {other}s"),
        _ => format!("`{id}` is judged with the role {other}, not {role}"),
    };
    let hint = format!("netroxy-conformance run {other} {id}");
    Ok(Complaint::new(EXIT_NOTHING, message).hint(hint))
}

/// Two cases of one name could not be told apart in a report.
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

/// What may have been meant by a name that matches nothing.
pub(super) fn names_like(id: &str, entries: &[Arc<Entry>]) -> String {
    let name = id.split_once('@').map_or(id, |(name, _)| name);
    let cases = entries.iter().map(|entry| entry.id.as_str());
    let rules = entries
        .iter()
        .flat_map(|entry| entry.case.rules.value.iter().map(String::as_str));
    nearest(name, cases.chain(rules)).unwrap_or_else(|| LIST_CASES.to_owned())
}

const LIST_CASES: &str = "`netroxy-conformance list cases` shows them all";

/// Every embedded case.
pub(super) fn all() -> Result<Vec<Arc<Entry>>, Complaint> {
    let entries =
        catalog::embedded().map_err(|error| Complaint::new(EXIT_USAGE, error.to_string()))?;
    Ok(entries.into_values().map(Arc::new).collect())
}

/// Whether a name or pattern means this run; `@tls` or `@plain` behind it means one transport only.
pub(super) fn wants(id: &str, job: &Job) -> bool {
    let transport = id.split_once('@').map(|(_, transport)| transport);
    matches(&job.entry, id)
        && transport.is_none_or(|transport| transport == job.transport.to_string())
}

fn from_file(file: &str, role: Role) -> Result<Arc<Entry>, Complaint> {
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
        let hint = format!("netroxy-conformance run {found} --case-file {file}");
        return Err(complaint.hint(hint));
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

/// A twin is a file beside the case, or an embedded case.
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

fn matches(entry: &Entry, id: &str) -> bool {
    let name = id.split_once('@').map_or(id, |(name, _)| name);
    glob(name, &entry.id) || entry.case.rules.value.iter().any(|rule| glob(name, rule))
}

/// `*` stands for any text; all else for itself.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => match text.strip_prefix(head) {
            None => false,
            Some(rest) => (0..=rest.len())
                .filter_map(|at| rest.get(at..))
                .any(|rest| glob(tail, rest)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn stars_stand_for_any_text() {
        assert!(glob("server/*/bad-*", "server/auth/bad-password"));
        assert!(glob("tunnel.*", "tunnel.early-data"));
        assert!(glob("*", ""));
        assert!(!glob("tunnel.*", "map.order"));
        assert!(!glob("server/auth", "server/auth/x"));
    }
}
