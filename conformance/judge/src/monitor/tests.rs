use std::time::Duration;

use super::login::PENDING;
use super::*;
use crate::recording::{Recording, events, parse};

/// The recording of a tap, with its body.
fn recording(body: &str) -> Recording {
    let head = "recording 1\ntitle    t\nrole     tap\nover     plain\nbegan    2026-01-01T00:00:00.000000Z\n\n";
    let lines = body.trim().lines().map(|line| {
        let (time, step) = line.trim().split_once(' ').unwrap();
        format!(
            "  {time}{:0<1$}  {step}\n",
            "",
            6 - time.split_once('.').unwrap().1.len()
        )
    });
    parse(&format!("{head}{}", lines.collect::<String>())).unwrap()
}

/// The violations, each as `side rule`, if nothing happens for some seconds after the body.
fn found(body: &str, after: u64) -> Vec<String> {
    let recording = recording(body);
    let mut monitor = Monitor::new(Limits::scaled(1.0), None);
    for event in events(&recording) {
        monitor.see(event.at, &event.connection, &event.what);
    }
    let end = recording.entries.last().unwrap().at;
    monitor.pass(end + Duration::from_secs(after));
    let (found, rules) = (
        monitor.take(),
        netroxy_specification::rules::embedded().unwrap(),
    );
    for Violation { rule, .. } in &found {
        assert!(rules.iter().any(|one| one.id == *rule), "{rule} is no rule");
    }
    let found = found.into_iter();
    found
        .map(|one| format!("{} {}", one.side, one.rule))
        .collect()
}

const LOGIN: &str = "
    0.0 c1 connect server
    0.0 c1 > ATH home alice secret
    0.1 c1 < ARS true 30 token-1
    0.1 c1 > MAP 8080 127.0.0.1:80 true
    0.2 c1 < MRS 8080 true";

fn after_login(body: &str, after: u64) -> Vec<String> {
    found(&format!("{LOGIN}\n{}", body.trim()), after)
}

#[test]
fn traffic_that_follows_the_rules_has_no_violation() {
    let body = "
        1.0 c1 > SRQ
        1.0 c1 < SRS
        2.0 c1 < TRQ 8080
        2.1 c2 connect server
        2.1 c2 >> \"TRS\\ntoken-1\\n8080\\nSRQ\\nearly\"
        2.2 c2 << \"TRQ\\n9\\nno message\"
        2.3 c2 > shutdown
        2.4 c2 < eof
        3.0 c1 > MAP 0 nowhere false
        3.0 c1 > MAP 8081 127.0.0.1:81 false
        3.1 c1 < MRS 0 false
        3.1 c1 >> \"SR\"
        3.2 c1 < MRS 8081 true
        3.3 c1 >> \"Q\\n\"
        3.4 c1 < SRS
        4.0 c3 connect server
        4.0 c3 > ATH \"\" alice wrong
        4.1 c3 < ARS false
        4.2 c3 < eof
        4.3 c3 > shutdown
        5.0 c1 > shutdown
        5.1 c1 < eof";
    assert_eq!(after_login(body, 100), [""; 0]);
}

