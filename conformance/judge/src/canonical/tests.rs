use netroxy_specification::notation::ast::{Case, Line as CaseLine};
use netroxy_specification::notation::parse;

use super::*;
use crate::verdict::Unjudged;

/// A transcript of these steps with these values of variables. A step with the comment `broken` did not come true.
fn recorded(variables: &[(&str, &str)], steps: &str) -> Transcript {
    let text = format!("title    x\nrole     server\nrules    auth.first\n\n{steps}");
    let case: Case = parse(&text).unwrap();
    let mut transcript = Transcript::start();
    let variables = variables.iter();
    transcript
        .add_names(variables.map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())));
    for line in case.body {
        let CaseLine::Step(step) = line else { continue };
        transcript.judge(&step.marks);
        match step.comment.as_deref() {
            Some("broken") => transcript.add_broken(&Step {
                comment: None,
                ..step
            }),
            comment => transcript.add(&step.actor, step.action.clone(), noted(comment)),
        }
    }
    transcript
}

/// The note with this text.
fn noted(comment: Option<&str>) -> Option<Note> {
    let known = [Note::Fence, Note::FenceLogin, Note::Ignored, Note::Keep];
    let comment = comment?;
    let found = known.into_iter().find(|note| note.to_string() == comment);
    Some(found.unwrap_or_else(|| Note::Unwritten(comment.to_owned())))
}

fn canonical(variables: &[(&str, &str)], steps: &str) -> Canonical {
    Canonical::of(&recorded(variables, steps), Some("closed"))
}

fn text(variables: &[(&str, &str)], steps: &str) -> String {
    canonical(variables, steps).to_string()
}

const VARIABLES: [(&str, &str); 6] = [
    ("port", "21007"),
    ("target", "127.0.0.1:21009"),
    ("username", "conf-user"),
    ("password", "conf-pass"),
    ("name", "probe-77-3"),
    ("timeout", "30"),
];

const SESSION: &str = r#"
ctl   connect server
ctl   > ATH probe-77-3 conf-user conf-pass
ctl   < ARS true 30 0123456789abcdef0123456789abcdef
ctl   > MAP 21007 127.0.0.1:21009 true
ctl   < MRS 21007 true
user  connect 21007
ctl   < TRQ 21007
tun   connect server
tun   >> "TRS\n0123456789abcdef0123456789abcdef\n21007\nEARLY"
user  << "EA"
user  << "RLY"
ctl   > SRQ                               # fence
ctl   < SRS                               # fence
ctl   < silence
user  >> "xxxxxxxxxxxxxxxxxxxxxxxx"
user  << "a"
user  >> "b"
user  << "c"
user  < closed                            # connection reset by peer
tun   < eof                               [tunnel.half-close]  # broken
ctl   << "TRQ\n"                          # no step has read this
"#;

#[test]
fn a_session_has_no_values_of_its_own() {
    insta::assert_snapshot!(text(&VARIABLES, SESSION));
}

#[test]
fn values_and_the_order_of_connections_do_not_change_the_text() {
    let other = SESSION
        .replace("21007", "30124")
        .replace("21009", "29999")
        .replace(
            "0123456789abcdef0123456789abcdef",
            "FEDCBA98FEDCBA98FEDCBA98FEDCBA98",
        )
        .replace("probe-77-3", "probe-8123-44")
        .replace("connection reset by peer", "eof")
        .replace("\"EA\"\nuser  << \"RLY\"", "\"EARLY\"");
    // The user's connection is seen before the TRQ, or after it.
    let (trq, user) = ("ctl   < TRQ 30124\n", "user  connect 30124\n");
    let swapped = other.replace(&format!("{user}{trq}"), &format!("{trq}{user}"));
    assert_ne!(swapped, other);
    // A slower run receives more messages that the case ignores.
    let answer = "ctl   < MRS 30124 true\n";
    let slow = swapped.replace(answer, &format!("ctl   < SRQ  # ignored\n{answer}"));
    assert_ne!(slow, swapped);
    let variables = [
        ("port", "30124"),
        ("target", "127.0.0.1:29999"),
        ("username", "conf-user"),
        ("password", "conf-pass"),
        ("name", "probe-8123-44"),
        ("timeout", "30"),
    ];
    assert_eq!(text(&variables, &slow), text(&VARIABLES, SESSION));
    let same = canonical(&variables, &slow) == canonical(&VARIABLES, SESSION);
    assert!(same, "equal texts, but other canonicals");
}

#[test]
fn another_answer_or_value_changes_the_text() {
    let same = canonical(&VARIABLES, SESSION);
    for (from, to) in [
        ("MRS 21007 true", "MRS 21007 false"),
        ("MRS 21007 true", "MRS 21008 true"),
        ("user  << \"c\"", "user  << \"d\""),
        ("user  < closed ", "user  < eof "),
        ("> SRQ     ", "> TRQ     "),
        ("true 30 0", "true 31 0"),
        // A token that the server did not give.
        ("TRS\\n0123", "TRS\\n9123"),
    ] {
        let other = SESSION.replacen(from, to, 1);
        assert_ne!(other, SESSION, "{from}");
        assert_eq!(
            canonical(&VARIABLES, &other) == same,
            from.starts_with("> SRQ"),
            "{from}"
        );
    }
}

