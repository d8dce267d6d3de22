//! Every client with every server: the results, and which peer is at fault.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{CaseResult, Counts, Fault, FaultyRun, Matrix, Meeting, Report, RuleEntry};

/// The names of the reference peers.
const CLIENT: &str = "reference-client";
const SERVER: &str = "reference-server";

/// The matrix of a run; `None` if it has less than two pairs.
///
/// A peer that fails a case with the reference is at fault for it. If two peers fail a case only together, the peer
/// that the broken rule binds is at fault, or both if it binds both.
pub(super) fn matrix(report: &Report) -> Option<Matrix> {
    let mut meetings = Vec::new();
    let mut failed: BTreeMap<Key<'_>, &CaseResult> = BTreeMap::new();
    for subject in &report.subjects {
        let Some(pair) = &subject.pair else { continue };
        let (client, server) = (pair.client.as_str(), pair.server.as_str());
        let mut meeting = Meeting {
            subject: subject.name.clone(),
            client: client.to_owned(),
            server: server.to_owned(),
            passed: 0,
            failed: 0,
            run: 0,
        };
        for result in report.of(&subject.name) {
            meeting.run += usize::from(result.counts != Counts::Skipped);
            meeting.passed += usize::from(result.counts == Counts::Passed);
            meeting.failed += usize::from(result.counts == Counts::Failed);
            if result.counts == Counts::Failed {
                failed.insert((client, server, &result.id), result);
            }
        }
        meetings.push(meeting);
    }
    if meetings.len() < 2 {
        return None;
    }
    let names = |name: fn(&Meeting) -> &String| {
        let names: BTreeSet<String> = meetings.iter().map(name).cloned().collect();
        names.into_iter().collect()
    };
    Some(Matrix {
        clients: names(|meeting| &meeting.client),
        servers: names(|meeting| &meeting.server),
        faults: faults(&failed, &report.rules),
        meetings,
    })
}

/// Client, server, run.
type Key<'a> = (&'a str, &'a str, &'a str);

fn faults(failed: &BTreeMap<Key<'_>, &CaseResult>, rules: &[RuleEntry]) -> Vec<Fault> {
    let mut found: BTreeMap<String, Vec<FaultyRun>> = BTreeMap::new();
    for ((client, server, run), result) in failed {
        let with_client = failed.contains_key(&(*client, SERVER, *run));
        let with_server = failed.contains_key(&(CLIENT, *server, *run));
        let peer = match (*client == CLIENT, *server == SERVER) {
            (true, true) => "the reference".to_owned(),
            (true, false) => (*server).to_owned(),
            (false, true) => (*client).to_owned(),
            // The run with the reference is listed instead.
            (false, false) if with_client || with_server => continue,
            (false, false) => match bound(result, rules) {
                Some("server") => format!("{server}, with {client} only"),
                Some("client") => format!("{client}, with {server} only"),
                _ => format!("{client} or {server}, together only"),
            },
        };
        let broken = result.broken.as_ref();
        found.entry(peer).or_default().push(FaultyRun {
            id: result.id.clone(),
            subject: result.subject.clone(),
            rules: broken.map_or_else(Vec::new, |broken| broken.rules.clone()),
            seen: broken.map_or_else(
                || result.reason.clone().unwrap_or_default(),
                |broken| format!("{}: {}", broken.expected, broken.got),
            ),
        });
    }
    let faults = found.into_iter();
    faults.map(|(peer, runs)| Fault { peer, runs }).collect()
}

/// The side that the broken rules of a run bind, if all bind the same.
fn bound<'a>(result: &CaseResult, rules: &'a [RuleEntry]) -> Option<&'a str> {
    let broken = result.broken.as_ref()?;
    let subjects: BTreeSet<&str> = rules
        .iter()
        .filter(|rule| broken.rules.contains(&rule.id))
        .map(|rule| rule.subject.as_str())
        .collect();
    match subjects.into_iter().collect::<Vec<_>>()[..] {
        [subject] => Some(subject),
        _ => None,
    }
}
