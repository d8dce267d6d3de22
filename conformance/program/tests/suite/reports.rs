//! Reports of real runs: their content, refused paths, and complete files.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

const PASSES: &str = "title    a login succeeds\nrole     server\nrules    auth.ok-reply\n\n\
    ctl   connect server\nctl   > ATH $name $username $password\n\
    ctl   < ARS true _ _                      [auth.ok-reply]\n";

/// It expects an answer that no server sends.
const FAILS: &str = "title    <script>alert(1)</script>\nrole     server\nrules    auth.ok-reply\n\n\
    ctl   connect server\nctl   > ATH \"<script>alert(2)</script>\\x1b\\xff\" $username $password\n\
    ctl   < ARS false                         [auth.ok-reply]\n";

const IS_BLOCKED: &str = "title    nothing is judged\nrole     server\nrules    auth.ok-reply\n\n\
    ctl   connect server\nctl   > ATH $name $username $password\nctl   < ARS false\n\
    ctl   < closed                            [auth.ok-reply]\n";

const IS_NONSTRICT: &str = "title    allowed at least\nrole     server\nrules    auth.ok-reply\n\n\
    ctl   connect server\nctl   > ATH $name $username $password\n\
    ctl   < one of                            [auth.ok-reply]\n        ARS true _ _                      nonstrict\n        closed                            pass\n";

const WAITS: &str = "title    it waits\nrole     server\nrules    auth.ok-reply\n\n\
    ctl   connect server\nctl   > ATH $name $username $password\nctl   < ARS true _ _\n\
    ctl   < silence  in 25s..                 [auth.ok-reply]\n";

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netroxy-conformance"));
    command.env_remove("NO_COLOR").env("TERM", "xterm");
    command
}

/// The arguments that run these cases against the reference server.
fn cases(folder: &Path, cases: &[(&str, &str)]) -> Vec<String> {
    let mut arguments = vec!["run".to_owned(), "server".to_owned()];
    for (name, text) in cases {
        let path = folder.join(format!("{name}.case"));
        std::fs::write(&path, text).unwrap();
        arguments.extend(["--case-file".to_owned(), path.display().to_string()]);
    }
    arguments
}

fn ran(arguments: &[String], more: &[&str]) -> (i32, String, String) {
    finished(program().args(arguments).args(more).output().unwrap())
}

fn finished(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A report, after a check against the schema that the program prints.
fn json(text: &str) -> Value {
    let (code, schema, _) = finished(program().args(["report", "schema"]).output().unwrap());
    assert_eq!(code, 0);
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let report: Value = serde_json::from_str(text).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<String> = validator
        .iter_errors(&report)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    report
}

#[test]
fn one_run_in_every_format() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    let arguments = cases(
        at,
        &[
            ("passes", PASSES),
            ("fails", FAILS),
            ("blocked", IS_BLOCKED),
            ("nonstrict", IS_NONSTRICT),
        ],
    );
    let formats = ["json", "junit", "tap", "tap13", "md", "html"];
    let reports: Vec<String> = formats
        .iter()
        .map(|format| format!("{format}:{}", at.join(format).display()))
        .collect();
    let more: Vec<&str> = reports
        .iter()
        .flat_map(|report| ["--report", report])
        .collect();
    let (code, out, err) = ran(&arguments, &more);
    let last = "conformance: 2 passed, 2 failed, 0 skipped";
    assert_eq!((code, out.lines().last()), (1, Some(last)), "{out}{err}");
    assert!(!out.contains('\x1b'), "{out}");
    let read = |name: &str| std::fs::read_to_string(at.join(name)).unwrap();

    let report = json(&read("json"));
    let verdict = |id: &str| {
        let results = report["results"].as_array().unwrap();
        let found = results.iter().find(|result| result["id"] == id).unwrap();
        (found["verdict"].clone(), found["counts"].clone())
    };
    assert_eq!(verdict("passes"), ("pass".into(), "passed".into()));
    assert_eq!(verdict("fails"), ("fail".into(), "failed".into()));
    assert_eq!(verdict("blocked"), ("blocked".into(), "failed".into()));
    assert_eq!(verdict("nonstrict"), ("nonstrict".into(), "passed".into()));
    assert_eq!(report["rules"][0]["standing"]["reference-server"], "broken");
    assert_eq!(report["planned"], 4);

    let junit = quick_junit::Report::deserialize_from_str(&read("junit")).unwrap();
    assert_eq!((junit.tests, junit.failures, junit.errors), (4, 2, 0));

    let tap = read("tap");
    let rest = tap.strip_prefix("TAP version 14\n");
    assert_eq!(
        rest,
        read("tap13").strip_prefix("TAP version 13\n"),
        "{tap}"
    );
    assert_eq!(tap.matches("\nnot ok ").count(), 2, "{tap}");

    assert!(read("md").contains("**2 passed, 2 failed, 0 skipped**"));

    let page = read("html");
    assert_eq!(page.matches("<script>").count(), 1, "only its own script");
    assert!(page.contains("&lt;script&gt;alert(1)") && page.contains("&lt;script&gt;alert(2)"));
    let left: Vec<_> = std::fs::read_dir(at)
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 4 + formats.len(), "{left:?}");
}

