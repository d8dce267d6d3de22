//! The parts of the page: what is open, what is folded, and where links lead.

use super::*;
use crate::report::model::Counts;

/// The parts of a page between `begin` and `end`.
fn parts<'a>(page: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    page.split(begin)
        .skip(1)
        .map(|rest| rest.split_once(end).map_or(rest, |(part, _)| part))
        .collect()
}

fn bar(report: &Report) -> Vec<String> {
    let page = html::render(report);
    let bars = parts(&page, "<div class=\"bar\" aria-hidden=\"true\">", "</div>");
    assert_eq!(bars.len(), 1);
    let spans = parts(bars[0], "<span ", "></span>");
    spans.into_iter().map(str::to_owned).collect()
}

#[test]
fn each_verdict_has_a_part_of_the_bar_even_if_it_is_rare() {
    let mut verdicts = vec![Verdict::Pass; 295];
    verdicts.insert(7, Verdict::Fail);
    assert_eq!(
        bar(&report(&verdicts)),
        [
            r#"class="good" title="295 pass" style="flex-grow:295""#,
            r#"class="bad" title="1 fail" style="flex-grow:1""#,
        ]
    );
    let all = bar(&report(&Verdict::ALL));
    assert_eq!(all.len(), Verdict::ALL.len());
    assert!(
        all[10].contains("class=\"none\" title=\"1 skip\""),
        "{all:?}"
    );
    assert!(bar(&report(&[])).is_empty());
    let style = include_str!("../html/report.css");
    assert!(
        style.contains(".bar span{flex:0 1 0;min-width:"),
        "a part of the bar has a minimum width"
    );
}

#[test]
fn a_broken_rule_shows_its_reason_the_expected_step_and_what_came() {
    let report = report(&[Verdict::Fail, Verdict::Fail, Verdict::Crash, Verdict::Pass]);
    let page = html::render(&report);
    let broken = parts(&page, "<section id=\"broken\">", "</section>")[0];
    let way = "<dl><div><dt>expected</dt><dd><code>user  &lt;&lt; &quot;EARLY&quot;</code></dd></div>\
        <div><dt>got</dt><dd>nothing in 2.0 s; the connection is open</dd></div></dl>";
    let told = broken.matches(way).count();
    assert_eq!(told, 1, "equal evidence is shown once: {broken}");
    let links = parts(broken, "href=\"#case:", "\"").len();
    assert_eq!(links, 3, "{broken}");
    let why = "<p class=\"why\"><b>Why</b> A target may speak first, <code>&lt;b&gt;</code>.</p>";
    assert!(broken.contains(why), "{broken}");
    let step = parts(&page, "<div class=\"broken-step\">", "<dl>")[0];
    assert!(step.contains(why), "{step}");
}

#[test]
fn a_nonstrict_rule_has_no_expected_step() {
    let strict = Settings {
        strict: true,
        ..SETTINGS
    };
    let mut report = report(&[]);
    let job = job("nonstrict");
    let remark = Remark {
        line: 9,
        marks: vec!["tunnel.early-data".into()],
        seen: "user << silence".into(),
    };
    let judged = Judged {
        remarks: vec![remark],
        ..judged(&job, Verdict::Nonstrict)
    };
    report.add(CaseResult::new(&job, &judged, &rules(), strict));
    report.finish(&rules());
    let page = html::render(&report);
    let broken = parts(&page, "<section id=\"broken\">", "</section>")[0];
    let way = "<dl><div><dt>got</dt><dd>user &lt;&lt; silence</dd></div></dl>";
    assert!(broken.contains(way), "{broken}");
}

#[test]
fn further_ways_to_break_a_rule_are_folded() {
    let mut report = report(&[]);
    for number in 0..5 {
        let mut result = result(Verdict::Fail);
        result.broken.as_mut().unwrap().got = format!("byte {number}");
        report.add(result);
    }
    report.finish(&rules());
    let page = html::render(&report);
    let broken = parts(&page, "<section id=\"broken\">", "</section>")[0];
    let (first, rest) = broken
        .split_once("<details><summary>2 more</summary>")
        .unwrap();
    assert_eq!(first.matches("<dt>got</dt>").count(), 3);
    assert_eq!(rest.matches("<dt>got</dt>").count(), 2);
}