#[test]
fn a_value_within_a_longer_number_is_not_replaced() {
    let canonical = text(&VARIABLES, "ctl   > MAP 121007 127.0.0.1:210091 \"30\"\n");
    assert_eq!(canonical, "ctl   > MAP 121007 127.0.0.1:210091 30\n");
    let canonical = text(
        &VARIABLES,
        "ctl   > MAP 021007 \"http://127.0.0.1:21009/\" conf-passx\n",
    );
    assert_eq!(
        canonical,
        "ctl   > MAP \"0$port\" \"http://$target/\" \"${password}x\"\n"
    );
}

#[test]
fn a_near_value_is_written_with_its_variable() {
    let session = |token: &str| {
        let (half, case) = (&token[..8], token.replacen('a', "A", 1));
        let steps = format!(
            "ctl   < ARS true 30 {token}\nx     > TRS {half} 21007\nx     >> \"TRS\\n{case}\\n\"\n"
        );
        text(&VARIABLES, &steps)
    };
    let wanted = "ctl   < ARS true 30 $token1\n\n\
        x     > TRS \"${token1:half}\" $port\nx     >> \"TRS\\n${token1:case}\\n\"\n";
    assert_eq!(session("0123456789abcdef"), wanted);
    assert_eq!(session("0a23456789bbcdef"), wanted);
}

#[test]
fn each_new_token_or_name_gets_the_next_number() {
    let session = |second: &str| {
        format!(
            "ctl   accept\nctl   < ATH host-9 u p\nctl   < closed\nctl   accept\nctl   < ATH {second} u p\n"
        )
    };
    let same = text(&[], &session("host-9"));
    assert_eq!(same.matches("$name1").count(), 2, "{same}");
    let renamed = text(&[], &session("host-10"));
    assert!(renamed.contains("< ATH $name2 u p"), "{renamed}");
}

#[test]
fn the_comment_of_a_broken_step_has_no_times_or_values() {
    for (got, told) in [
        ("closed", "closed"),
        ("< MRS 21007 true", "< MRS $port true"),
        (
            "nothing in 2.0 s; the connection is open",
            "nothing in N s; the connection is open",
        ),
    ] {
        let step = "ctl   < silence                           [auth.first]  # broken\n";
        let canonical = Canonical::of(&recorded(&VARIABLES, step), Some(got));
        let expected =
            format!("ctl   < silence                           [auth.first]  # not so: {told}\n");
        assert_eq!(canonical.to_string(), expected);
        assert_eq!(canonical.groups()[0].lines[0].judges, ["auth.first"]);
    }
}

#[test]
fn a_result_has_its_verdict_and_a_crash_has_no_broken_step() {
    let judged = |verdict| Judged {
        verdict,
        transcript: Some(recorded(
            &VARIABLES,
            "ctl   connect server\nctl   < silence                           # broken\n",
        )),
        ..Judged::unjudged(
            "x".into(),
            "x".into(),
            Unjudged::Harness("after 3 ms, at 21007".into()),
        )
    };
    let text = |verdict| Canonical::of_result(&judged(verdict)).to_string();
    assert_eq!(
        text(Verdict::Crash),
        "ctl   connect server\n\n# CRASH\n# after N ms, at $port\n"
    );
    assert!(
        text(Verdict::Fail).contains("# not so:\n"),
        "{}",
        text(Verdict::Fail)
    );
}

#[test]
fn bytes_that_are_sent_one_at_a_time_are_joined_and_replaced() {
    let slow = |port: &str| {
        let bytes = format!("TRQ\\n{port}\\n");
        let digits: String = port
            .chars()
            .map(|digit| format!("ctl   >> \"{digit}\"\n"))
            .collect();
        let steps = format!(
            "\nctl   >> \"T\"\nctl   >> \"R\"\nctl   >> \"Q\"\nctl   >> \"\\n\"\n{digits}ctl   >> \"\\n\"\n"
        );
        let at_once = format!("\nctl   >> drip \"{bytes}\"\n");
        (
            text(&[("port", port)], &steps),
            text(&[("port", port)], &at_once),
        )
    };
    let (first, whole) = slow("21007");
    assert_eq!(first, whole);
    assert_eq!(first, slow("22540").0);
    assert!(first.contains("$port"), "{first}");
    // Longer segments are not joined: the case cuts them there.
    let apart = text(&[], "\nctl   >> \"SR\"\nctl   >> \"Q\\n\"\n");
    assert_eq!(apart.lines().count(), 2, "{apart}");
}