#[test]
fn nonstrict_behaviour_fails_with_strict() {
    let folder = TempDir::new().unwrap();
    let arguments = cases(folder.path(), &[("nonstrict", IS_NONSTRICT)]);
    let (code, out, err) = ran(&arguments, &["--strict", "--report", "json:-"]);
    let report = json(&out);
    assert_eq!((code, &report["totals"]["failed"]), (1, &1.into()), "{err}");
    assert_eq!(report["strict"], true);
    assert_eq!(report["rules"][0]["standing"]["reference-server"], "broken");
}

#[test]
fn standard_output_holds_only_the_report_that_goes_to_it() {
    let folder = TempDir::new().unwrap();
    let arguments = cases(folder.path(), &[("passes", PASSES)]);
    let (code, out, err) = ran(&arguments, &["--report", "tap:-"]);
    assert_eq!(code, 0);
    assert!(
        out.starts_with("TAP version 14\n") && out.ends_with("ok 1 - reference-server passes\n"),
        "{out}"
    );
    assert_eq!(
        err.lines().last(),
        Some("conformance: 1 passed, 0 failed, 0 skipped")
    );
}

#[test]
fn a_skipped_case_is_reported_with_its_reason() {
    let mut arguments = vec!["run".to_owned(), "server".to_owned()];
    arguments.extend(["map.port-range", "auth.first"].map(str::to_owned));
    let (code, out, _) = ran(&arguments, &["--report", "json:-"]);
    let report = json(&out);
    assert_eq!(code, 0);
    let skipped = |result: &&Value| result["verdict"] == "skip";
    let results = report["results"].as_array().unwrap();
    let result = results.iter().find(skipped).unwrap();
    assert_eq!(
        result["reason"],
        "map.port-range is judged by --profile hardened only"
    );
    assert_eq!(report["totals"]["skipped"], report["verdicts"]["skip"]);
}

#[test]
fn an_interrupted_run_writes_reports_that_say_so() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    let arguments = cases(at, &[("waits", WAITS), ("passes", PASSES)]);
    let report = |format: &str| format!("--report={format}:{}", at.join(format).display());
    let mut child = program()
        .args(&arguments)
        .args([
            "--verbose",
            &report("json"),
            &report("tap"),
            &report("html"),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap().contains("PASS")),
        "one case is done"
    );
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let last = lines.map(Result::unwrap).last();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(
        last.as_deref(),
        Some("conformance: 1 passed, 0 failed, 0 skipped")
    );
    let read = |name: &str| std::fs::read_to_string(at.join(name)).unwrap();
    let report = json(&read("json"));
    assert_eq!(
        (&report["ended"], &report["planned"]),
        (&"interrupted".into(), &2.into())
    );
    assert!(read("tap").ends_with("\nBail out! interrupted\n"));
    assert!(read("html").contains("<b>Ended early: interrupted.</b> 1 of 2"));
}

#[test]
fn a_subject_that_never_becomes_ready_is_reported() {
    let folder = TempDir::new().unwrap();
    let manifest = folder.path().join("sut.json");
    let text =
        r#"{"name":"x","role":"server","launch":{"command":["sh","-c","echo no luck; exit 7"]}}"#;
    std::fs::write(&manifest, text).unwrap();
    let arguments = ["run", "server", "--sut", manifest.to_str().unwrap()].map(str::to_owned);
    let (code, out, err) = ran(&arguments, &["--report", "json:-"]);
    assert_eq!(code, 3, "{err}");
    let report = json(&out);
    assert_eq!(report["not_ready"]["subject"], "x");
    assert!(
        report["not_ready"]["reason"]
            .as_str()
            .unwrap()
            .contains("no luck")
    );
}

