//! A started program and all its descendants: the suite finds them and kills them.
//!
//! One signal ends a process group, but a process may leave its group. Therefore the suite makes itself the parent of
//! all orphans among its descendants (`PR_SET_CHILD_SUBREAPER`), and reads in `/proc` which process descends from
//! which. An orphan belongs to a family if it has the family's variable in its environment or works in the family's
//! folder. An orphan with neither is killed when only one family is left. [`Family::kill`] looks and kills in rounds
//! until no process is left, at most [`ROUNDS`] times.
//!
//! On a system without `/proc`, only the process group is killed. If the suite itself is killed by SIGKILL, its
//! programs go on running: a signal at its death would need code between fork and exec, which is unsafe code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, getpgrp, getpid, kill_process, kill_process_group,
    set_child_subreaper, waitpid,
};

use super::proc::{self, Environment, Proc};
use crate::times::KILL_POLL;

/// A program and its descendants. The owner calls [`Family::kill`] and [`Family::end`] before dropping it.
#[derive(Debug)]
pub(crate) struct Family {
    mark: String,
    folder: Option<PathBuf>,
    leader: Option<Pid>,
    ended: bool,
}

/// A process that could not be ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Survivor {
    pub(crate) id: i32,
    pub(crate) name: String,
    /// Whether it belongs to another user, so that the suite may not signal it.
    pub(crate) forbidden: bool,
}

/// The families whose [`Family::end`] was not called yet.
static LIVE: Mutex<Live> = Mutex::new(Live {
    families: 0,
    leaders: BTreeSet::new(),
});

#[derive(Debug)]
struct Live {
    families: usize,
    leaders: BTreeSet<i32>,
}

/// The processes that ran before the first family began, among them children that this process had before an exec.
static OTHERS: OnceLock<BTreeSet<(i32, u64)>> = OnceLock::new();

impl Family {
    /// The environment variable that marks the processes of a family.
    pub(crate) const VARIABLE: &'static str = "NETROXY_CONFORMANCE_INSTANCE";