#[test]
fn violations_of_a_server_are_found() {
    let fresh = "0.0 c1 connect server";
    let cases: [(String, u64, &[&str]); 21] = [
        (format!("{fresh}\n0.1 c1 < SRS"), 1, &["server keep.srs"]),
        (
            format!("{fresh}\n0.1 c1 << \"hi\\n\""),
            1,
            &["server frame.sender-grammar"],
        ),
        (fresh.to_owned(), 18, &["server auth.deadline"]),
        (
            format!("{fresh}\n0.1 c1 > ATH a b c"),
            11,
            &["server auth.reply-time"],
        ),
        (
            format!("{fresh}\n0.1 c1 > ATH a b c\n0.2 c1 < ARS true 0 t\n0.3 c1 > close"),
            1,
            &["server auth.timeout-positive"],
        ),
        (
            format!("{fresh}\n0.1 c1 > ATH a b c\n0.2 c1 < ARS false\n0.3 c1 > shutdown"),
            3,
            &["server auth.fail-close"],
        ),
        (
            format!(
                "{fresh}\n0.1 c1 > ATH a b c\n0.2 c1 < ARS false\n0.2 c1 < SRS\n0.3 c1 > close\n0.4 c1 < eof"
            ),
            3,
            &["server auth.fail-reply"],
        ),
        (
            format!("{LOGIN}\n0.3 c1 < ARS true 30 x\n0.4 c1 > close"),
            1,
            &["server auth.ok-reply"],
        ),
        (
            format!("{LOGIN}\n0.3 c1 > MAP 1 a true"),
            3,
            &["server map.one-reply"],
        ),
        (
            format!("{LOGIN}\n0.3 c1 < MRS 8080 true"),
            1,
            &["server map.one-reply"],
        ),
        (
            format!("{LOGIN}\n0.3 c1 > MAP 1 a true\n0.4 c1 < MRS 2 true"),
            1,
            &["server map.same-port"],
        ),
        (
            format!(
                "{LOGIN}\n0.3 c1 > MAP 1 a true\n0.3 c1 > MAP 2 a true\n0.4 c1 < MRS 2 true\n0.4 c1 < MRS 1 true"
            ),
            1,
            &["server map.order"],
        ),
        (
            format!("{LOGIN}\n0.3 c1 > MAP 65536 a true\n0.4 c1 < MRS 65536 true"),
            1,
            &["server map.port-range"],
        ),
        (
            format!("{LOGIN}\n0.3 c1 > MAP 8080 a true\n0.4 c1 < MRS 8080 true"),
            1,
            &["server map.conflict-false"],
        ),
        (
            format!("{LOGIN}\n0.3 c1 > MAP 1 a true\n0.4 c1 << \"MRS\\n01\\ntrue\\n\""),
            1,
            &["server frame.int-canonical"],
        ),
        (format!("{LOGIN}\n0.3 c1 > SRQ"), 3, &["server keep.srs"]),
        (format!("{LOGIN}\n0.3 c1 < SRS"), 1, &["server keep.srs"]),
        (
            format!("{LOGIN}\n0.3 c1 < TRQ 9"),
            1,
            &["server tunnel.trq-port"],
        ),
        (
            format!("{LOGIN}\n0.3 c1 > MAP 9 a false\n0.4 c1 < MRS 9 true\n0.5 c1 < TRQ 9"),
            1,
            &["server map.closed-no-tunnel"],
        ),
        (
            format!(
                "{LOGIN}\n0.3 c2 connect server\n0.3 c2 > ATH b c d\n0.4 c2 < ARS true 30 token-1"
            ),
            1,
            &["server auth.token-unique"],
        ),
        (
            format!(
                "{LOGIN}\n0.3 c2 connect server\n0.3 c2 > ATH home alice secret\n0.4 c2 < ARS true 30 token-2\n0.4 c1 < eof\n0.4 c2 > MAP 8080 a true\n0.5 c2 < MRS 8080 false"
            ),
            1,
            &["server auth.same-name-replaces"],
        ),
    ];
    for (body, after, expected) in cases {
        assert_eq!(found(&body, after), expected, "{body}");
    }
}

