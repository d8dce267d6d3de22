//! Turns a recording into a case: the suite sends again what was sent to the judged side, and expects what came.

mod maps;
mod names;
mod unplayable;
mod users;

use std::time::Duration;

use names::Names;
use netroxy_specification::message::{ARS, ATH, MAP, MRS, SRQ, SRS, Shape, TRQ, TRS};
use netroxy_specification::notation::ast::{
    Action, Case, Expectation, Line, Noted, Role, Setting, Side, Step, Within,
};
use unplayable::Unplayable;

use super::traffic::{bytes, is_no_end};
use super::{Entry, Recording, Source};

/// A recording as a case. `configured`: the server is started with the timeout of the recording.
///
/// # Errors
/// When the recording cannot be written as a case.
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

/// Whether a step is about bytes or connections; silence and `ignore` are left out.
fn is_played(step: &Step) -> bool {
    let silent = matches!(
        step.action,
        Action::Expect(Expectation::Silence) | Action::Ignore(_)
    );
    !is_no_end(step) && !silent
}

/// Whether it is SRQ or SRS. A client may send SRQ at any time, so a case does not expect it.
fn is_keepalive(step: &Step) -> bool {
    match &step.action {
        Action::Send(message) => message.is(&SRS),
        Action::Expect(Expectation::Message(message)) => message.is(&SRQ),
        _ => false,
    }
}

/// The bounds of a step that took long: a quarter more, and a second.
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
    let survives = match side {
        Side::Server => "life.server-survives",
        Side::Client => "life.client-survives",
    };
    Some(match action {
        Action::Expect(Expectation::Message(message)) => message
            .shape()
            .and_then(rule_of_message)
            .unwrap_or(survives),
        Action::Expect(Expectation::Raw(raw)) if !bytes(raw).is_empty() => "tunnel.transparent",
        Action::Expect(Expectation::Random(_)) => "tunnel.transparent",
        Action::Expect(Expectation::Eof) => "tunnel.end-passed",
        Action::Expect(Expectation::Closed | Expectation::Reset) => survives,
        Action::Maps(_) => rule_of_message(&MAP)?,
        Action::Accept(None) | Action::AcceptAs(_) => "tunnel.trs-new-connection",
        Action::Accept(Some(_)) => "tunnel.target",
        Action::Refused(_) => "map.released-on-close",
        _ => return None,
    })
}

/// The rule by which a peer sends a message; `None` for SRQ, which a client may send at any time.
fn rule_of_message(shape: &Shape) -> Option<&'static str> {
    Some(match *shape {
        ARS => "auth.ok-reply",
        MRS => "map.one-reply",
        SRS => "keep.srs",
        TRQ => "tunnel.one-trq-per-user",
        ATH => "auth.client-first",
        MAP => "map.client-all",
        TRS => "tunnel.trs-first-line",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
