use netroxy_specification::notation::print;

use super::*;
use crate::recording::parse;

fn recording(role: &str, body: &str) -> Recording {
    let head = format!(
        "recording 1\ntitle    t\nrole     {role}\nover     plain\nbegan    2026-01-01T00:00:00.000000Z\n\n"
    );
    let lines = body.trim().lines().zip(1..);
    let lines = lines.map(|(line, at)| format!("  {at}.000000  {}\n", line.trim()));
    parse(&format!("{head}{}", lines.collect::<String>())).unwrap()
}

/// The steps of a case without marks and bounds.
fn steps(case: &Case) -> Vec<String> {
    let text = print(case);
    let steps = text.lines().skip_while(|line| !line.is_empty()).skip(1);
    let bare = steps.map(|line| line.split("  [").next().unwrap_or_default());
    let bare = bare.map(|line| line.split("  in ").next().unwrap_or_default().trim_end());
    bare.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

const TAP: &str = "
    c1 connect server
    c1 > ATH home alice secret
    c1 < ARS true 20 1234567890abcdef
    c1 > MAP 8080 10.0.0.1:80 true
    c1 < MRS 8080 true
    c1 < TRQ 8080
    c2 connect server
    c2 >> \"TRS\\n1234567890abcdef\\n80\"
    c2 >> \"80\\n\"
    c2 > reset
    c3 connect server
    c3 > TRS 1234567890abcdef 8080
    c3 >> \"hello\"
    c3 << \"bye\"
    c3 < eof
    c3 > shutdown
    c1 > SRQ
    c1 < SRS";

#[test]
fn a_recording_of_a_tap_is_played_against_a_server_with_users() {
    let case = to_case(&recording("tap", TAP), Side::Server, true).unwrap();
    let expected = [
        "c1 connect server",
        "c1 > ATH $name $username $password",
        "c1 < ARS true 20 ?token",
        "c1 > MAP $port 10.0.0.1:80 true",
        "c1 < MRS $port true",
        "user1 connect $port",
        "c1 < TRQ $port",
        "c2 connect server",
        "c2 >> \"TRS\\n$token\\n80\"",
        "c2 >> \"80\\n\"",
        "c2 > reset",
        "c3 connect server",
        "c3 > TRS $token $port",
        "c3 >> \"hello\"",
        "user1 << \"hello\"",
        "user1 >> \"bye\"",
        "c3 << \"bye\"",
        "user1 > shutdown",
        "c3 < eof",
        "c3 > shutdown",
        "user1 < eof",
        "c1 > SRQ",
        "c1 < SRS",
    ];
    assert_eq!(steps(&case), expected);
    assert_eq!(case.config.len(), 1);
    // A server that runs already has its own timeout.
    let case = to_case(&recording("tap", TAP), Side::Server, false).unwrap();
    assert_eq!(
        (case.config.len(), steps(&case)[2].as_str()),
        (0, "c1 < ARS true _ ?token")
    );
}

#[test]
fn a_recording_of_a_tap_is_played_against_a_client_with_targets() {
    let tap = TAP.replace("\n    c1 < TRQ 8080\n    c2 connect server\n    c2 >> \"TRS\\n1234567890abcdef\\n80\"\n    c2 >> \"80\\n\"\n    c2 > reset", "\n    c1 < TRQ 8080");
    let case = to_case(&recording("tap", &tap), Side::Client, true).unwrap();
    let expected = [
        "c1 accept",
        "c1 < ATH _ $username $password",
        "c1 > ARS true 20 $token",
        "c1 < MAP $port $target true",
        "c1 > MRS $port true",
        "c1 > TRQ $port",
        "c3 accept",
        "c3 < TRS $token $port",
        "service1 accept $target",
        "service1 >> \"hello\"",
        "c3 << \"hello\"",
        "c3 >> \"bye\"",
        "service1 << \"bye\"",
        "c3 > shutdown",
        "service1 < eof",
        "service1 > shutdown",
        "c3 < eof",
    ];
    assert_eq!(steps(&case), expected);
    assert!(print(&case).contains("config   map $port -> $target\n"));
}

#[test]
fn a_recording_that_no_case_can_express_is_not_played() {
    let pair = recording("pair", "user connect 80");
    assert_eq!(to_case(&pair, Side::Server, true), Err(Unplayable::Pair));
    let client = recording("client", "ctl accept");
    let wrong = Unplayable::Role(Role::Client, Side::Server);
    assert_eq!(to_case(&client, Side::Server, true), Err(wrong));
    let mut body = String::from("c1 connect server\n");
    for port in 1..=4 {
        body.push_str(&format!("c1 > MAP {port} a true\nc1 < MRS {port} true\n"));
    }
    let many = to_case(&recording("tap", &body), Side::Server, true);
    assert_eq!(many, Err(Unplayable::TooMany(4, "ports", 3)));
    let silent = recording("server", "ctl connect server");
    assert_eq!(
        to_case(&silent, Side::Server, true),
        Err(Unplayable::Silent(Side::Server))
    );
}

/// Another client asks in another order, or waits for each answer.
#[test]
fn several_maps_become_one_step() {
    let body = "
        c1 accept
        c1 < ATH home alice secret
        c1 > ARS true 30 1234567890abcdef
        c1 < MAP 8080 10.0.0.1:80 true
        c1 < MAP 8081 10.0.0.2:80 true
        c1 > MRS 8080 false
        c1 > TRQ 8081
        c1 > MRS 8081 true
        c1 < MAP 8080 10.0.0.1:80 true
        c1 > MRS 8080 true";
    let case = to_case(&recording("client", body), Side::Client, true).unwrap();
    let expected = [
        "c1 accept",
        "c1 < ATH _ $username $password",
        "c1 > ARS true 30 $token",
        "c1 < maps but $port",
        "c1 > TRQ $port2",
        "c1 < MAP $port $target true",
        "c1 > MRS $port true",
    ];
    assert_eq!(steps(&case), expected);
    // What is not answered stays as it was.
    let cut = body.replace("\n        c1 > MRS 8081 true", "");
    let case = to_case(&recording("client", &cut), Side::Client, true).unwrap();
    assert_eq!(steps(&case)[3], "c1 < MAP $port $target true");
}
