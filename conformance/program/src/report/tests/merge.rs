//! Reports that are read, and the merged reports of parts.

use super::*;
use crate::report::merge;
use crate::report::model::ShardEntry;

fn every_format(report: &Report) -> [String; 6] {
    [
        json::render(report),
        junit::render(report),
        test_anything::render(report, test_anything::Version::V14),
        markdown::render(report),
        html::render(report),
        text::summary(report, &summary(), 2, true),
    ]
}

fn read(report: &Report) -> Report {
    Report::parse("a.json", &json::render(report), &rules()).unwrap()
}

/// A part of a run that has each verdict once.
fn part(number: u16, of: u16) -> Report {
    let all = Verdict::ALL.into_iter().enumerate();
    let own = all.filter(|(at, _)| at % usize::from(of) == usize::from(number) - 1);
    let mut part = report(&own.map(|(_, verdict)| verdict).collect::<Vec<_>>());
    part.shard = Some(ShardEntry {
        number,
        of,
        planned: Verdict::ALL.len(),
        plan: "0123456789abcdef".to_owned(),
    });
    part
}

fn merged(parts: &[Report]) -> Result<Report, String> {
    let names = ["a.json", "b.json", "c.json", "d.json"];
    let parts = names.iter().zip(parts);
    let parts = parts.map(|(name, part)| ((*name).to_owned(), read(part)));
    merge(parts.collect()).map_err(|apart| apart.to_string())
}

#[test]
fn a_report_that_is_read_shows_the_same_in_every_format() {
    for report in [report(&Verdict::ALL), pairs(), report(&[]), part(2, 3)] {
        let again = read(&report);
        assert_eq!(every_format(&again), every_format(&report));
        for (one, other) in again.results.iter().zip(&report.results) {
            assert_eq!(text::result(one, false), text::result(other, false));
        }
    }
}

#[test]
fn the_merged_parts_equal_the_whole_run() {
    let whole = report(&Verdict::ALL);
    for of in [1, 2, 3] {
        let mut parts: Vec<Report> = (1..=of).map(|number| part(number, of)).collect();
        let expected = Report {
            retried: usize::from(of),
            ..whole.clone()
        };
        assert_eq!(
            every_format(&merged(&parts).unwrap()),
            every_format(&expected)
        );
        parts.reverse();
        assert_eq!(
            every_format(&merged(&parts).unwrap()),
            every_format(&expected)
        );
    }
}

#[test]
fn the_worst_end_of_a_part_is_the_end_of_the_run() {
    let ends = [
        Ended::Complete,
        Ended::FailFast,
        Ended::NotReady,
        Ended::Interrupted,
    ];
    for (at, one) in ends.into_iter().enumerate() {
        for other in &ends[..=at] {
            let mut parts = [part(1, 2), part(2, 2)];
            (parts[0].ended, parts[1].ended) = (one, *other);
            assert_eq!(merged(&parts).unwrap().ended, one);
        }
    }
    // The report of a subject that never became ready has nothing else.
    let mut never = part(1, 2);
    (never.subjects, never.results, never.ended) = (Vec::new(), Vec::new(), Ended::NotReady);
    never.not_ready = Some(NotReady {
        subject: "x".to_owned(),
        reason: "no luck".to_owned(),
    });
    let merged = merged(&[never, part(2, 2)]).unwrap();
    assert_eq!((merged.planned, merged.results.len()), (11, 5));
    assert_eq!(merged.not_ready.unwrap().reason, "no luck");
    assert_eq!(merged.subjects.len(), 1);
}