    /// A family without processes. `folder` is the working directory of its programs, if no other program works there.
    pub(crate) fn new(folder: Option<&Path>) -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        // This process becomes the parent of orphans, so that it can find them and wait for them.
        let _ = set_child_subreaper(Some(getpid()));
        OTHERS.get_or_init(|| proc::all().iter().map(Proc::identity).collect());
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        live(|live| live.families += 1);
        Self {
            mark: format!("{}-{count}", std::process::id()),
            // `/proc` shows the path of a working directory without symbolic links.
            folder: folder.and_then(|folder| folder.canonicalize().ok()),
            leader: None,
            ended: false,
        }
    }

    /// The value of [`Family::VARIABLE`] for this family.
    pub(crate) fn mark(&self) -> &str {
        &self.mark
    }

    /// Sets the program that leads the family's process group.
    pub(crate) fn leader(&mut self, id: Option<u32>) {
        let id = id.and_then(|id| i32::try_from(id).ok());
        self.leader = id.and_then(Pid::from_raw);
        if let Some(leader) = self.leader {
            live(|live| live.leaders.insert(leader.as_raw_nonzero().get()));
        }
    }

    /// Whether [`Family::end`] was called.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Removes it from the list of live families, after its processes were killed.
    pub(crate) fn end(&mut self) {
        if self.ended {
            return;
        }
        self.ended = true;
        live(|live| {
            live.families -= 1;
            if let Some(leader) = self.leader {
                live.leaders.remove(&leader.as_raw_nonzero().get());
            }
        });
    }

    /// The processor time that all its processes have used.
    pub(crate) fn effort(&self) -> Duration {
        let all = proc::all();
        let leader = all.iter().filter(|one| Some(one.id) == self.leader_id());
        let others = self.look(&all, &BTreeSet::new()).0;
        leader.chain(others).map(Proc::effort).sum()
    }

    /// The id and name of a process of the family, other than the leader, that runs.
    pub(crate) fn left_behind(&self) -> Option<(i32, String)> {
        let all = proc::all();
        let (others, _) = self.look(&all, &BTreeSet::new());
        let running = others.iter().find(|one| !one.is_zombie)?;
        Some((running.id, running.name.clone()))
    }

    /// Kills all its processes, and those that they start in the meantime. Returns the processes that still run.
    pub(crate) fn kill(&self) -> BTreeSet<Survivor> {
        let (mut known, mut unclear, mut survivors) = (BTreeSet::new(), 0, BTreeSet::new());
        for round in 0..ROUNDS {
            let all = proc::all();
            let (found, clear) = self.look(&all, &known);
            // A process whose parent ends gets another parent, so a process that was found once stays known.
            known.extend(found.iter().map(|one| one.identity()));
            if let Some(leader) = self.leader.filter(|_| round == 0) {
                // The call fails if the group has ended by itself.
                let _ = kill_process_group(leader, Signal::KILL);
            }
            survivors.clear();
            let mut waiting = false;
            let leader = all.iter().filter(|one| self.is_running_leader(one));
            for one in found.into_iter().chain(leader) {
                let Some(id) = Pid::from_raw(one.id) else {
                    continue;
                };
                let forbidden = matches!(kill_process(id, Signal::KILL), Err(Errno::PERM));
                // The owner of the leader waits for the leader. Any other process becomes a child of this one when its
                // parent has ended. A program with many threads takes a moment to end.
                let gone = Some(one.id) != self.leader_id()
                    && match waitpid(Some(id), WaitOptions::NOHANG) {
                        Ok(ended) => ended.is_some(),
                        Err(_) => one.is_zombie,
                    };
                waiting |= !gone && !forbidden;
                if !gone && !one.is_zombie {
                    survivors.insert(Survivor {
                        id: one.id,
                        name: one.name.clone(),
                        forbidden,
                    });
                }
            }
            // A process that was forked before the group ended is found in the second round.
            if round > 0 && !waiting {
                unclear += 1;
                if clear || unclear > UNCLEAR {
                    return survivors;
                }
            }
            sleep(KILL_POLL);
        }
        survivors
    }

    /// The family's processes other than the leader, and whether these are certainly all of them.
    ///
    /// `known` are members that an earlier call found.
    fn look<'a>(&self, all: &'a [Proc], known: &BTreeSet<(i32, u64)>) -> (Vec<&'a Proc>, bool) {
        let us = getpid().as_raw_nonzero().get();
        let wanted = format!("{}={}", Self::VARIABLE, self.mark);
        let others = OTHERS.get_or_init(BTreeSet::new);
        let (alone, leaders) = live(|live| (live.families <= 1, live.leaders.clone()));
        let mut roots: BTreeSet<i32> = self.leader_id().into_iter().collect();
        let mut clear = true;
        for one in proc::descendants(all, &BTreeSet::from([us])) {
            if others.contains(&one.identity()) || leaders.contains(&one.id) {
                continue;
            }
            let environment = one.environment();
            let is_ours = known.contains(&one.identity())
                || environment.has(&wanted)
                || self.folder.as_ref().is_some_and(|folder| one.is_in(folder));
            // Programs of a family have process groups of their own; other children of this process stay in its group.
            let is_orphan = one.parent == us && one.group != getpgrp().as_raw_nonzero().get();
            if is_ours || (alone && is_orphan) {
                roots.insert(one.id);
            } else if is_orphan {
                clear &= !matches!(environment, Environment::Empty);
            }
        }
        let is_root = |one: &&Proc| roots.contains(&one.id) && Some(one.id) != self.leader_id();
        let mut found: Vec<&Proc> = all.iter().filter(is_root).collect();
        let children = proc::descendants(all, &roots);
        found.extend(children.iter().filter(|one| !leaders.contains(&one.id)));
        (found, clear)
    }

    /// Whether a process is the leader and runs. After the owner has waited for the leader, another process may get
    /// its id.
    fn is_running_leader(&self, one: &Proc) -> bool {
        let us = getpid().as_raw_nonzero().get();
        Some(one.id) == self.leader_id() && one.parent == us && !one.is_zombie
    }

    fn leader_id(&self) -> Option<i32> {
        self.leader.map(|leader| leader.as_raw_nonzero().get())
    }
}

fn live<T>(change: impl FnOnce(&mut Live) -> T) -> T {
    change(&mut LIVE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The most rounds of [`Family::kill`], so that a program that forks without end does not keep the suite busy for ever.
const ROUNDS: usize = 100;

/// How many rounds to wait for orphans with an empty environment. An exec is over by then; some processes never get an
/// environment.
const UNCLEAR: usize = 5;

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::process::Process;

    /// A shell that runs `text`, and the file `done` in its folder.
    fn shell(text: &str) -> (Process, std::path::PathBuf) {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("done");
        let command = ["sh", "-c", text].map(str::to_owned);
        (Process::start(&command, folder).unwrap(), file)
    }

    async fn until_there(file: &std::path::Path) {
        while !file.exists() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn processor_time_of_a_program_and_its_children_is_counted() {
        let burn = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let (idle, there) = shell("touch done; exec sleep 1000");
        until_there(&there).await;
        let (busy, done) = shell(&format!("({burn}; touch done; exec sleep 1000) & wait"));
        until_there(&done).await;
        let (little, much) = (idle.effort(), busy.effort());
        assert!(much > little * 3, "{little:?} {much:?}");
        idle.stop().await;
        busy.stop().await;
    }

    #[tokio::test]
    async fn only_a_program_that_leaves_a_running_child_is_called_a_daemon() {
        for (text, is_daemon) in [("touch done", false), ("sleep 1000 & touch done", true)] {
            let (mut program, done) = shell(text);
            until_there(&done).await;
            let status = loop {
                match program.ended() {
                    Some(status) => break status,
                    None => tokio::task::yield_now().await,
                }
            };
            assert!(status.starts_with("exit status: 0"), "{status}");
            assert_eq!(status.contains("daemon"), is_daemon, "{status}");
            program.stop().await;
        }
    }
}
