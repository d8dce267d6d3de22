//! Finds the git commit of this build, for `--version`. Without git, or outside of a checkout of
//! this project, there is none, and nothing fails.

use std::{env, fs, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let commit = packaged().or_else(checked_out);
    if let Some(commit) = commit {
        println!("cargo::rustc-env=NETROXY_COMMIT={commit}");
    }
}

/// What `cargo package` notes in the crate.
fn packaged() -> Option<String> {
    let noted = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, after) = noted.split_once("\"sha1\"")?;
    commit(after.split('"').nth(1)?)
}

/// The commit of the checkout that this crate is a part of; no other one that it may lie in.
fn checked_out() -> Option<String> {
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let own = env::current_dir().ok()?;
    if Path::new(&top).join("netroxy-net").canonicalize().ok()? != own.canonicalize().ok()? {
        return None;
    }
    // A commit and a checkout write to these. A file that does not exist would make each build new.
    let branch = git(&["symbolic-ref", "-q", "HEAD"]);
    let names = ["HEAD", "logs/HEAD", "packed-refs"];
    for name in names.into_iter().chain(branch.as_deref()) {
        if let Some(path) = git(&["rev-parse", "--git-path", name])
            && Path::new(&path).exists()
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["ls-files", "--error-unmatch", "build.rs"])?;
    commit(&git(&["rev-parse", "HEAD"])?)
}

/// The first 12 digits.
fn commit(text: &str) -> Option<String> {
    let digits = text.get(..12)?;
    let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex.then(|| digits.to_owned())
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