#[test]
fn kept_and_skipped_rules_are_folded_and_all_others_are_open() {
    for (verdict, open) in [
        (Verdict::Pass, false),
        (Verdict::Skip, false),
        (Verdict::Nonstrict, true),
        (Verdict::KnownFailing, true),
        (Verdict::Blocked, true),
        (Verdict::Fail, true),
    ] {
        let page = html::render(&report(&[verdict]));
        let rules = parts(&page, "<details class=\"rule\"", ">");
        assert_eq!(rules, [if open { " open" } else { "" }], "{verdict:?}");
        let table = page.contains("<table class=\"standings\">");
        let folded = page.contains("<details class=\"group\">");
        assert_eq!((table, folded), (open, !open), "{verdict:?}");
    }
}

#[test]
fn the_column_of_a_single_pair_is_headed_by_its_role() {
    let mut report = pairs();
    let pair = "X with reference-server";
    report.subjects.retain(|subject| subject.name == pair);
    report.results.retain(|result| result.subject == pair);
    report.finish(&rules());
    assert!(report.matrix.is_none());
    let page = html::render(&report);
    let table = parts(&page, "<table class=\"standings\">", "</table>")[0];
    let head = format!("<th scope=\"col\" title=\"{pair}\">pair</th>");
    assert!(table.contains(&head), "{table}");
    crate::html::tests::sound(&page);
}

#[test]
fn the_cells_of_the_pairs_are_coloured_and_link_to_their_runs() {
    let page = html::render(&pairs());
    let table = parts(&page, "<table class=\"meetings\">", "</table>")[0];
    for (kind, pair, score) in [
        ("bad", "X with Y", "0/3"),
        ("bad", "X with reference-server", "2/3"),
        ("good", "reference-client with reference-server", "3/3"),
    ] {
        let anchor = pair.replace(' ', "-");
        let cell = format!(
            "<td class=\"{kind}\"><a href=\"#pair:{anchor}\" title=\"{pair}\">{score}</a></td>"
        );
        assert!(table.contains(&cell), "{cell} is not in {table}");
    }
    let own = parts(&page, "<div class=\"body\" id=\"pair:X-with-Y\">", "</div>")[0];
    let arguments = "--server reference-server --client reference-client";
    assert!(own.contains(arguments), "{own}");
    assert_eq!(parts(own, "href=\"#case:X-with-Y:", "\"").len(), 3);
}

#[test]
fn a_pair_without_runs_is_neither_good_nor_bad() {
    let mut report = pairs();
    for result in &mut report.results {
        if result.subject == "X with Y" {
            result.counts = Counts::Skipped;
        }
    }
    report.finish(&rules());
    let page = html::render(&report);
    let cell = "<td class=\"none\"><a href=\"#pair:X-with-Y\" title=\"X with Y\">0/0</a></td>";
    assert!(page.contains(cell), "{page}");
}

#[test]
fn the_head_names_the_judged_programs_and_their_versions() {
    let head = |report: &Report| {
        let page = html::render(report);
        parts(&page, "<dl class=\"programs\">", "</dl>")[0].to_owned()
    };
    let version = env!("CARGO_PKG_VERSION");
    let wanted = format!(
        "<div><dt>server</dt><dd><b>reference-server</b> <span class=\"soft\">netroxy-server {version}, embedded</span></dd></div>\
         <div><dt>arguments</dt><dd><code>--sut reference-server</code></dd></div>"
    );
    assert_eq!(head(&report(&[Verdict::Pass])), wanted);
    // Each program of a matrix is named once.
    let programs = head(&pairs());
    assert_eq!(programs.matches("<dt>").count(), 4, "{programs}");
}
