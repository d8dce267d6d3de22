//! Tests of how a record is shown.

use std::sync::Arc;
use std::time::Duration;

use netroxy_specification::notation::print_step;

use super::*;
use crate::recording::Kind as Whose;
use crate::tap::Backlog;
use crate::transcript::line;

fn talk(transport: Transport) -> Talk {
    let server = SocketAddr::from(([127, 0, 0, 1], 7));
    Talk::new(Instant::now(), transport, server).with_probe(9)
}

fn see(talk: &mut Talk, millis: u64, connection: &str, what: What) {
    talk.see(Seen::Event(Event {
        at: Duration::from_millis(millis),
        connection: connection.to_owned(),
        what,
        backlog: Arc::new(Backlog::new(Instant::now())),
    }));
}

fn open(talk: &mut Talk, connection: &str) {
    let opened = What::Open(Whose::Control(Transport::Plain));
    see(talk, 0, connection, opened);
}

fn client(bytes: &[u8]) -> What {
    What::Bytes(Sender::Opener, bytes.to_vec())
}

fn server(bytes: &[u8]) -> What {
    What::Bytes(Sender::Acceptor, bytes.to_vec())
}

fn shown(talk: &Talk, taken: &[&str]) -> Vec<String> {
    let steps = talk.steps(taken).into_iter();
    steps
        .map(|(at, step)| line(at, &step, false).step)
        .collect()
}

#[test]
fn connections_are_named_after_their_kind() {
    let mut talk = talk(Transport::Plain);
    for connection in ["c1", "c2", "c3", "c4"] {
        open(&mut talk, connection);
    }
    // The name of the message comes in two pieces.
    see(&mut talk, 1, "c1", client(b"AT"));
    see(&mut talk, 2, "c1", client(b"H\nme\nalice\nx\n"));
    see(&mut talk, 3, "c2", client(b"TRS\ntoken\n80\nhello"));
    see(&mut talk, 4, "c3", client(b"TRS\ntoken\n80\n"));
    see(&mut talk, 5, "c4", client(b"ATHENE\n"));
    let named = |taken: &[&str]| -> Vec<String> {
        let named = talk.connections(taken).into_iter();
        named
            .map(|(name, kind)| format!("{name} {}", kind.word()))
            .collect()
    };
    let wanted = ["ctl1 control", "data1 data", "data2 data", "conn1 unknown"];
    assert_eq!(named(&[]), wanted);
    // The case has an actor named `data1`.
    let wanted = ["ctl1 control", "data2 data", "data3 data", "conn1 unknown"];
    assert_eq!(named(&["user", "data1"]), wanted);
    let lines = shown(&talk, &["data1"]);
    assert!(
        lines.contains(&"data2 > TRS token 80".to_owned()),
        "{lines:?}"
    );
    assert!(
        lines.contains(&"data2 >> \"hello\"".to_owned()),
        "{lines:?}"
    );
}

#[test]
fn the_end_of_a_direction_shows_its_side_and_byte_count() {
    let mut talk = talk(Transport::Plain);
    open(&mut talk, "c1");
    see(&mut talk, 1, "c1", client(b"x"));
    see(&mut talk, 2, "c1", What::Ended(Sender::Opener, End::Fin));
    see(&mut talk, 3, "c1", server(b"yz"));
    see(
        &mut talk,
        4,
        "c1",
        What::Ended(Sender::Acceptor, End::Reset),
    );
    see(&mut talk, 5, "c1", What::Gone);
    open(&mut talk, "c2");
    see(&mut talk, 6, "c2", What::Ended(Sender::Acceptor, End::Fin));
    see(&mut talk, 7, "c2", What::Ended(Sender::Opener, End::Reset));
    let words: Vec<String> = shown(&talk, &[])
        .iter()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        words,
        [
            "conn1 connect server",
            "conn1 >> \"x\"",
            "conn1 > shutdown # after 1 byte",
            "conn1 << \"yz\"",
            "conn1 < closed # reset after 2 bytes",
            "conn2 connect server",
            "conn2 < eof # after 0 bytes",
            "conn2 > reset # reset after 0 bytes",
        ]
    );
}

