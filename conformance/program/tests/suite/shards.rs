//! A run in parts, and their merged report.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::suite;

/// A peer that breaks a rule, so that verdicts differ.
const BROKEN: [&str; 4] = ["run", "server", "--sut", "broken-server:conflict-true"];

/// The verdict, what it counts as, and the rules of the step that did not come true.
type Told = (Value, Value, Value);

fn read(folder: &Path, name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join(name)).unwrap()).unwrap()
}

fn verdicts(report: &Value) -> BTreeMap<String, Told> {
    let results = report["results"].as_array().unwrap().iter();
    let told = |one: &Value| {
        (
            one["verdict"].clone(),
            one["counts"].clone(),
            one["broken"]["rules"].clone(),
        )
    };
    results
        .map(|one| (one["id"].as_str().unwrap().to_owned(), told(one)))
        .collect()
}

#[test]
fn the_verdicts_of_a_run_in_parts_are_those_of_the_whole_run() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let words = ["server/map", "server/auth"];
    let run = [&BROKEN[..], &words].concat();
    let (whole, _, err) = suite(
        folder,
        &[&run[..], &["--report", "json:whole.json"]].concat(),
    );
    assert_eq!(whole, 1, "{err}");
    let mut sizes = Vec::new();
    for part in 1..=3 {
        let (shard, report) = (
            format!("--shard={part}/3"),
            format!("--report=json:{part}.json"),
        );
        let (_, out, err) = suite(folder, &[&run[..], &[&shard, &report]].concat());
        assert!(out.contains(&format!(", part {part}/3 of ")), "{out}{err}");
        let report = read(folder, &format!("{part}.json"));
        assert_eq!(report["shard"]["number"], part);
        sizes.push(report["results"].as_array().unwrap().len());
    }
    assert!(
        sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1,
        "{sizes:?}"
    );
    let formats = [
        "json:all.json",
        "junit:all.xml",
        "tap:all.tap",
        "md:all.md",
        "html:all.html",
    ];
    let reports = formats.map(|format| format!("--report={format}"));
    let mut merge = vec!["report", "merge", "3.json", "1.json", "2.json"];
    merge.extend(reports.iter().map(String::as_str));
    let (code, out, err) = suite(folder, &merge);
    assert_eq!(code, whole, "{out}{err}");
    let (whole, all) = (read(folder, "whole.json"), read(folder, "all.json"));
    assert_eq!(verdicts(&all), verdicts(&whole));
    for key in [
        "totals", "verdicts", "planned", "ended", "shard", "profile", "spec",
    ] {
        assert_eq!(all[key], whole[key], "{key}");
    }
    let standing = |report: &Value| -> Vec<(Value, Value)> {
        let rules = report["rules"].as_array().unwrap().iter();
        rules
            .map(|rule| (rule["id"].clone(), rule["standing"].clone()))
            .collect()
    };
    assert_eq!(standing(&all), standing(&whole));
    let totals = &whole["totals"];
    let last = format!(
        "conformance: {} passed, {} failed, {} skipped",
        totals["passed"], totals["failed"], totals["skipped"]
    );
    assert_eq!(out.lines().last(), Some(last.as_str()));
    assert!(out.contains("\nbroken rules\n"), "{out}");
    for name in ["all.xml", "all.tap", "all.md", "all.html"] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(text.contains("map.conflict-false"), "{name}");
    }
}

#[test]
fn a_wrong_part_or_merge_is_an_error() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let one = ["run", "server", "server/auth/good-login"];
    for (arguments, code, told) in [
        (
            &["--shard", "3/2"][..],
            2,
            "K/N, such as 2/5: N from 1 to 1000, and K from 1 to N",
        ),
        (&["--shard", "2"], 2, "K/N, such as 2/5"),
        (
            &["--shard", "3/3"],
            4,
            "part 3/3 is empty: the selection has only 2 cases\nhint: use fewer parts",
        ),
        (
            &["--shard", "1/2", "--shuffle"],
            2,
            "hint: give each part the same --seed N",
        ),
    ] {
        let (found, out, err) = suite(folder, &[&one[..], arguments].concat());
        assert_eq!((found, out.as_str()), (code, ""), "{err}");
        assert!(err.contains(told), "{err}");
    }
    let part = |arguments: &[&str]| {
        let (code, out, err) = suite(folder, &[&one[..], arguments].concat());
        assert_eq!(code, 0, "{out}{err}");
    };
    part(&["--shard=1/2", "--report=json:1.json"]);
    part(&["--shard=2/2", "--report=json:2.json"]);
    part(&["--shard=2/2", "--report=json:strict.json", "--strict"]);
    part(&["--shard=2/2", "--report=json:still.json", "--still=13"]);
    part(&["--report=json:whole.json"]);
    std::fs::write(folder.join("no.json"), "{\n  \"format\": 1\n}").unwrap();
    let merge = |files: &[&str]| suite(folder, &[&["report", "merge"], files].concat());
    assert_eq!(merge(&["1.json", "2.json"]).0, 0);
    for (files, told) in [
        (&["1.json"][..], "parts are missing: 2/2\nhint: "),
        (&["1.json", "1.json"], "1.json and 1.json are both part 1/2"),
        (
            &["1.json", "strict.json"],
            "are of different runs: strict false, and strict true",
        ),
        (
            &["1.json", "still.json"],
            "are of different runs: their cases are not the same\nhint: ",
        ),
        (
            &["1.json", "whole.json"],
            "whole.json is the report of a whole run",
        ),
        (&["1.json", "none.json"], "none.json: cannot read it"),
        (&["no.json"], "no.json:2:"),
        (&[], "<FILE>..."),
    ] {
        let (code, out, err) = merge(files);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(
            err.starts_with("error: ") && err.contains(told),
            "{files:?}: {err}"
        );
    }
    let (code, _, err) = merge(&["1.json", "2.json", "--report", "json:/nonexistent/x"]);
    assert!(code == 2 && err.contains("no folder"), "{err}");
}

#[test]
fn parts_with_different_baselines_are_not_merged() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let run = [
        "run",
        "server",
        "--sut",
        "broken-server:conflict-true",
        "server/keepalive",
        "--baseline=known.json",
    ];
    let list = |why: &str| {
        let entry = serde_json::json!({
            "run": "server/keepalive/answer", "verdict": "fail", "rules": [], "expected": "", "got": "", "why": why,
        });
        serde_json::json!({
            "format": "netroxy-baseline-1", "sut": "broken-server:conflict-true", "role": "server", "spec": "0.3",
            "profile": "wire", "entries": [entry],
        })
        .to_string()
    };
    for (part, why) in [(1, "one reason"), (2, "another")] {
        std::fs::write(folder.join("known.json"), list(why)).unwrap();
        let (shard, report) = (
            format!("--shard={part}/2"),
            format!("--report=json:{part}.json"),
        );
        let (code, out, err) = suite(folder, &[&run[..], &[&shard, &report]].concat());
        assert!(code < 2, "{out}{err}");
    }
    let (code, _, err) = suite(folder, &["report", "merge", "1.json", "2.json"]);
    assert!(
        code == 2 && err.contains("their cases are not the same"),
        "{err}"
    );
}