#[test]
fn parts_of_different_runs_are_not_merged() {
    let change = |change: fn(&mut Report)| {
        let mut other = part(2, 2);
        change(&mut other);
        merged(&[part(1, 2), other]).unwrap_err()
    };
    let runs = "a.json and b.json are of different runs: ";
    for (found, told) in [
        (
            change(|one| one.version = "1.2.4".to_owned()),
            "version 1.2.3, and version 1.2.4",
        ),
        (
            change(|one| one.profile = "wire"),
            "profile hardened, and profile wire",
        ),
        (
            change(|one| one.strict = true),
            "strict false, and strict true",
        ),
        (change(|one| one.repeat = 2), "repeat 1, and repeat 2"),
        (change(|one| one.seed = None), "seed 0x7, and seed none"),
        (
            change(|one| one.time_scale = 1.5),
            "time scale 2, and time scale 1.5",
        ),
        (
            change(|one| one.subjects[0].name = "x".to_owned()),
            "subject server reference-server (",
        ),
        (
            change(|one| one.subjects[0].programs[0].runs = "y".to_owned()),
            "and subject server reference-server (y)",
        ),
        (
            change(|one| one.shard.as_mut().unwrap().of = 3),
            "parts 2, and parts 3",
        ),
        (
            change(|one| one.shard.as_mut().unwrap().plan.push('0')),
            "their cases are not the same",
        ),
        (
            change(|one| one.shard.as_mut().unwrap().planned = 12),
            "their cases are not the same",
        ),
    ] {
        assert!(found.starts_with(runs) && found.contains(told), "{found}");
    }
    let apart = |parts: &[Report]| merged(parts).unwrap_err();
    assert_eq!(apart(&[]), "there is nothing to merge");
    let whole = report(&[Verdict::Pass]);
    assert_eq!(
        apart(&[part(1, 2), whole]),
        "b.json is the report of a whole run"
    );
    let twice = [part(1, 2), part(1, 2)];
    assert_eq!(apart(&twice), "a.json and b.json are both part 1/2");
    assert_eq!(
        apart(&[part(3, 4), part(1, 4)]),
        "parts are missing: 2/4, 4/4"
    );
    let mut none = part(1, 1);
    none.shard.as_mut().unwrap().number = 0;
    assert_eq!(apart(&[none]), "a.json: there is no part 0/1");
    let mut same = part(1, 2);
    same.shard.as_mut().unwrap().number = 2;
    let judged = "b.json judges server/blocked of reference-server, and so does another part";
    assert_eq!(apart(&[part(1, 2), same]), judged);
    let mut short = part(2, 2);
    short.results.pop();
    assert_eq!(
        apart(&[part(1, 2), short]),
        "the parts have 10 results, but 11 were planned"
    );
}

#[test]
fn a_file_that_is_not_a_report_is_refused_with_its_place() {
    let good: serde_json::Value = serde_json::from_str(&json::render(&part(1, 2))).unwrap();
    let changed = |path: &str, value: serde_json::Value| {
        let mut report = good.clone();
        *report.pointer_mut(path).unwrap() = value;
        let text = serde_json::to_string_pretty(&report).unwrap();
        Report::parse("a.json", &text, &rules()).unwrap_err()
    };
    for (path, value, told) in [
        (
            "/format",
            "netroxy-conformance-1".into(),
            "format: it is `netroxy-conformance-1`, but this program reads netroxy-conformance-2",
        ),
        (
            "/spec",
            "0.4".into(),
            "spec: it is `0.4`, but this program reads 0.3",
        ),
        ("/profile", "loose".into(), "profile: it is `loose`"),
        ("/seconds", (-1.0).into(), "seconds: `-1` is not a time"),
        ("/results/0/seconds", 1e300.into(), "results[0].seconds: "),
        (
            "/results/0/verdict",
            "fine".into(),
            "results[0].verdict: there is no verdict `fine`",
        ),
        (
            "/results/0/transcript/0/direction",
            "up".into(),
            "results[0].transcript[0].direction: it is `up`",
        ),
        (
            "/subjects",
            serde_json::Value::Null,
            "subjects: invalid type: null",
        ),
    ] {
        let error = changed(path, value);
        assert!(error.message.starts_with(told), "{error}");
        assert!(error.position.is_some() && error.hint.is_some(), "{error}");
    }
    let sly = changed("/results/0/log", "\x1b[2J".into());
    assert!(sly.message.contains("control characters"), "{sly}");
    for text in ["", "[]", "{}", "{\"format\": 1}"] {
        assert!(Report::parse("a.json", text, &rules()).is_err(), "{text}");
    }
}
