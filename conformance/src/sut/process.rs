//! A program in a process group and a directory of its own.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::family::Family;
use crate::ports::FORKING;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A started program. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    family: Family,
    log: Arc<Mutex<VecDeque<u8>>>,
    collectors: JoinSet<()>,
    _directory: TempDir,
}

impl Process {
    /// Starts a program in a directory that holds its files.
    pub(super) fn start(command: &[String], directory: TempDir) -> io::Result<Self> {
        let (program, arguments) = command
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "an empty command"))?;
        let mut family = Family::new();
        let mut command = configure(program, arguments, directory.path());
        command.env(Family::VARIABLE, family.mark());
        let mut child = {
            let _forking = FORKING.write().unwrap_or_else(PoisonError::into_inner);
            command.spawn()?
        };
        family.leader(child.id());
        let log = Arc::default();
        let mut collectors = JoinSet::new();
        collect(&mut collectors, child.stdout.take(), &log);
        collect(&mut collectors, child.stderr.take(), &log);
        Ok(Self {
            child,
            family,
            log,
            collectors,
            _directory: directory,
        })
    }

    pub(super) fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.to_string()),
            Err(error) => Some(format!("cannot be watched: {error}")),
        }
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    pub(super) async fn log_tail(&mut self) -> String {
        // What it wrote last is often why it has ended; a child of its own may hold the pipe open for longer.
        if self.ended().is_some() {
            let rest = async { while self.collectors.join_next().await.is_some() {} };
            let _ = timeout(REST, rest).await;
        }
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = log.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    pub(super) async fn stop(mut self) {
        self.family.kill();
        // Waiting leaves no zombie; it cannot take long after a kill.
        let _ = self.child.wait().await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.family.kill();
    }
}

/// How long the rest of the output of an ended program is waited for.
const REST: Duration = Duration::from_millis(500);

/// How many lines of the log are shown.
const LINES: usize = 20;

/// How many bytes of the log are kept.
const KEPT: usize = 32 << 10;

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

/// Always reads, because a program whose output nobody takes may stop.
fn collect(
    collectors: &mut JoinSet<()>,
    source: Option<impl AsyncRead + Unpin + Send + 'static>,
    log: &Arc<Mutex<VecDeque<u8>>>,
) {
    let Some(mut source) = source else { return };
    let log = Arc::clone(log);
    collectors.spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = source.read(&mut buffer).await {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.extend(&buffer[..count]);
            let excess = log.len().saturating_sub(KEPT);
            log.drain(..excess);
        }
    });
}
