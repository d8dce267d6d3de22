//! Records the messages between the two programs of a pair after a case has failed.
//!
//! The case is played once more through a relay, only for the transcript. The verdict stays that of the first run, in
//! which the programs were connected directly: a relay has buffers and closes of its own, so it could hide a fault or
//! cause one.

use super::job::Job;
use super::judge::play;
use crate::sut::{Between, Subject, Talk};
use crate::transcript::{Line, line};
use crate::verdict::{Heard, Judged, Verdict};
use crate::wire::Tls;

/// Plays a failed case of a pair once more through a relay. `None` if the subject is no pair, if the verdict is none
/// that a transcript explains, or if no relay can be opened.
pub(super) async fn listen(job: &Job, judged: &Judged, tls: &Tls) -> Option<Heard> {
    if !matches!(*job.subject, Subject::Pair(_)) || !is_explained_by_a_transcript(judged.verdict) {
        return None;
    }
    let case = match (&judged.twin, &job.entry.twin) {
        (Some(_), Some((_, twin))) => twin,
        _ => &job.entry.case,
    };
    // Without a port there is no relay. The verdict does not need one.
    let mut between = Between::new(job.transport).await.ok()?;
    let (again, _) = play(job, case, tls, Some(&mut between)).await;
    let talk = between.talk().await;
    Some(heard(judged, &again.judged, &talk))
}

/// Whether a transcript can explain the verdict: a step failed, or the pair did not become ready.
fn is_explained_by_a_transcript(verdict: Verdict) -> bool {
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
    // A message and its effect can have the same time. The sort is stable, so the message stays first.
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

/// What happened in the second run, if it differs from the first.
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