#[test]
fn a_server_has_to_close_after_a_violation_of_the_client() {
    let cases = [
        ("1.0 c1 > ATH a b c", "auth.client-once", "auth.once"),
        (
            "1.0 c1 > TRS token-1 8080",
            "tunnel.no-trs-on-control",
            "tunnel.not-on-control",
        ),
        (
            "1.0 c1 >> \"HELO\\n\"",
            "frame.sender-grammar",
            "frame.unknown-word",
        ),
        (
            "1.0 c1 >> \"MAP\\nhttp\\n\"",
            "frame.sender-grammar",
            "frame.int",
        ),
        (
            "1.0 c1 >> \"MAP\\n1\\na\\nTrue\\n\"",
            "frame.bool-canonical",
            "frame.bool",
        ),
        (
            "1.0 c2 connect server\n1.0 c2 > SRQ",
            "auth.client-first",
            "auth.first",
        ),
        (
            "1.0 c2 connect server\n1.0 c2 > TRS token 8080",
            "tunnel.trs-first-line",
            "tunnel.bad-token-close",
        ),
        (
            "1.0 c2 connect server\n1.0 c2 > TRS token-1 9",
            "tunnel.one-trs",
            "tunnel.bad-port-close",
        ),
        (
            "1.0 c2 connect server\n1.0 c2 > TRS token-1 8080",
            "tunnel.one-trs",
            "tunnel.no-unsolicited",
        ),
    ];
    for (body, client, server) in cases {
        let (client, server) = (format!("client {client}"), format!("server {server}"));
        let actor = &body[4..6];
        assert_eq!(after_login(body, 3), [client.clone(), server], "{body}");
        let closed = format!("{body}\n1.1 {actor} < eof");
        assert_eq!(after_login(&closed, 3), [client], "{closed}");
    }
    let stale = "
        1.0 c1 > shutdown
        1.0 c1 < eof
        3.0 c2 connect server
        3.0 c2 > TRS token-1 8080";
    let expected = ["client tunnel.one-trs", "server life.stale-token"];
    assert_eq!(after_login(stale, 3), expected);
}

#[test]
fn violations_of_a_client_are_found() {
    let fresh = "0.0 c1 connect server\n0.0 c1 > ATH a b c";
    let cases: [(String, u64, &[&str]); 15] = [
        (
            format!(
                "{fresh}\n0.1 c1 > ATH a b c\n0.2 c1 < ARS false\n0.3 c1 < eof\n0.3 c1 > shutdown"
            ),
            3,
            &["client auth.client-once"],
        ),
        (
            format!("{fresh}\n0.2 c1 << \"ARS\\nTrue\\n\""),
            3,
            &["server frame.bool-canonical", "client auth.ars-bool"],
        ),
        (
            format!("{fresh}\n0.2 c1 << \"ARS\\ntrue\\nsoon\\n\""),
            3,
            &["server frame.sender-grammar", "client auth.ars-int"],
        ),
        (
            format!("{LOGIN}\n0.3 c1 << \"MRS\\n8080\\nTRQ\\n\""),
            3,
            &["server frame.sender-whole", "client frame.bool"],
        ),
        (
            format!("{fresh}\n0.1 c1 > SRQ\n0.2 c1 < ARS true 30 t\n0.2 c1 < SRS"),
            1,
            &["client auth.client-waits"],
        ),
        (
            format!("{fresh}\n0.2 c1 < ARS false\n0.3 c1 < eof"),
            3,
            &["client auth.refused-close"],
        ),
        (
            format!("{fresh}\n0.2 c1 < ARS false\n0.3 c1 < eof\n1.0 c1 > SRQ"),
            3,
            &["client auth.refused-silent", "client auth.refused-close"],
        ),
        (
            format!("{fresh}\n0.2 c1 < MRS 1 true"),
            3,
            &["server map.one-reply", "client auth.ars-first"],
        ),
        (
            format!("{LOGIN}\n0.3 c1 < ARS false"),
            3,
            &["server auth.ok-reply", "client auth.one-reply"],
        ),
        (
            format!("{LOGIN}\n0.3 c1 << \"MRS\\nx\\n\""),
            3,
            &["server frame.sender-grammar", "client frame.int"],
        ),
        (
            format!("{LOGIN}\n0.3 c1 < TRQ 8080"),
            23,
            &["client tunnel.trs-new-connection"],
        ),
        (
            format!(
                "{LOGIN}\n0.3 c1 > MAP 9 a true\n0.4 c1 < MRS 9 false\n25.0 c1 > SRQ\n25.0 c1 < SRS\n50.0 c1 > SRQ\n50.0 c1 < SRS"
            ),
            11,
            &["client map.client-retries"],
        ),
        (
            format!(
                "{LOGIN}\n0.3 c1 > MAP 9 a true\n0.4 c1 < MRS 9 false\n0.5 c1 > MAP 9 a true\n0.8 c1 < MRS 9 false\n1.1 c1 > MAP 9 a true"
            ),
            1,
            &["client map.retry-pause"],
        ),
        (
            format!(
                "{fresh}\n0.2 c1 < ARS false\n0.3 c1 < eof\n0.3 c1 > shutdown\n0.4 c2 connect server\n0.4 c2 > ATH a b c"
            ),
            1,
            &["client auth.client-backoff"],
        ),
        (
            format!(
                "{LOGIN}\n0.3 c1 < eof\n0.3 c1 > shutdown\n0.4 c2 connect server\n0.4 c2 > ATH home alice secret"
            ),
            1,
            &["client life.client-pause"],
        ),
    ];
    for (body, after, expected) in cases {
        assert_eq!(found(&body, after), expected, "{body}");
    }
    // Two MAPs for one port were on their way, and the third comes in time.
    let both_refused = "0.3 c1 > MAP 9 a true\n0.4 c1 < MRS 9 false\n0.41 c1 > MAP 9 a true\n0.5 c1 < MRS 9 false\n1.6 c1 > MAP 9 a true";
    assert_eq!(after_login(both_refused, 1), [""; 0]);
    let dialling = "0.3 c1 < TRQ 8080\n0.4 c2 connect server\n9.0 c2 > close\n9.0 c2 < eof";
    assert_eq!(after_login(dialling, 2), [""; 0]);
}

