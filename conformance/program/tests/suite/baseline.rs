//! Baselines: they are written and checked, and any change fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

/// A case that passes against the reference, and fails against a server that does not answer SRQ.
const FAILS: &str = "server/keepalive/answer";

fn run(folder: &TempDir, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_netroxy-conformance"))
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

fn baseline(folder: &TempDir, sut: &str, entries: &Value) -> PathBuf {
    let path = folder.path().join("known.json");
    let list = json!({
        "format": "netroxy-baseline-1", "sut": sut, "role": "server", "spec": "0.3",
        "profile": "wire", "entries": entries,
    });
    fs::write(&path, format!("{list:#}\n")).unwrap();
    path
}

fn entry(run: &str) -> Value {
    json!({
        "run": run, "verdict": "fail", "rules": ["keep.srs"], "expected": "ctl   < SRS",
        "got": "nothing in N s; the connection is open", "why": "it does not know SRQ",
    })
}

fn judge(folder: &TempDir, entries: &Value, ids: &[&str]) -> (i32, String) {
    let path = baseline(folder, "reference-server", entries);
    let fixed = ["run", "server", "--baseline", path.to_str().unwrap()];
    run(folder, &[&fixed[..], ids].concat())
}

fn last(text: &str) -> &str {
    text.lines().last().unwrap()
}

#[test]
fn a_listed_failure_that_passes_fails_the_run() {
    let folder = TempDir::new().unwrap();
    let (code, text) = judge(&folder, &json!([entry(FAILS)]), &[FAILS]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("UNEXPECTED") && text.contains("listed as fail, and it passes: remove"),
        "{text}"
    );
    assert_eq!(last(&text), "conformance: 1 passed, 1 failed, 0 skipped");
}

#[test]
fn a_race_may_pass() {
    let folder = TempDir::new().unwrap();
    let mut race = entry(FAILS);
    race["sometimes"] = json!(true);
    let (code, text) = judge(&folder, &json!([race]), &[FAILS]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_listed_failure_that_is_skipped_fails_the_run() {
    let folder = TempDir::new().unwrap();
    let run = "server/map/port-zero";
    let (code, text) = judge(&folder, &json!([entry(run)]), &[run, FAILS]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("listed as fail, and it is skipped"), "{text}");
}

#[test]
fn a_listed_case_that_is_not_selected_has_no_effect() {
    let folder = TempDir::new().unwrap();
    let (code, text) = judge(&folder, &json!([entry("server/auth/good-login")]), &[FAILS]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("reference-server: 2 of 2 cases"), "{text}");
}

/// The manifest of a server that accepts every login and answers nothing else: this test program.
fn mute_server(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("mute.json");
    let own = std::env::current_exe().unwrap();
    let manifest = json!({
        "name": "mute", "role": "server", "transports": ["plain"], "start_deadline_ms": 60_000, "still": 1,
        "launch": {
            "command": [own, "--exact", "baseline::fake", "--nocapture"],
            "files": { "port": { "text": "{{port}}" }, "timeout": { "text": "{{timeout}}" } },
        },
    });
    fs::write(&path, manifest.to_string()).unwrap();
    path
}

/// Not a test, but the server: it does nothing unless a file holds its port.
#[test]
fn fake() {
    let Ok(port) = fs::read_to_string("port") else {
        return;
    };
    let listener = std::net::TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    let timeout = fs::read_to_string("timeout").unwrap();
    for stream in listener.incoming() {
        let answer = format!("ARS\ntrue\n{timeout}\n0123456789abcdef0123456789abcdef\n");
        std::thread::spawn(move || {
            use std::io::{BufRead, BufReader, Write};
            let stream = stream.unwrap();
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            for line in lines {
                if line == "ATH" {
                    let mut writer = &stream;
                    let _ = writer.write_all(answer.as_bytes());
                }
            }
        });
    }
}

const ONLY: [&str; 2] = ["server/keepalive/answer@plain", "--time-scale=0.2"];

/// The failures of the mute server, from a report.
fn known(folder: &TempDir, sut: &Path) -> Value {
    let report = folder.path().join("report.json");
    let sut = sut.to_str().unwrap();
    let report_argument = format!("json:{}", report.display());
    let fixed = ["run", "server", "--sut", sut, "--report", &report_argument];
    let (code, text) = run(folder, &[&fixed[..], &ONLY].concat());
    assert_eq!(code, 1, "{text}");
    let report: Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
    let red = report["results"].as_array().unwrap().iter();
    let red: Vec<Value> = red
        .filter(|result| result["verdict"] == "fail")
        .map(|result| {
            json!({
                "run": result["id"], "verdict": "fail", "rules": result["broken"]["rules"],
                "expected": result["broken"]["expected"],
                "got": "nothing in N s; the connection is open", "why": "it is mute",
            })
        })
        .collect();
    assert_eq!(red.len(), 1, "{text}");
    json!(red)
}

#[test]
fn a_listed_failure_counts_as_passed_and_another_one_shows_both_texts() {
    let folder = TempDir::new().unwrap();
    let sut = mute_server(&folder);
    let sut_argument = sut.to_str().unwrap();
    let mut entries = known(&folder, &sut);
    let check = |entries: &Value| {
        let path = baseline(&folder, "mute", entries);
        let path = path.to_str().unwrap();
        let fixed = ["run", "server", "--sut", sut_argument, "--baseline", path];
        run(&folder, &[&fixed[..], &ONLY].concat())
    };
    let (code, text) = check(&entries);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("KNOWN"), "{text}");
    assert_eq!(last(&text), "conformance: 1 passed, 0 failed, 0 skipped");
    entries[0]["got"] = json!("closed (eof)");
    let (code, text) = check(&entries);
    assert_eq!(code, 1, "{text}");
    for part in [
        "not as listed",
        "closed (eof)",
        "nothing in N s",
        "it is mute",
    ] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
    // A failure that is not listed still fails the run.
    assert_eq!(check(&json!([])).0, 1);
}

#[test]
fn a_baseline_of_another_role_or_profile_is_refused_before_anything_starts() {
    let folder = TempDir::new().unwrap();
    let path = baseline(&folder, "reference-server", &json!([]));
    let path = path.to_str().unwrap();
    let (code, text) = run(&folder, &["run", "client", "--baseline", path]);
    assert!(
        code == 2 && text.contains("role: it is about a server"),
        "{text}"
    );
    let hardened = ["run", "server", "--profile", "hardened", "--baseline", path];
    let (code, text) = run(&folder, &hardened);
    assert!(code == 2 && text.contains("hint: --profile wire"), "{text}");
}

#[test]
fn write_keeps_reasons_and_names_the_entries_without_one() {
    let folder = TempDir::new().unwrap();
    let sut = mute_server(&folder);
    let sut = sut.to_str().unwrap();
    let write = [
        "baseline",
        "write",
        "--sut",
        sut,
        "--time-scale",
        "0.2",
        "-j",
        "64",
    ];
    let (code, text) = run(&folder, &write);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("wrote mute.baseline.json: "), "{text}");
    assert!(
        text.contains("needs a `why`: server/keepalive/answer"),
        "{text}"
    );
    let file = folder.path().join("mute.baseline.json");
    let mut list: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let mine = |list: &Value| {
        let entries = list["entries"].as_array().unwrap().iter();
        entries
            .clone()
            .position(|entry| entry["run"] == "server/keepalive/answer")
            .unwrap()
    };
    let at = mine(&list);
    assert_eq!(list["entries"][at]["why"], "");
    let check = ["baseline", "check", "--sut", sut];
    let (code, text) = run(&folder, &check);
    assert!(code == 2 && text.contains(".why: the reason why"), "{text}");
    list["entries"][at]["why"] = json!("it is mute");
    fs::write(&file, list.to_string()).unwrap();
    let (code, text) = run(&folder, &write);
    assert_eq!(code, 0, "{text}");
    assert!(
        !text.contains("needs a `why`: server/keepalive/answer"),
        "{text}"
    );
    let list: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(list["entries"][mine(&list)]["why"], "it is mute");
}

#[test]
fn no_baseline_is_written_for_a_program_that_never_becomes_ready() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sut.json");
    let manifest = r#"{"name":"x","role":"server","launch":{"command":["sh","-c","exit 7"]}}"#;
    fs::write(&path, manifest).unwrap();
    let (code, text) = run(
        &folder,
        &["baseline", "write", "--sut", path.to_str().unwrap()],
    );
    assert_eq!(code, 3, "{text}");
    assert!(!folder.path().join("x.baseline.json").exists());
}