#[test]
fn many_bytes_of_one_side_are_one_line_until_a_short_answer() {
    let mut talk = talk(Transport::Plain);
    open(&mut talk, "c1");
    see(&mut talk, 1, "c1", client(b"TRS\ntoken\n80\n"));
    for millis in 2..12 {
        see(&mut talk, millis, "c1", client(&[b'a'; 60_000]));
        see(&mut talk, millis, "c1", server(&[b'b'; 2_000]));
    }
    see(&mut talk, 12, "c1", server(b"end"));
    see(&mut talk, 13, "c1", client(b"again"));
    see(&mut talk, 15, "c1", server(&[b'c'; 2_000]));
    let lines = shown(&talk, &[]);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (a, b, c) = ("a".repeat(SHOWN), "b".repeat(SHOWN), "c".repeat(SHOWN));
    assert_eq!(
        lines[2..],
        [
            format!("data1 >> \"{a}...\"    # cut, 600000 bytes in 10 reads, the last at 0.011"),
            format!("data1 << \"{b}...\"    # cut, 20003 bytes in 11 reads, the last at 0.012"),
            "data1 >> \"again\"".to_owned(),
            format!("data1 << \"{c}...\"    # cut, 2000 bytes"),
        ]
    );
}

#[test]
fn messages_about_the_mapping_of_the_suite_are_marked() {
    let mut talk = talk(Transport::Plain);
    open(&mut talk, "c1");
    see(
        &mut talk,
        1,
        "c1",
        client(b"ATH\nme\n9\nx\nMAP\n9\na:1\ntrue\nMAP\n80\na:9\ntrue\n"),
    );
    see(
        &mut talk,
        2,
        "c1",
        server(b"ARS\ntrue\n9\n9\nMRS\n9\ntrue\nTRQ\n9\nTRQ\n80\n"),
    );
    let lines = shown(&talk, &[]);
    let marked = lines.iter().filter(|line| line.ends_with(PROBE));
    let words: Vec<&str> = marked
        .map(|line| line.split_whitespace().nth(2).unwrap())
        .collect();
    assert_eq!(words, ["MAP", "MRS", "TRQ"], "{lines:?}");
}

#[test]
fn tls_is_counted_and_not_read() {
    let mut talk = talk(Transport::Tls);
    open(&mut talk, "c1");
    see(&mut talk, 1, "c1", client(b"ATH\nme\nalice\nx\n"));
    see(&mut talk, 2, "c1", server(&[0; 99_999]));
    see(&mut talk, 3, "c1", What::Ended(Sender::Opener, End::Fin));
    see(&mut talk, 4, "c1", What::Ended(Sender::Acceptor, End::Fin));
    assert!(!talk.is_readable());
    assert_eq!(talk.connections(&[]), [("tls1".to_owned(), Kind::Tls)]);
    let steps = talk.steps(&[]);
    let lines: Vec<String> = steps.iter().map(|(_, step)| print_step(step)).collect();
    let words: Vec<String> = lines
        .iter()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        words,
        [
            "tls1 connect server # TLS: what is inside cannot be read",
            "tls1 > shutdown # after 15 bytes of TLS",
            "tls1 < eof # after 99999 bytes of TLS",
        ]
    );
}

#[test]
fn a_server_that_cannot_be_reached_is_shown() {
    let mut talk = talk(Transport::Plain);
    let from = SocketAddr::from(([127, 0, 0, 1], 5));
    talk.see(Seen::Unserved(from, "Connection refused".to_owned()));
    let lines = shown(&talk, &[]);
    assert_eq!(lines.len(), 1);
    let line = lines[0].split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(line, "conn1 refused 127.0.0.1:7 # Connection refused");
}

#[test]
fn the_first_and_last_lines_are_kept_if_there_are_too_many() {
    let mut talk = talk(Transport::Plain);
    open(&mut talk, "c1");
    see(&mut talk, 1, "c1", client(b"ATH\nme\nalice\nx\n"));
    let most = u64::try_from(3 * HALF).unwrap();
    for millis in 0..most {
        see(&mut talk, millis, "c1", client(b"SRQ\n"));
    }
    open(&mut talk, "c2");
    let lines = talk.steps(&[]);
    assert_eq!(lines.len(), 2 * HALF);
    assert_eq!(talk.left_out(), HALF + 3);
    let words: Vec<String> = [0, 1, 2 * HALF - 1]
        .map(|index| print_step(&lines[index].1))
        .to_vec();
    assert!(
        words[0].ends_with("connect server") && words[1].contains("ATH"),
        "{words:?}"
    );
    assert!(words[2].starts_with("conn1"), "{words:?}");
    let times: Vec<_> = lines.iter().map(|(at, _)| at.as_millis()).collect();
    assert_eq!(times[2 * HALF - 2], u128::from(most - 1));
}