#[test]
fn a_report_that_cannot_be_written_stops_a_run_before_it_starts() {
    let folder = TempDir::new().unwrap();
    let at = folder.path().display();
    let same = [format!("json:{at}/x"), format!("tap:{at}/x")];
    for reports in [
        vec!["xml:out"],
        vec!["json"],
        vec!["json:/nonexistent/out"],
        vec!["html:/"],
        vec![&same[0], &same[1]],
    ] {
        let reports = reports.iter().flat_map(|report| ["--report", report]);
        let (code, out, err) = finished(program().args(reports).output().unwrap());
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(
            err.starts_with("error: `--report ") && err.contains("\nhint: "),
            "{err}"
        );
    }
}

/// The client of the pair closes a tunnel when one direction has ended.
#[test]
fn a_failure_of_a_pair_shows_the_messages_between_client_and_server() {
    let folder = TempDir::new().unwrap();
    let page = folder.path().join("page.html");
    let page_report = format!("html:{}", page.display());
    for command in [
        ["run", "pair", "--client", "broken-client:half-close-closes"],
        [
            "matrix",
            "--profile",
            "wire",
            "--sut=broken-client:half-close-closes",
        ],
    ] {
        let arguments = command.map(str::to_owned);
        let case = "pair/tunnel/half-close-user";
        let more = [case, "--report", "json:-", "--report", &page_report];
        let (code, out, err) = ran(&arguments, &more);
        assert_eq!(code, 1, "{err}");
        let report = json(&out);
        let results = report["results"].as_array().unwrap();
        for result in results {
            let (id, between) = (result["id"].as_str().unwrap(), &result["between"]);
            let failed = result["counts"] == "failed";
            assert_eq!(between.is_object(), failed, "{id}");
            if failed {
                assert_eq!(between["readable"], !id.ends_with("@tls"), "{id}");
            }
        }
        let plain = |result: &&Value| result["id"] == case && result["counts"] == "failed";
        let between = &results.iter().find(plain).unwrap()["between"];
        let named = between["connections"].as_array().unwrap().iter();
        let kinds: Vec<&str> = named.map(|one| one["kind"].as_str().unwrap()).collect();
        assert!(
            kinds.contains(&"control") && kinds.contains(&"data"),
            "{between}"
        );
        assert!(
            err.contains("played once more, with a relay between client and server: "),
            "{err}"
        );
        let page = std::fs::read_to_string(&page).unwrap();
        let heads = page
            .matches("<h4>Messages between client and server</h4>")
            .count();
        assert_eq!(heads, 2, "one over plain TCP, one over TLS");
        let version = env!("CARGO_PKG_VERSION");
        assert!(page.contains(&format!("netroxy-broken {version}, embedded")));
    }
}

#[test]
fn commands_that_judge_nothing_have_no_flag_for_reports() {
    let list = ["list", "rules", "--report", "json:-"].map(str::to_owned);
    let (code, _, err) = ran(&list, &[]);
    assert_eq!(code, 2, "{err}");
}

#[test]
fn passes_and_colours_are_shown_only_on_request() {
    let folder = TempDir::new().unwrap();
    let arguments = cases(folder.path(), &[("passes", PASSES)]);
    let shown = |more: &[&str]| {
        let (_, out, _) = ran(&arguments, more);
        (out.contains("PASS"), out.contains('\x1b'))
    };
    assert_eq!(shown(&[]), (false, false));
    assert_eq!(shown(&["-v"]), (true, false));
    assert_eq!(shown(&["-v", "--color", "always"]), (true, true));
    assert_eq!(shown(&["-v", "--color", "never"]), (true, false));
}

#[test]
fn the_specification_is_printed_as_a_page() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spec.html");
    let (code, page, _) = finished(program().args(["spec", "html"]).output().unwrap());
    assert!(code == 0 && page.starts_with("<!DOCTYPE html>"));
    let written = program()
        .args(["spec", "html", "--out"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(written.status.success() && written.stdout.is_empty());
    assert_eq!(std::fs::read_to_string(path).unwrap(), page);
    let lost = program()
        .args(["spec", "html", "--out", "/nonexistent/x"])
        .output()
        .unwrap();
    assert_eq!(lost.status.code(), Some(2));
}
