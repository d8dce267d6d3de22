//! Limits the cases that are played at a time to the file descriptors of this program.
//!
//! A case starts only if as many descriptors are left as it may need, so that no program fails because the suite has
//! run out of them. The need of a case is an upper bound that is computed from its steps.

use std::sync::Arc;

use netroxy_specification::message::{MAP, TRQ};
use netroxy_specification::notation::ast::{Action, Case, Line, Repeat, Role, Step};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::job::Job;
use super::judge::{leads_to, nth_count};
use crate::descriptors;
use crate::manifest::{Launch, Manifest};
use crate::sut::Subject;

/// The descriptors that cases share.
#[derive(Debug, Clone)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    size: usize,
}

/// A case that needs more file descriptors than this program may open.
#[derive(Debug, thiserror::Error)]
#[error(
    "it may need {needed} file descriptors, and the suite may have {limit}, so it was not played: {}",
    descriptors::HINT
)]
pub(super) struct TooFewDescriptors {
    needed: usize,
    limit: usize,
}

impl Room {
    /// All descriptors that this program may still open, except a few for itself.
    pub(super) fn new() -> Self {
        let size = descriptors::limit()
            .saturating_sub(descriptors::open_now())
            .saturating_sub(OWN)
            .min(ENOUGH);
        Self {
            free: Arc::new(Semaphore::new(size)),
            size,
        }
    }

    /// Waits until enough descriptors are free. They are free again when the permit is dropped.
    ///
    /// # Errors
    /// If the case needs more than this program may have.
    pub(super) async fn enter(&self, job: &Job) -> Result<OwnedSemaphorePermit, TooFewDescriptors> {
        let need = need(job);
        let too_much = || TooFewDescriptors {
            needed: need + descriptors::open_now() + OWN,
            limit: descriptors::limit(),
        };
        if need > self.size {
            return Err(too_much());
        }
        let permits = u32::try_from(need).map_err(|_| too_much())?;
        let entered = Arc::clone(&self.free).acquire_many_owned(permits).await;
        // The semaphore is never closed.
        entered.map_err(|_| too_much())
    }
}

/// How many cases fit at a time if each needs as many descriptors as the median of these: at least one, at most
/// `wanted`.
pub(super) fn at_a_time(jobs: &[Job], wanted: usize) -> usize {
    let mut needs: Vec<usize> = jobs
        .iter()
        .filter(|job| job.skip.is_none())
        .map(need)
        .collect();
    needs.sort_unstable();
    let Some(usual) = needs.get(needs.len() / 2) else {
        return wanted;
    };
    (Room::new().size / usual).clamp(1, wanted.max(1))
}

/// Descriptors for reading `/proc`, for working directories and reports, and for the runtime.
const OWN: usize = 32;

/// The size of the semaphore without a limit of descriptors. No run needs so many.
const ENOUGH: usize = 1 << 24;

/// How many descriptors a job may need at a time.
fn need(job: &Job) -> usize {
    let case = &job.entry.case;
    let twin = job
        .entry
        .twin
        .as_ref()
        .map_or(0, |(_, twin)| of(twin, &job.subject));
    // The case and its twin are played one after the other.
    of(case, &job.subject).max(twin)
}

fn of(case: &Case, subject: &Subject) -> usize {
    let programs: Vec<&Manifest> = match subject {
        Subject::Started(manifest) => vec![manifest],
        Subject::Running(_) => Vec::new(),
        Subject::Pair(pair) => vec![&pair.0, &pair.1],
    };
    let embedded = programs.iter().any(|program| is_embedded(program));
    let started: usize = programs.iter().map(|program| of_program(program)).sum();
    let role = subject.role();
    let surroundings = match role {
        Role::Server => SERVER,
        Role::Client => CLIENT,
        Role::Pair => SERVER + CLIENT,
    };
    let settings = || case.config.iter().map(|setting| &setting.value);
    let silent = usize::from(settings().any(|one| leads_to(one, "silent_target"))) * SILENT;
    // Each port is leased, and an embedded server listens on it.
    let ports = usize::try_from(nth_count(case)).unwrap_or(usize::MAX)
        * (1 + usize::from(embedded && role != Role::Client));
    let steps: usize = case
        .body
        .iter()
        .map(|line| of_line(line, role, embedded))
        .sum();
    started + surroundings + silent + ports + steps
}

fn is_embedded(manifest: &Manifest) -> bool {
    matches!(manifest.launch, Launch::Embedded(_))
}

fn of_program(manifest: &Manifest) -> usize {
    match manifest.launch {
        Launch::Command(_) => PROCESS,
        Launch::Embedded(_) => EMBEDDED,
    }
}

fn of_line(line: &Line, role: Role, embedded: bool) -> usize {
    match line {
        Line::Blank | Line::Comment(_) => 0,
        Line::Step(step) => of_step(step, role, embedded),
        Line::Repeat(block) => {
            let turn: usize = block
                .body
                .iter()
                .map(|line| of_line(line, role, embedded))
                .sum();
            let turns = usize::try_from(block.count).unwrap_or(usize::MAX);
            // The connections of a turn are closed at its end, but the peer may close its side a little later. A block
            // that keeps its connections holds those of all turns.
            match block.kept {
                true => kept(block, role, embedded).saturating_mul(turns),
                false => turn * turns.min(TURNS),
            }
        }
    }
}

/// What one turn of a block that keeps its connections holds. If the turn accepts a connection, its TRQ is not counted:
/// it asks for that connection.
fn kept(block: &Repeat, role: Role, embedded: bool) -> usize {
    let accepts = |line: &&Line| matches!(line, Line::Step(step) if matches!(step.action, Action::Accept(_) | Action::AcceptAs(_)));
    let accepted = block.body.iter().any(|line| accepts(&line));
    let asks =
        |line: &Line| matches!(line, Line::Step(step) if matches!(step.action, Action::Send(_)));
    let lines = block.body.iter().filter(|line| !(accepted && asks(line)));
    lines.map(|line| of_line(line, role, embedded)).sum()
}

fn of_step(step: &Step, role: Role, embedded: bool) -> usize {
    let of_peer = usize::from(embedded);
    match (&step.action, role) {
        // A user of a pair: the connections from the user, between server and client, and to the target.
        (Action::Connect(_), Role::Pair) => OURS + 4 * of_peer,
        (
            Action::Connect(_)
            | Action::TurnedAway { .. }
            | Action::Accept(_)
            | Action::AcceptAs(_)
            | Action::Distrusts,
            _,
        ) => OURS + of_peer,
        (Action::Send(message), Role::Client) if message.is(&TRQ) => {
            // One connection to the suite and one to a target.
            2 + 2 * of_peer
        }
        (Action::Send(message), Role::Server) if message.is(&MAP) => of_peer,
        (Action::Restart, _) => PROCESS,
        _ => 0,
    }
}

/// A connection of the suite: its socket is duplicated.
const OURS: usize = 2;

/// A program: its pipes, and what reports its end.
const PROCESS: usize = 4;

/// An embedded peer: a runtime, two control ports, and a connection to each of them at its start.
const EMBEDDED: usize = 16;

/// The surroundings of a server: leases of its ports and those of the case, and logins of the suite.
const SERVER: usize = 12;

/// The surroundings of a client: leases, targets, and the control port.
const CLIENT: usize = 16;

/// The connections that fill the queue of a target that never answers.
const SILENT: usize = 8;

/// How many turns of a block may be open at a time.
const TURNS: usize = 4;

#[cfg(test)]
mod tests;
