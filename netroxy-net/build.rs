//! Finds the git commit of this build, for `--version`. Without git, or outside of a checkout of this project, the
//! version has no commit, and the build goes on.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let commit = packaged().or_else(checked_out);
    if let Some(commit) = commit {
        println!("cargo::rustc-env=NETROXY_COMMIT={commit}");
    }
}

/// The commit that `cargo package` has stored in the crate.
fn packaged() -> Option<String> {
    let noted = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, after) = noted.split_once("\"sha1\"")?;
    commit(after.split('"').nth(1)?)
}

/// The commit of the checkout of this project. A checkout of another project around this crate does not count.
fn checked_out() -> Option<String> {
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let own = env::current_dir().ok()?;
    if Path::new(&top).join("netroxy-net").canonicalize().ok()? != own.canonicalize().ok()? {
        return None;
    }
    // `git commit` and `git checkout` write to these files. With a file that does not exist, cargo would run this
    // script in every build.
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

/// The first 12 digits, if they are hexadecimal.
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
