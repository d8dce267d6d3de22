//! The sources and their dependencies have no clock, no socket and no random source.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_dependencies_do_no_io() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package", "netroxy-proto"])
        .args(["--edges", "normal", "--prefix", "none", "--all-features"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let names: Vec<&str> = tree.lines().filter_map(|l| l.split(' ').next()).collect();
    assert!(
        names.contains(&"nom"),
        "this is no tree of dependencies: {tree}"
    );
    for banned in [
        "tokio",
        "mio",
        "socket2",
        "rand",
        "rand_core",
        "getrandom",
        "libc",
        "std",
        "time",
        "chrono",
        "async-std",
        "smol",
        "fastrand",
    ] {
        assert!(!names.contains(&banned), "{banned} in {tree}");
    }
}

#[test]
fn the_crate_is_no_std() {
    let lib = include_str!("../../src/lib.rs");
    assert!(lib.lines().any(|line| line == "#![no_std]"));
    assert!(lib.contains("#[cfg(test)]\nextern crate std;"));
    assert_eq!(lib.matches("extern crate std").count(), 1);
}

#[test]
fn the_sources_do_not_name_std() {
    let mut files = 0;
    visit(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        &mut |path, source| {
            files += 1;
            let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
            for (number, line) in code.lines().enumerate() {
                let at = || format!("{}:{}: {line}", path.display(), number + 1);
                let code = line.split("//").next().unwrap();
                assert!(!code.contains("std::"), "{}", at());
                assert!(!code.contains("unsafe"), "{}", at());
            }
        },
    );
    assert!(files > 10, "only {files} files were read");
}

fn visit(folder: &Path, each: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, each);
        } else {
            each(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}
