//! The real program as a process.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{PATIENCE, free_port};

/// A server that runs until this is dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) port: u16,
    _folder: TempDir,
}

impl Program {
    /// Starts a server of the account "u" with the password "p", and returns when it listens. `members` are
    /// the other members of its configuration.
    pub(crate) fn start(members: &str, flags: &[&str], stderr: Stdio) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = format!(
            r#"{{"ip": "127.0.0.1", "port": {port}, "username": "u", "password": "p", {members}}}"#
        );
        fs::write(folder.path().join("server_config.json"), config).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_netroxy-server"))
            .current_dir(folder.path())
            .args(flags)
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut program = Self {
            child,
            port,
            _folder: folder,
        };
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = program.child.try_wait().unwrap();
            assert!(ended.is_none(), "the server has ended: {ended:?}");
            assert!(Instant::now() < until, "the server does not listen");
            sleep(Duration::from_millis(10));
        }
        program
    }

    /// A connection to its port. A read that takes longer than [`PATIENCE`] fails.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a signal, named as kill(1) names it.
    pub(crate) fn signal(&self, name: &str) {
        // The shell has its own kill; the program is not installed everywhere.
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads up to the end of a text.
pub(crate) fn read_up_to(connection: &mut TcpStream, last: &str) -> String {
    let mut seen = String::new();
    while !seen.ends_with(last) {
        let mut byte = [0];
        let count = connection.read(&mut byte).unwrap();
        assert_eq!(count, 1, "the connection was closed after {seen:?}");
        seen.push(char::from(byte[0]));
    }
    seen
}
