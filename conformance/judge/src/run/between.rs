//! What the two programs of a pair said to each other when a case failed.
//!
//! The verdict is that of the run in which they talked directly. A relay has buffers and ends of its own, so it could
//! hide a fault, or make one; the case is played once more for the sake of the transcript alone.

use super::job::Job;
use super::judge::play;
use crate::sut::{Between, Subject, Talk};
use crate::transcript::{Line, line};
use crate::verdict::{Heard, Judged, Verdict};
use crate::wire::Tls;

/// Plays a case of a pair that has failed once more, and listens; `None` where there is nothing to listen to.
pub(super) async fn listen(job: &Job, judged: &Judged, tls: &Tls) -> Option<Heard> {
    if !matches!(*job.subject, Subject::Pair(_)) || !tells(judged.verdict) {
        return None;
    }
    let case = match (&judged.twin, &job.entry.twin) {
        (Some(_), Some((_, twin))) => twin,
        _ => &job.entry.case,
    };
    // Without a port there is no relay, and the verdict stands without it.
    let mut between = Between::new(job.transport).await.ok()?;
    let (again, _) = play(job, case, tls, Some(&mut between)).await;
    let talk = between.talk().await;
    Some(heard(judged, &again.judged, &talk))
}

/// Whether it helps to hear the two: something was played, or they did not get on.
fn tells(verdict: Verdict) -> bool {
    match verdict {
        Verdict::Fail | Verdict::Blocked | Verdict::Crash | Verdict::Hang | Verdict::NotReady => {
            true
        }
        Verdict::Pass
        | Verdict::Nonstrict
        | Verdict::Skip
        | Verdict::KnownFailing
        | Verdict::UnexpectedPass
        | Verdict::Harness => false,
    }
}

fn heard(first: &Judged, again: &Judged, talk: &Talk) -> Heard {
    let own = again.transcript.as_ref();
    let own = own.map_or_else(Vec::new, |own| own.lines_since(talk.started()));
    let taken: Vec<&str> = own.iter().map(|line| line.actor.as_str()).collect();
    let connections = talk.connections(&taken);
    let said = talk.steps(&taken);
    let said = said.into_iter().map(|(at, step)| line(at, &step, false));
    let mut lines: Vec<Line> = said.collect();
    lines.extend(own);
    // What was said and what came of it can share their time: what was said stays first.
    lines.sort_by_key(|line| line.at);
    Heard {
        verdict: again.verdict,
        otherwise: otherwise(first, again),
        readable: talk.is_readable(),
        connections,
        lines,
        left_out: talk.left_out(),
    }
}

/// What was seen this time, where that is something else.
pub(super) fn otherwise(first: &Judged, again: &Judged) -> Option<String> {
    let step = |judged: &Judged| judged.broken.as_ref().map(|broken| broken.line);
    if (first.verdict, step(first)) == (again.verdict, step(again)) {
        return None;
    }
    let seen = match (&again.broken, &again.reason) {
        _ if !again.verdict.is_red(false) => "it passed".to_owned(),
        (Some(broken), _) => format!("expected {}, got {}", broken.expected, broken.got),
        (None, Some(reason)) => reason.to_string(),
        (None, None) => again.verdict.name().to_owned(),
    };
    Some(seen)
}
