//! Everything that a started program has started: found wherever it has hidden, and ended.
//!
//! A process group ends with one signal, but a program may leave it. So this program adopts all orphans among its
//! descendants, and `/proc` tells who descends from whom. An orphan belongs to the family whose variable is in its
//! environment, or in whose folder it works; one that has thrown away both is ended when no family is left that it
//! could belong to. Where there is no `/proc`, only the group is ended. (A signal at the death of the suite itself would
//! need code between fork and exec, which is unsafe code; so whoever kills the suite with SIGKILL has to end the
//! programs too.)

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

/// A program and its descendants. Whoever drops it has to have ended it.
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
    /// It belongs to another user.
    pub(crate) forbidden: bool,
}

/// The families that have not been ended.
static LIVE: Mutex<Live> = Mutex::new(Live {
    families: 0,
    leaders: BTreeSet::new(),
});

#[derive(Debug)]
struct Live {
    families: usize,
    leaders: BTreeSet<i32>,
}

/// Those who were there before the first family, and children of ours from before an exec among them.
static OTHERS: OnceLock<BTreeSet<(i32, u64)>> = OnceLock::new();

impl Family {
    /// The name of the variable.
    pub(crate) const VARIABLE: &'static str = "NETROXY_CONFORMANCE_INSTANCE";

    /// Nobody belongs to it yet; its programs work in `folder`, if that is theirs alone.
    pub(crate) fn new(folder: Option<&Path>) -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        // Orphans come to us, so that they can be found and waited for.
        let _ = set_child_subreaper(Some(getpid()));
        OTHERS.get_or_init(|| proc::all().iter().map(Proc::identity).collect());
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        live(|live| live.families += 1);
        Self {
            mark: format!("{}-{count}", std::process::id()),
            // As the system writes it.
            folder: folder.and_then(|folder| folder.canonicalize().ok()),
            leader: None,
            ended: false,
        }
    }

    /// The value of the variable.
    pub(crate) fn mark(&self) -> &str {
        &self.mark
    }

    /// The program leads a process group of its own.
    pub(crate) fn leader(&mut self, id: Option<u32>) {
        let id = id.and_then(|id| i32::try_from(id).ok());
        self.leader = id.and_then(Pid::from_raw);
        if let Some(leader) = self.leader {
            live(|live| live.leaders.insert(leader.as_raw_nonzero().get()));
        }
    }

    /// Whether it is known to have ended.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Nobody belongs to it any more, as far as that can be brought about.
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

    /// The processor time that all of them have used.
    pub(crate) fn effort(&self) -> Duration {
        let all = proc::all();
        let leader = all.iter().filter(|one| Some(one.id) == self.leader_id());
        let others = self.look(&all, &BTreeSet::new()).0;
        leader.chain(others).map(Proc::effort).sum()
    }

    /// One that runs although the program itself has ended.
    pub(crate) fn left_behind(&self) -> Option<(i32, String)> {
        let all = proc::all();
        let (others, _) = self.look(&all, &BTreeSet::new());
        let running = others.iter().find(|one| !one.is_zombie)?;
        Some((running.id, running.name.clone()))
    }

    /// Kills all of them, and those that were started in the meantime; tells which could not be killed.
    pub(crate) fn kill(&self) -> BTreeSet<Survivor> {
        let (mut known, mut unclear, mut survivors) = (BTreeSet::new(), 0, BTreeSet::new());
        for round in 0..ROUNDS {
            let all = proc::all();
            let (found, clear) = self.look(&all, &known);
            // Who descends from whom is lost when somebody in between ends.
            known.extend(found.iter().map(|one| one.identity()));
            if let Some(leader) = self.leader.filter(|_| round == 0) {
                // It may have ended by itself.
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
                // The owner of the leader waits for it. Others are our children once their parents are gone, and a program of
                // many threads is not gone at once.
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
            // What was forked before the group ended shows in the second round.
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

    /// Those that are there apart from the leader, and whether that is surely all of them.
    ///
    /// `known` are members that were seen before.
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
            // What others in this program start stays in its group, and what we start does not.
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

    /// Once its owner has waited for it, its number may be that of somebody else.
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

/// More rounds than a fork bomb deserves.
const ROUNDS: usize = 100;

/// How often to look again at who has no environment: an exec is over by then, and some never have one.
const UNCLEAR: usize = 5;

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::process::Process;

    /// A shell, and the file by which it tells how far it is.
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
    async fn only_a_program_that_leaves_somebody_behind_is_called_a_daemon() {
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
