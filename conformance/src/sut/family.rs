//! Everything that a started program has started: found by a mark in the environment, wherever it has hidden.
//!
//! A process group ends with one signal, but a program may leave it. So each program is started with a variable of its
//! own in its environment, which its children inherit; `/proc` tells who has it. Where there is no `/proc`, only the
//! group is ended. (A signal at the death of the suite itself would need code between fork and exec, which is unsafe
//! code; so whoever kills the suite with SIGKILL has to end the programs too.)

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitOptions, kill_process, kill_process_group, set_child_subreaper, waitpid,
};

/// A program and its descendants.
#[derive(Debug)]
pub(super) struct Family {
    mark: String,
    group: Option<Pid>,
}

impl Family {
    /// The name of the variable.
    pub(super) const VARIABLE: &'static str = "NETROXY_CONFORMANCE_INSTANCE";

    /// Nobody belongs to it yet.
    pub(super) fn new() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        // Orphans come to us, so that they can be waited for. Where they do not, the system takes care of them.
        let _ = set_child_subreaper(Some(rustix::process::getpid()));
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        Self {
            mark: format!("{}-{count}", std::process::id()),
            group: None,
        }
    }

    /// The value of the variable.
    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// The program leads a process group of its own.
    pub(super) fn leader(&mut self, id: Option<u32>) {
        let id = id.and_then(|id| i32::try_from(id).ok());
        self.group = id.and_then(Pid::from_raw);
    }

    /// Kills all of them, and those that were started in the meantime.
    pub(super) fn kill(&self) {
        if let Some(group) = self.group {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let mut unclear = 0;
        for _ in 0..ROUNDS {
            let (strays, clear) = self.strays();
            if strays.is_empty() {
                unclear += 1;
                if clear || unclear > UNCLEAR {
                    return;
                }
            }
            for stray in strays {
                let _ = kill_process(stray, Signal::KILL);
                // It is our child once its parent is gone; until then the parent waits for it, or the next round.
                let _ = waitpid(Some(stray), WaitOptions::NOHANG);
            }
            sleep(PAUSE);
        }
    }

    /// Those outside the group that are still there, and whether that is all of them.
    fn strays(&self) -> (Vec<Pid>, bool) {
        let wanted = format!("{}={}", Self::VARIABLE, self.mark);
        let (mut found, mut clear) = (Vec::new(), true);
        let processes = fs::read_dir("/proc").into_iter().flatten();
        for folder in processes.filter_map(Result::ok) {
            let name = folder.file_name();
            let id = name.to_str().and_then(|name| name.parse().ok());
            let Some(pid) = id.and_then(Pid::from_raw) else {
                continue;
            };
            // The program itself is waited for by its owner.
            if Some(pid) == self.group {
                continue;
            }
            let environment = fs::read(folder.path().join("environ"));
            match environment.as_deref() {
                // In the middle of an exec the new environment is not there yet. Threads of the system and who has
                // ended have none either, and no program.
                Ok([]) => clear &= fs::read_link(folder.path().join("exe")).is_err(),
                Ok(all)
                    if all
                        .split(|byte| *byte == 0)
                        .any(|one| one == wanted.as_bytes()) =>
                {
                    found.push(pid);
                }
                _ => {}
            }
        }
        (found, clear)
    }
}

/// More rounds than a fork bomb deserves.
const ROUNDS: usize = 100;

/// How often to look again at who has no environment: an exec is over by then, and some never have one.
const UNCLEAR: usize = 5;

/// For the system to carry out a kill.
const PAUSE: Duration = Duration::from_millis(1);
