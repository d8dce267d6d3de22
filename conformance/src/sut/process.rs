//! A program in a process group and a directory of its own.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// A started program. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
    log: Arc<Mutex<VecDeque<u8>>>,
    _directory: TempDir,
}

impl Process {
    /// Starts a program in a directory that holds its files.
    pub(super) fn start(command: &[String], directory: TempDir) -> io::Result<Self> {
        let (program, arguments) = command
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "an empty command"))?;
        let mut child = configure(program, arguments, directory.path()).spawn()?;
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        let log = Arc::default();
        collect(child.stdout.take(), &log);
        collect(child.stderr.take(), &log);
        Ok(Self {
            child,
            group,
            log,
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

    pub(super) fn log_tail(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = log.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    pub(super) async fn stop(mut self) {
        self.kill();
        // Waiting leaves no zombie; it cannot take long after a kill.
        let _ = self.child.wait().await;
    }

    fn kill(&self) {
        if let Some(group) = self.group {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

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
    source: Option<impl AsyncRead + Unpin + Send + 'static>,
    log: &Arc<Mutex<VecDeque<u8>>>,
) {
    let Some(mut source) = source else { return };
    let log = Arc::clone(log);
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = source.read(&mut buffer).await {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.extend(&buffer[..count]);
            let excess = log.len().saturating_sub(KEPT);
            log.drain(..excess);
        }
    });
}
