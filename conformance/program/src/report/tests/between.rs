//! The messages between the two programs of a pair, in every format.

use netroxy_judge::sut::Kind;
use netroxy_judge::transcript::line;
use netroxy_judge::verdict::Heard;
use netroxy_specification::notation;

use super::*;

/// Messages of `ctl1` and `data1`, and steps of a user.
fn heard(readable: bool, otherwise: Option<&str>, lines: &[&str]) -> Heard {
    let head = "title    x\nrole     pair\nrules    keep.srs\n\n";
    let case = notation::parse(&format!("{head}{}\n", lines.join("\n"))).unwrap();
    let steps = case.body.iter().filter_map(|line| match line {
        Line::Step(step) => Some(step),
        _ => None,
    });
    let lines = steps.zip(1_u32..);
    let lines = lines.map(|(step, at)| line(Duration::from_millis(at.into()), step, false));
    Heard {
        verdict: Verdict::Fail,
        otherwise: otherwise.map(str::to_owned),
        readable,
        connections: vec![
            ("ctl1".to_owned(), Kind::Control),
            ("data1".to_owned(), Kind::Data),
        ],
        lines: lines.collect(),
        left_out: 0,
    }
}

const SAID: [&str; 5] = [
    "ctl1  connect server",
    "ctl1  > ATH me alice \"</script>\\x1b\"",
    "user  connect $port",
    "ctl1  < TRQ 80",
    "data1 > TRS token 80",
];

fn with(heard: Heard) -> (CaseResult, Report) {
    let job = job("fail");
    let judged = Judged {
        broken: broken(&["tunnel.early-data"], "user  << \"EARLY\""),
        heard: Some(heard),
        ..judged(&job, Verdict::Fail)
    };
    let result = CaseResult::new(&job, &judged, &rules(), SETTINGS);
    let mut report = report(&[]);
    report.add(result.clone());
    report.finish(&rules());
    (result, report)
}

#[test]
fn the_messages_of_a_pair_follow_the_transcript() {
    let (result, report) = with(heard(true, None, &SAID));
    let said = "played once more, with a relay between client and server: it failed as before\n";
    for text in [
        text::result(&result, false),
        markdown::render(&report),
        junit::render(&report),
    ] {
        let (own, other) = text.split_once(said).unwrap_or_else(|| panic!("{text}"));
        assert!(
            own.contains("user  connect $port") && !own.contains("ctl1"),
            "{text}"
        );
        for line in [
            "ctl1  < TRQ 80",
            "user  connect $port",
            "data1 > TRS token 80",
        ] {
            assert!(
                other.contains(line)
                    || other.contains(&line.replace('>', "&gt;").replace('<', "&lt;")),
                "{line} is not in {other}"
            );
        }
    }
    let text = test_anything::render(&report, test_anything::Version::V14);
    assert!(
        text.contains("\n  between: \"played once more, with a relay"),
        "{text}"
    );
    assert!(
        text.contains("\n  said:\n    - \"    0.001  ctl1  connect server\"\n"),
        "{text}"
    );
}

#[test]
fn another_result_tls_and_left_out_lines_are_reported() {
    let many = Heard {
        left_out: 3,
        ..heard(false, Some("it passed"), &SAID[..1])
    };
    let (result, _) = with(many);
    let text = text::result(&result, false);
    let words = "played once more, with a relay between client and server: this time it passed; the first result counts. \
        The connection was TLS, so its messages cannot be read. 3 lines are left out\n";
    assert!(text.contains(words), "{text}");
}

#[test]
fn many_messages_are_cut_in_the_middle() {
    let lines: Vec<String> = (0..500)
        .map(|n| format!("ctl1  > MAP {n} a:1 true"))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (result, report) = with(heard(true, None, &lines));
    let text = text::result(&result, false);
    for (n, kept) in [
        (0, true),
        (59, true),
        (60, false),
        (399, false),
        (400, true),
        (499, true),
    ] {
        assert_eq!(text.contains(&format!("MAP {n} ")), kept, "{n}");
    }
    assert!(
        text.contains("... 340 lines left out; the JSON report has them\n"),
        "{text}"
    );
    assert!(json::render(&report).contains("> MAP 250 a:1 true"));
    assert!(html::render(&report).contains("200 lines left out"));
}

#[test]
fn json_has_all_messages_and_fits_its_schema() {
    let (_, report) = with(heard(true, Some("it passed"), &SAID));
    let schema: serde_json::Value = serde_json::from_str(json::SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let value: serde_json::Value = serde_json::from_str(&json::render(&report)).unwrap();
    let wrong: Vec<String> = validator
        .iter_errors(&value)
        .map(|error| error.to_string())
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let between = &value["results"][0]["between"];
    assert_eq!(between["verdict"], "fail");
    assert_eq!(between["otherwise"], "it passed");
    assert_eq!(
        between["connections"][1],
        serde_json::json!({"name": "data1", "kind": "data"})
    );
    assert_eq!(between["transcript"].as_array().unwrap().len(), SAID.len());
    assert_eq!(between["transcript"][3]["direction"], "received");
    // Without messages, `between` is null.
    let value: serde_json::Value =
        serde_json::from_str(&json::render(&super::report(&[Verdict::Fail]))).unwrap();
    assert!(value["results"][0]["between"].is_null());
}

#[test]
fn a_page_has_lanes_for_users_control_and_data_connections() {
    let (_, report) = with(heard(true, None, &SAID));
    let page = html::render(&report);
    crate::html::tests::sound(&page);
    let (_, said) = page
        .split_once("<h4>Messages between client and server</h4>")
        .unwrap();
    for (lane, actor) in [
        ("l0", "user →"),
        ("l1", "ctl1 →"),
        ("l1", "ctl1 ←"),
        ("l2", "data1 →"),
    ] {
        let found = said.split("<li class=\"").any(|line| {
            line.starts_with(&format!("{lane}\"")) && line.contains(&format!("<b>{actor}</b>"))
        });
        assert!(found, "{lane} {actor} is not in {said}");
    }
    assert_eq!(page.matches("<script>").count(), 1, "only its own script");
    assert!(said.contains("&lt;/script&gt;"));
}
