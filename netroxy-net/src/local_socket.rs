//! Requests of an administrator to a running program, over a Unix domain socket.
//!
//! A connection carries one request and one answer, each a JSON value on one line. The answer is `{"ok": ...}` with the
//! answer of the program, or `{"error": "..."}` if the request cannot be read. Only the account of the program, and
//! root, may connect.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

/// The longest request, in bytes, without its line feed.
pub const LONGEST_REQUEST: usize = 64 * 1024;
/// How many connections are served at a time. The others wait.
pub const MOST_CONNECTIONS: usize = 16;
/// The longest time that a connection may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long the client of the socket waits. It is longer than [`DEADLINE`], so that the reason for a failure arrives.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 64 * 1024 * 1024;

/// A socket on which a program answers its administrator. Dropping it removes the file.
#[derive(Debug)]
pub struct LocalSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file. Another program may replace the file; then it is not removed.
    file: (u64, u64),
}

/// An answer.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reply<A> {
    Ok(A),
    Error(String),
}

impl LocalSocket {
    /// Listens at `path`, with mode 0600. It replaces a socket file if no program listens on it. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if a running program listens there, `AlreadyExists` if the file is no socket, `InvalidInput` if the
    /// path is too long for a socket (about 100 bytes), or the error of the system about the folder.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let address = address(path)?;
        remove_stale(path, &address)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address)?;
        let listening = (|| {
            // Before `listen` no program can connect, so the mode is set in time.
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
            let file = identity(path)?;
            socket.listen(64)?;
            Ok((UnixListener::from_std(socket.into())?, file))
        })();
        match listening {
            Ok((listener, file)) => Ok(Self {
                listener,
                path: path.to_owned(),
                file,
            }),
            Err(error) => {
                let _ = fs::remove_file(path);
                Err(error)
            }
        }
    }

    /// The path of the socket file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers each request by `handler`, until the future is dropped. At most [`MOST_CONNECTIONS`] are served at a
    /// time, each for at most 5 s, the time of the handler included. A request that is no `Q` gets an error and does
    /// not reach the handler.
    pub async fn serve<Q, A, F>(&self, handler: impl Fn(Q) -> F + Send + Sync + 'static)
    where
        Q: DeserializeOwned + Send + 'static,
        A: Serialize + Send + 'static,
        F: Future<Output = A> + Send + 'static,
    {
        self.serve_within(DEADLINE, handler).await;
    }

    async fn serve_within<Q, A, F>(
        &self,
        deadline: Duration,
        handler: impl Fn(Q) -> F + Send + Sync + 'static,
    ) where
        Q: DeserializeOwned + Send + 'static,
        A: Serialize + Send + 'static,
        F: Future<Output = A> + Send + 'static,
    {
        const PAUSE: Duration = Duration::from_millis(100);
        let handler = Arc::new(handler);
        let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut warned = false;
        loop {
            // It fails only for a closed semaphore, and this one is never closed.
            let Ok(slot) = slots.clone().acquire_owned().await else {
                return;
            };
            while connections.try_join_next().is_some() {}
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let handler = handler.clone();
                    connections.spawn(async move {
                        match timeout(deadline, answer(stream, &*handler)).await {
                            Ok(Ok(())) => {}
                            Ok(Err(error)) => {
                                debug!(%error, "a connection of the local socket broke")
                            }
                            Err(_) => {
                                debug!("closed a connection of the local socket: it took too long")
                            }
                        }
                        drop(slot);
                    });
                }
                Err(error) => {
                    if !std::mem::replace(&mut warned, true) {
                        warn!(%error, "cannot accept connections of the local socket; trying again");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            // If the file cannot be removed, the next program replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

async fn answer<Q, A, F>(mut stream: UnixStream, handler: &impl Fn(Q) -> F) -> io::Result<()>
where
    Q: DeserializeOwned,
    A: Serialize,
    F: Future<Output = A>,
{
    let mut line = Vec::new();
    let limit = LONGEST_REQUEST as u64 + 1;
    tokio::io::BufReader::new((&mut stream).take(limit))
        .read_until(b'\n', &mut line)
        .await?;
    if line.is_empty() {
        return Ok(());
    }
    let reply = if line.len() > LONGEST_REQUEST && line.last() != Some(&b'\n') {
        Reply::Error(format!(
            "the request is longer than {LONGEST_REQUEST} bytes"
        ))
    } else {
        match serde_json::from_slice(&line) {
            Ok(request) => Reply::Ok(handler(request).await),
            Err(error) => Reply::Error(format!("the request cannot be read: {error}")),
        }
    };
    let mut bytes = serde_json::to_vec(&reply)?;
    bytes.push(b'\n');
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}

/// Sends a request to the program that listens at `path`, and waits up to 15 s for the answer. It blocks the thread: it
/// is for a command-line program.
///
/// # Errors
///
/// `NotFound` or `ConnectionRefused` if no program listens there, `PermissionDenied` for another account,
/// `InvalidInput` if the request is longer than [`LONGEST_REQUEST`], `InvalidData` if the program cannot read the
/// request or the answer is no `A`, `TimedOut`, or `UnexpectedEof` if the program closed the connection before the end
/// of its answer.
pub fn ask<A: DeserializeOwned>(path: &Path, request: &impl Serialize) -> io::Result<A> {
    let mut bytes = serde_json::to_vec(request)?;
    if bytes.len() > LONGEST_REQUEST {
        let message = format!("the request is longer than {LONGEST_REQUEST} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    bytes.push(b'\n');
    address(path)?;
    let mut stream = BlockingStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&bytes).map_err(timed_out)?;
    let mut line = Vec::new();
    BufReader::new(stream.take(LONGEST_ANSWER))
        .read_until(b'\n', &mut line)
        .map_err(timed_out)?;
    if line.last() != Some(&b'\n') {
        let message = "the program closed the connection before the end of its answer";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
    }
    match serde_json::from_slice(&line) {
        Ok(Reply::Ok(answer)) => Ok(answer),
        Ok(Reply::Error(message)) => Err(io::Error::new(io::ErrorKind::InvalidData, message)),
        Err(error) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the answer cannot be read: {error}"),
        )),
    }
}

/// Makes one kind of the two kinds of error that systems give for a time-out.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

fn address(path: &Path) -> io::Result<SockAddr> {
    SockAddr::unix(path).map_err(|error| {
        let length = path.as_os_str().len();
        let message = format!(
            "{} cannot be the path of a local socket: {error}; it has {length} bytes, and about \
             100 are allowed",
            path.display()
        );
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })
}

/// Removes a socket file if no program listens on it.
fn remove_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        let message = format!("{} exists and is no socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A program whose queue is full would block this call. It counts as running.
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        _ => {
            let message = format!("a running program listens at {}", path.display());
            Err(io::Error::new(io::ErrorKind::AddrInUse, message))
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
#[path = "local_socket/tests.rs"]
mod tests;
