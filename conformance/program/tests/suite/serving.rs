//! Starts `serve` in a folder, for tests over HTTP or with a browser.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(crate) struct Serving {
    pub(crate) child: Child,
    /// Its address and port.
    pub(crate) host: String,
}

impl Serving {
    pub(crate) fn start(folder: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_netroxy-conformance"))
            .args(["serve", ".", "--listen", "127.0.0.1:0"])
            .args(more)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.as_mut().unwrap());
        out.read_line(&mut line).unwrap();
        let host = line.trim().strip_prefix("serving . at http://").unwrap();
        let host = host.strip_suffix('/').unwrap().to_owned();
        Self { child, host }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It still runs if a test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