#[test]
fn keepalive_is_judged_by_the_timeout() {
    let silent = ["client keep.client-interval"];
    assert_eq!(after_login("0.3 c1 > SRQ\n0.3 c1 < SRS", 31), silent);
    let both = ["client keep.client-interval", "server keep.expiry-bound"];
    assert_eq!(after_login("0.3 c1 > SRQ\n0.3 c1 < SRS", 46), both);
    assert_eq!(after_login("0.3 c1 > SRQ\n0.3 c1 < SRS", 30), [""; 0]);
    let mut body = String::new();
    for number in 1..=5 {
        body.push_str(&format!("{}.0 c1 > SRQ\n", number * 25));
    }
    let deaf = after_login(&body, 0);
    assert_eq!(
        deaf.iter()
            .filter(|one| *one == "client keep.client-gives-up")
            .count(),
        1
    );
}

#[test]
fn a_server_that_closes_a_login_and_goes_on_needs_a_reason() {
    let other = "0.3 c2 connect server\n0.3 c2 > ATH other bob x\n0.4 c2 < ARS true 30 token-2";
    let early = format!("{other}\n5.0 c1 < eof\n5.0 c1 > shutdown");
    assert_eq!(after_login(&early, 3), ["server keep.not-early"]);
    let stopped = format!("{early}\n5.1 c2 < eof");
    assert_eq!(after_login(&stopped, 3), [""; 0]);
    let alone = "5.0 c1 < eof\n5.0 c1 > shutdown";
    assert_eq!(after_login(alone, 3), [""; 0]);
}

#[test]
fn tls_is_not_judged() {
    let recording =
        recording("0.0 c1 connect server\n0.0 c1 >> \"\\x16\\x03\\x01\"\n0.1 c1 << \"x\\n\"");
    let mut monitor = Monitor::new(Limits::scaled(1.0), None);
    for event in events(&recording) {
        monitor.see(event.at, &event.connection, &event.what);
    }
    monitor.pass(Duration::from_secs(60));
    assert_eq!(
        (monitor.take(), monitor.unread(), monitor.opened()),
        (vec![], 1, 1)
    );
}

