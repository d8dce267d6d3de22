//! Turns a recording into a case: what was sent is sent again, what came is expected.

mod maps;
mod names;
mod users;

use std::time::Duration;

use names::Names;
use netroxy_specification::notation::ast::{
    Action, Case, Expectation, Line, Noted, Role, Setting, Side, Step, Within,
};

use super::traffic::{bytes, is_no_end};
use super::{Entry, Recording, Source};

/// Why a recording cannot be played.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unplayable {
    #[error("a {0} was recorded, and a {1} is to be judged")]
    Role(Role, Side),
    #[error("it is of a pair: what client and server said to each other is not in it")]
    Pair,
    #[error("it has {0} {1}, and a case has names for {2}")]
    TooMany(usize, &'static str, usize),
    #[error("nothing in it was said by the {0}")]
    Silent(Side),
}

/// The case that a recording is. `configured` tells whether the server is started with the timeout that it had.
///
/// # Errors
/// When a case cannot say what was recorded.
pub fn to_case(recording: &Recording, side: Side, configured: bool) -> Result<Case, Unplayable> {
    let mut entries: Vec<Entry> = recording.entries.clone();
    entries.retain(|entry| !entry.broken && is_played(&entry.step));
    match recording.head.source {
        Source::Case(Role::Pair) => return Err(Unplayable::Pair),
        Source::Case(role) if role != Role::from(side) => {
            return Err(Unplayable::Role(role, side));
        }
        Source::Case(_) => {}
        Source::Tap => entries = users::complete(entries, side),
    }
    if side == Side::Client {
        entries.retain(|entry| !is_keepalive(&entry.step));
    }
    let control = recording.head.server.map(|server| server.port());
    let names = Names::find(&entries, side, control)?;
    let config = match side {
        Side::Client => names.mappings(),
        Side::Server => names.timeout().filter(|_| configured).into_iter().collect(),
    };
    if side == Side::Client && config.len() > 1 {
        entries = maps::gather(entries, config.len());
    }
    let mut body = Vec::new();
    let mut rules: Vec<String> = Vec::new();
    let mut before = Duration::ZERO;
    for entry in entries {
        let gap = entry.at.saturating_sub(before);
        before = entry.at;
        let judged = rule(&entry.step.action, side);
        if let Some(rule) = judged
            && !rules.iter().any(|known| known == rule)
        {
            rules.push(rule.to_owned());
        }
        body.push(Line::Step(Step {
            actor: entry.step.actor.clone(),
            within: judged.and_then(|_| within(gap)),
            marks: judged.map(str::to_owned).into_iter().collect(),
            comment: None,
            action: names.rename(&entry.step, configured),
        }));
    }
    if rules.is_empty() {
        return Err(Unplayable::Silent(side));
    }
    let title = recording.head.title.replace('#', " ");
    let noted = |value| Noted {
        value,
        comment: None,
    };
    Ok(Case {
        title: noted(format!("what was recorded happens again: {}", title.trim())),
        role: Noted {
            value: Role::from(side),
            comment: None,
        },
        rules: Noted {
            value: rules,
            comment: None,
        },
        twin: None,
        config: config.into_iter().map(plain).collect(),
        over: Some(Noted {
            value: vec![recording.head.over],
            comment: None,
        }),
        body,
    })
}

fn plain(value: Setting) -> Noted<Setting> {
    Noted {
        value,
        comment: None,
    }
}

/// What says nothing of the wire is left out.
fn is_played(step: &Step) -> bool {
    let silent = matches!(
        step.action,
        Action::Expect(Expectation::Silence) | Action::Ignore(_)
    );
    !is_no_end(step) && !silent
}

/// A client may send SRQ at any time, so a case does not wait for it.
fn is_keepalive(step: &Step) -> bool {
    match &step.action {
        Action::Send(message) => message.word == "SRS",
        Action::Expect(Expectation::Message(message)) => message.word == "SRQ",
        _ => false,
    }
}

/// What took its time may take it again.
fn within(gap: Duration) -> Option<Within> {
    let high = gap.as_millis().saturating_mul(5) / 4 + 1000;
    (gap > Duration::from_secs(1)).then(|| Within {
        low: None,
        high: Some(u32::try_from(high).unwrap_or(u32::MAX)),
        lenient: false,
    })
}

/// The rule by which the judged side does what a step expects.
fn rule(action: &Action, side: Side) -> Option<&'static str> {
    let word = match action {
        Action::Expect(Expectation::Message(message)) => message.word.as_str(),
        Action::Expect(Expectation::Raw(raw)) if !bytes(raw).is_empty() => "bytes",
        Action::Expect(Expectation::Random(_)) => "bytes",
        Action::Expect(Expectation::Eof) => "eof",
        Action::Expect(Expectation::Closed | Expectation::Reset) => "closed",
        Action::Maps(_) => "MAP",
        Action::Accept(None) | Action::AcceptAs(_) => "accept",
        Action::Accept(Some(_)) => "target",
        Action::Refused(_) => "refused",
        _ => return None,
    };
    Some(match (word, side) {
        ("ARS", _) => "auth.ok-reply",
        ("MRS", _) => "map.one-reply",
        ("SRS", _) => "keep.srs",
        ("TRQ", _) => "tunnel.one-trq-per-user",
        ("ATH", _) => "auth.client-first",
        ("MAP", _) => "map.client-all",
        ("TRS", _) => "tunnel.trs-first-line",
        ("accept", _) => "tunnel.trs-new-connection",
        ("target", _) => "tunnel.target",
        ("refused", _) => "map.released-on-close",
        ("bytes", _) => "tunnel.transparent",
        ("eof", _) => "tunnel.end-passed",
        (_, Side::Server) => "life.server-survives",
        (_, Side::Client) => "life.client-survives",
    })
}

#[cfg(test)]
mod tests;
