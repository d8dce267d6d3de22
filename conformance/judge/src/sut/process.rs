//! A program that runs in its own process group and its own directory.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::family::Family;
use super::launcher::Launcher;
use super::log::Log;
use super::remains::{self, note_survivors};
use crate::descriptors::Noted as _;
use crate::ports::FORKING;
use crate::times::{OUTPUT_PAUSE, OUTPUT_REST};

/// A started program. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    family: Family,
    launcher: Launcher,
    /// How it ended; `None` while it runs.
    status: Option<String>,
    log: Arc<Mutex<Log>>,
    collectors: JoinSet<()>,
    _directory: TempDir,
}

impl Process {
    /// Starts a program in a directory that holds its files.
    pub(super) fn start(command: &[String], directory: TempDir) -> io::Result<Self> {
        let mut family = Family::new(Some(directory.path()));
        let mut command = command.to_vec();
        let launcher = Launcher::prepare(&mut command, family.mark());
        let (program, arguments) = command
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "an empty command"))?;
        let mut command = configure(program, arguments, directory.path());
        command.env(Family::VARIABLE, family.mark());
        let mut child = {
            let _forking = FORKING.write().unwrap_or_else(PoisonError::into_inner);
            let child = command.spawn().noted()?;
            family.leader(child.id());
            child
        };
        let log = Arc::default();
        let mut collectors = JoinSet::new();
        collect(&mut collectors, child.stdout.take(), &log);
        collect(&mut collectors, child.stderr.take(), &log);
        Ok(Self {
            child,
            family,
            launcher,
            status: None,
            log,
            collectors,
            _directory: directory,
        })
    }

    pub(super) fn ended(&mut self) -> Option<String> {
        if self.status.is_none() {
            self.status = match self.child.try_wait() {
                Ok(None) => None,
                Ok(Some(status)) => Some(told(status, self.family.left_behind())),
                Err(error) => Some(format!("cannot be watched: {error}")),
            };
        }
        self.status.clone()
    }

    /// The processor time that it and its descendants have used.
    pub(super) fn effort(&self) -> Duration {
        self.family.effort()
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    pub(super) async fn log_tail(&mut self) -> String {
        // The last output often tells why the program ended. A child may hold the pipe open, so the wait has a limit.
        if self.ended().is_some() {
            let rest = async { while self.collectors.join_next().await.is_some() {} };
            let _ = timeout(OUTPUT_REST, rest).await;
        }
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.tail()
    }

    pub(super) async fn stop(mut self) {
        self.end();
        // Waiting removes the zombie and is short after a kill. The limit is for a program that the suite cannot kill.
        let _ = timeout(OUTPUT_REST, self.child.wait()).await;
    }

    /// Kills the program and its descendants, and notes those that it cannot kill.
    fn end(&mut self) {
        if self.family.is_ended() {
            return;
        }
        let mut survivors = self.family.kill();
        let forbidden = survivors.iter().filter(|one| one.forbidden);
        let forbidden: Vec<i32> = forbidden.map(|one| one.id).collect();
        if !forbidden.is_empty() {
            self.launcher.kill(&forbidden);
            survivors = self.family.kill();
        }
        self.family.end();
        note_survivors(&survivors);
        if let Err(why) = self.launcher.remove() {
            remains::note(why.to_string());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// How a program ended, and the likely cause if its status and the process it left behind show one.
fn told(status: ExitStatus, left_behind: Option<(i32, String)>) -> String {
    match (left_behind, status.code()) {
        (Some((id, name)), Some(0)) => format!(
            "{status}, and process {id}, `{name}`, goes on without it: it seems to put itself into the background as \
a daemon; let it stay in the foreground, often by a flag such as --foreground or -D"
        ),
        (_, Some(126)) => {
            format!("{status}, by which a shell or `env` says that a program may not be executed")
        }
        (_, Some(127)) => {
            format!("{status}, by which a shell or `env` says that it has not found a program")
        }
        _ => status.to_string(),
    }
}

fn configure(program: &str, arguments: &[String], directory: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// Reads all output in a task, because a program blocks if its output is not read.
fn collect(
    collectors: &mut JoinSet<()>,
    source: Option<impl AsyncRead + Unpin + Send + 'static>,
    log: &Arc<Mutex<Log>>,
) {
    let Some(mut source) = source else { return };
    let log = Arc::clone(log);
    collectors.spawn(async move {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = source.read(&mut buffer).await {
            let much = {
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                log.add(&buffer[..count])
            };
            if much {
                // A program that writes without end must not take the processor from the other tasks.
                sleep(OUTPUT_PAUSE).await;
            }
        }
    });
}