#[test]
fn only_the_judged_side_is_reported() {
    let recording = recording("0.0 c1 connect server\n0.0 c1 > SRQ");
    let mut monitor = Monitor::new(Limits::scaled(1.0), Some(Side::Server));
    for event in events(&recording) {
        monitor.see(event.at, &event.connection, &event.what);
    }
    monitor.pass(Duration::from_secs(3));
    let found: Vec<_> = monitor.take().into_iter().map(|one| one.rule).collect();
    assert_eq!(found, ["auth.first"]);
}

#[test]
fn a_client_may_answer_a_wrong_trq() {
    for (map, rule) in [
        (
            "0.3 c1 > MAP 9 a false\n0.4 c1 < MRS 9 true",
            "server map.closed-no-tunnel",
        ),
        (
            "0.3 c1 > MAP 9 a true\n0.4 c1 < MRS 9 false",
            "server tunnel.trq-port",
        ),
    ] {
        let answered =
            "0.5 c1 < TRQ 9\n0.6 c2 connect server\n0.6 c2 > TRS token-1 9\n0.7 c2 < eof";
        assert_eq!(
            after_login(&format!("{map}\n{answered}"), 3),
            [rule],
            "{map}"
        );
        let twice = "0.8 c3 connect server\n0.8 c3 > TRS token-1 9\n0.9 c3 < eof";
        let both = after_login(&format!("{map}\n{answered}\n{twice}"), 3);
        assert_eq!(both, [rule, "client tunnel.one-trs"], "{map}");
    }
}

#[test]
fn a_delay_by_the_tap_is_not_reported() {
    let asked = recording(&format!(
        "{LOGIN}\n1.0 c1 > SRQ\n1.0 c1 > MAP 8081 nas:80 true"
    ));
    let late = |until: u64, at: u64| {
        let mut monitor = Monitor::new(Limits::scaled(1.0), None);
        for event in events(&asked) {
            monitor.see(event.at, &event.connection, &event.what);
        }
        monitor.hold("c1", Duration::from_secs(until));
        monitor.pass(Duration::from_secs(at));
        let found = monitor.take().into_iter();
        found.map(|one| one.rule).collect::<Vec<_>>()
    };
    assert_eq!(late(0, 4), ["map.one-reply", "keep.srs"]);
    assert_eq!(late(4, 5), [""; 0]);
    assert_eq!(late(4, 7), ["map.one-reply", "keep.srs"]);
    // A silent client is late from there on too.
    assert_eq!(late(35, 36), [""; 0]);
    assert!(late(0, 36).contains(&"keep.client-interval"));
}

#[test]
fn floods_of_messages_are_counted_and_use_bounded_memory() {
    let login = recording(LOGIN);
    let mut monitor = Monitor::new(Limits::scaled(1.0), None);
    for event in events(&login) {
        monitor.see(event.at, &event.connection, &event.what);
    }
    let mut say = |sender, text: &str, times: usize| {
        let what = What::Bytes(sender, text.as_bytes().repeat(times));
        monitor.see(Duration::from_secs(1), "c1", &what);
        let pending = monitor
            .state
            .login("c1")
            .map(|login| (login.srqs.len(), login.asked.len()));
        assert!(pending <= Some((PENDING, PENDING)), "{pending:?}");
        let found = monitor.take().into_iter();
        found.map(|one| one.seen).collect::<Vec<_>>()
    };
    let count = PENDING * 2 + 7;
    assert_eq!(say(Sender::Opener, "SRQ\n", count), [""; 0]);
    assert_eq!(say(Sender::Acceptor, "SRS\n", count), [""; 0]);
    assert_eq!(say(Sender::Acceptor, "SRS\n", 1), ["SRS answers no SRQ"]);
    let map = "MAP\n8081\nnas:80\ntrue\n";
    assert_eq!(say(Sender::Opener, map, count), [""; 0]);
    assert_eq!(say(Sender::Acceptor, "MRS\n8081\nfalse\n", count), [""; 0]);
}
