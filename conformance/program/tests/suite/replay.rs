//! Recordings of runs are judged again, played and exported.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn suite(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netroxy-conformance"))
        .args(arguments)
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Records some cases of the reference; the file of each.
fn recorded(folder: &Path, role: &str, ids: &[&str]) -> Vec<String> {
    let record = folder.display().to_string();
    let run = suite(
        &[
            &["run", role, "--jobs", "200", "--profile", "hardened"][..],
            &["--record", &record],
            ids,
        ]
        .concat(),
    );
    assert_eq!(run.status.code(), Some(0), "{}", out(&run));
    let file = |id: &&str| format!("{record}/{id}.recording");
    ids.iter().map(file).collect()
}

#[test]
fn the_recording_of_a_passed_case_has_no_violation() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = recorded(
        folder.path(),
        "server",
        &[
            "server/tunnel/early-data",
            "server/auth/bad-password",
            "server/map/conflict-same-client",
        ],
    );
    let client = ["client/tunnel/echo", "client/tunnel/target-refuses"];
    files.extend(recorded(folder.path(), "client", &client));
    for file in files {
        let again = suite(&["replay", &file]);
        let text = out(&again);
        assert_eq!(again.status.code(), Some(0), "{file}: {text}");
        assert!(
            text.contains("0 violations (server 0, client 0)\n")
                && text.ends_with(" passed, 0 failed, 0 skipped\n"),
            "{text}"
        );
    }
}

#[test]
fn no_recording_of_the_reference_has_a_violation() {
    for side in ["server", "client"] {
        let folder = tempfile::tempdir().unwrap();
        recorded(folder.path(), side, &[]);
        let files = files(folder.path());
        assert!(files.len() > 100, "{files:?}");
        // A recording does not show how long the machine was busy with other tests.
        let mut arguments = vec!["replay", "--time-scale", "2"];
        arguments.extend(files.iter().filter_map(|file| file.to_str()));
        let text = out(&suite(&arguments));
        let mut summaries = text.lines().filter(|line| line.ends_with(')'));
        for file in &files {
            // Only those of the judged side: the suite breaks rules on purpose.
            let summary = summaries.next().unwrap_or_default();
            if !summary.contains(&format!("{side} 0")) {
                let recording = std::fs::read_to_string(file).unwrap();
                panic!("{}: {summary}\n{recording}\n{text}", file.display());
            }
        }
    }
}

/// A recording in which the server answers after 3.5 seconds.
const LATE: &str = "recording 1
title    late
role     server
over     plain
server   127.0.0.1:80
began    2026-01-01T00:00:00.000001Z

         0.000100  ctl   connect server
         0.000200  ctl   > ATH home alice secret
         0.000300  ctl   < ARS true 30 token
         0.000400  ctl   > SRQ
         3.500000  ctl   < SRS
end      5 steps
";

#[test]
fn several_recordings_are_judged_and_the_time_scale_extends_the_deadlines() {
    let folder = tempfile::tempdir().unwrap();
    let [late, soon] = ["late", "soon"].map(|name| format!("{}/{name}", folder.path().display()));
    std::fs::write(&late, LATE).unwrap();
    std::fs::write(&soon, LATE.replace("3.5", "0.5")).unwrap();
    let both = suite(&["replay", &soon, &late]);
    let text = out(&both);
    assert!(text.contains("VIOLATION server keep.srs"), "{text}");
    let last = "conformance: 1 passed, 1 failed, 0 skipped\n";
    assert!(text.ends_with(last), "{text}");
    assert_eq!(both.status.code(), Some(1));
    let scaled = suite(&["replay", "--time-scale", "2", &soon, &late]);
    assert_eq!(scaled.status.code(), Some(0), "{}", out(&scaled));
    for (flags, message) in [
        (vec!["--reference"], "one recording can be played"),
        (vec!["--case"], "one recording can be played"),
        (vec!["--report", "json:-"], "nothing is played"),
    ] {
        let wrong = suite(&[&["replay", &soon, &late][..], &flags].concat());
        let text = String::from_utf8_lossy(&wrong.stderr);
        assert!(text.contains(message), "{text}");
        assert_eq!(wrong.status.code(), Some(2));
    }
}

/// All files of a folder and of those in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[test]
fn a_recording_is_played_and_a_changed_one_fails() {
    let folder = tempfile::tempdir().unwrap();
    let files = recorded(folder.path(), "server", &["server/tunnel/early-data"]);
    let file = files[0].as_str();
    let case = out(&suite(&["replay", file, "--case"]));
    assert!(
        case.contains("ctl   > ATH $name $username $password\n"),
        "{case}"
    );
    assert!(
        case.contains("\"TRS\\n$token\\n$port\\nEARLY\"\n"),
        "{case}"
    );
    let again = suite(&["replay", file, "--reference"]);
    assert_eq!(again.status.code(), Some(0), "{}", out(&again));
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("\nserver   127.0.0.1:"), "{text}");
    let other = folder.path().join("other.recording");
    std::fs::write(&other, text.replace("<< \"LATER\"", "<< \"NEVER\"")).unwrap();
    let different = suite(&["replay", &other.display().to_string(), "--reference"]);
    assert_eq!(different.status.code(), Some(1));
    assert!(
        out(&different).contains("got       << \"LATER\""),
        "{}",
        out(&different)
    );
}

#[test]
fn the_recording_of_a_client_is_played() {
    let folder = tempfile::tempdir().unwrap();
    let files = recorded(folder.path(), "client", &["client/tunnel/echo"]);
    let again = suite(&["replay", &files[0], "--reference"]);
    assert_eq!(again.status.code(), Some(0), "{}", out(&again));
}

#[test]
fn a_recording_becomes_a_capture() {
    let folder = tempfile::tempdir().unwrap();
    let files = recorded(folder.path(), "server", &["server/auth/good-login"]);
    let capture = folder.path().join("a.pcapng");
    let export = suite(&[
        "export",
        &files[0],
        "--pcap",
        &capture.display().to_string(),
    ]);
    assert_eq!(export.status.code(), Some(0));
    let bytes = std::fs::read(&capture).unwrap();
    let ath = b"ATH\nprobe";
    assert!(bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]));
    assert!(bytes.windows(ath.len()).any(|window| window == ath));
}

#[test]
fn a_file_that_is_not_a_recording_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.recording");
    std::fs::write(&file, "recording 1\ntitle    x\nrole     nobody\n").unwrap();
    let refused = suite(&["replay", &file.display().to_string()]);
    assert_eq!(refused.status.code(), Some(2));
    let text = String::from_utf8(refused.stderr).unwrap();
    let place = "line 3, column 10: expected `server`, `client`, `pair` or `tap`, found `nobody`";
    assert!(text.contains(place), "{text}");
}
