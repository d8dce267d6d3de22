//! What whole sessions do not show of the client machine: bad servers, unusual ports, misuse.

use std::time::Duration;

use netroxy_proto::client::{Client, Config, DisconnectReason, Input, Mapping, Notice, Output};
use netroxy_proto::{
    Ars, ClientMessage, LocalMisuse, Mrs, ParseError, ParseErrorKind, PeerMisbehaved,
    ServerMessage, Token, Trq,
};

#[test]
fn a_message_before_ars_ends_the_connection() {
    for first in [ServerMessage::Srs, trq(8080), mrs(8080, true)] {
        let mut client = connected();
        let outputs = feed(&mut client, 0, Input::Message(first));
        assert_eq!(outputs[0], disconnect(PeerMisbehaved::ExpectedArs));
        assert!(matches!(outputs[1..], [Output::Notice(Notice::RetryIn(_))]));
    }
}

#[test]
fn a_second_ars_ends_the_login() {
    for second in [accepted(), ServerMessage::Ars(Ars::Rejected)] {
        let mut client = up();
        let outputs = feed(&mut client, 0, Input::Message(second));
        assert_eq!(outputs[0], disconnect(PeerMisbehaved::UnaskedArs));
    }
}

#[test]
fn a_login_without_an_answer_is_given_up_after_10_s() {
    let mut client = connected();
    assert_eq!(client.poll_timeout(), Some(Duration::from_secs(10)));
    let outputs = feed(&mut client, 10, Input::Tick);
    assert_eq!(outputs[0], disconnect(PeerMisbehaved::NoAnswer));
}

#[test]
fn malformed_bytes_end_the_login() {
    let mut client = up();
    let error = ParseError {
        line: 1,
        kind: ParseErrorKind::LineTooLong { limit: 4096 },
    };
    let outputs = feed(&mut client, 0, Input::Malformed(error.clone()));
    let reason = DisconnectReason::Malformed(error);
    assert_eq!(outputs[0], Output::Disconnect(reason));
}

#[test]
fn a_tunnel_has_the_port_of_the_trq_and_the_token_of_the_login() {
    let mut client = up();
    let opened = feed(&mut client, 0, Input::Message(trq(8081)));
    let expected = Output::OpenTunnel {
        remote_port: 8081.try_into().unwrap(),
        token: Token::from_random([7; 16]),
    };
    assert_eq!(opened, [expected]);
}

#[test]
fn a_refused_port_that_is_mapped_later_is_not_requested_again() {
    let mut client = up();
    feed(&mut client, 0, Input::Message(mrs(8081, false)));
    assert!(client.poll_timeout() < Some(Duration::from_secs(2)));
    let port = 8081.try_into().unwrap();
    let granted = feed(&mut client, 0, Input::Message(mrs(8081, true)));
    assert_eq!(granted, [Output::Notice(Notice::Mapped(port))]);
    // The next deadline is that of the keepalive.
    assert_eq!(client.poll_timeout(), Some(Duration::from_secs(100)));
}

/// The original client opens it too: MRS false can come from a login that has been replaced.
#[test]
fn a_tunnel_for_a_port_that_was_refused_is_opened() {
    let mut client = up();
    feed(&mut client, 0, Input::Message(mrs(8081, false)));
    let opened = feed(&mut client, 0, Input::Message(trq(8081)));
    assert!(matches!(opened[..], [Output::OpenTunnel { .. }]));
}

#[test]
fn a_message_about_an_unmapped_port_is_reported_and_ignored() {
    for port in [80, 0, -1, 65536, i64::MIN] {
        let mut client = up();
        for message in [trq(port), mrs(port, true), mrs(port, false)] {
            let outputs = feed(&mut client, 0, Input::Message(message));
            let notice = Notice::UnknownPort(port.into());
            assert_eq!(outputs, [Output::Notice(notice)]);
        }
    }
}

#[test]
fn of_two_mappings_of_one_port_the_first_counts() {
    let mut config = config();
    let again = Mapping {
        target: "c:3".to_owned().try_into().unwrap(),
        ..config.mappings[0].clone()
    };
    config.mappings.push(again);
    let mut client = Client::new(config);
    for input in [Input::Tick, Input::Connected] {
        feed(&mut client, 0, input);
    }
    let outputs = feed(&mut client, 0, Input::Message(accepted()));
    let mut targets = Vec::new();
    for output in outputs {
        if let Output::Send(ClientMessage::Map(map)) = output {
            targets.push(map.target.to_string());
        }
    }
    assert_eq!(targets, ["a:1", "b:2"]);
}

/// A client whose waits have grown to the longest wait.
fn with_longest_wait() -> Client {
    let mut client = Client::new(config());
    let mut longest = Duration::ZERO;
    for _ in 0..6 {
        let at = client.poll_timeout().unwrap();
        feed_at(&mut client, at, Input::Tick);
        longest = retry(&feed_at(&mut client, at, Input::ConnectFailed));
    }
    assert!((8..=10).contains(&longest.as_secs()), "{longest:?}");
    client
}

/// Lets the client log in and ends the session with `end` after `lasted` seconds. The result is the wait
/// that follows, in seconds.
fn wait_after(client: &mut Client, lasted: f64, end: Input) -> f64 {
    let at = client.poll_timeout().unwrap();
    for input in [Input::Tick, Input::Connected, Input::Message(accepted())] {
        feed_at(client, at, input);
    }
    let end_at = at + Duration::from_secs_f64(lasted);
    retry(&feed_at(client, end_at, end)).as_secs_f64()
}

#[test]
fn a_session_as_long_as_the_wait_before_it_resets_the_wait() {
    for (lasted, shortest) in [(60.0, 1.0), (10.0, 1.0), (8.0, 1.0), (5.0, 4.0), (0.5, 8.0)] {
        for end in [Input::Ended, Input::Broken] {
            let wait = wait_after(&mut with_longest_wait(), lasted, end);
            let allowed = shortest..=shortest * 1.25;
            assert!(allowed.contains(&wait), "{wait} s after {lasted} s");
        }
    }
}

#[test]
fn an_unstable_link_is_used_most_of_the_time() {
    for lasts in [2.0, 3.0, 5.0, 9.0] {
        let mut client = with_longest_wait();
        let mut waits: Vec<f64> = Vec::new();
        for _ in 0..20 {
            waits.push(wait_after(&mut client, lasts, Input::Broken));
        }
        let waited: f64 = waits[2..].iter().sum();
        assert!(waited <= 18.0 * 1.25, "{waits:?} for {lasts} s");
        assert!(waits.iter().all(|wait| *wait <= lasts * 1.25), "{waits:?}");
    }
}

#[test]
fn attempts_become_rare_if_the_server_ends_each_login_early() {
    let mut client = Client::new(config());
    let waits = [(); 9].map(|()| wait_after(&mut client, 5.0, Input::Ended));
    let expected = [1.0, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0, 8.0];
    for (wait, expected) in waits.iter().zip(expected) {
        assert!((expected..=expected * 1.25).contains(wait), "{waits:?}");
    }
    // A login that breaks is no sign against the server, and a login that lasts resets the count.
    for (lasted, end) in [(5.0, Input::Broken), (10.0, Input::Ended)] {
        let mut client = client.clone();
        wait_after(&mut client, lasted, end);
        let wait = wait_after(&mut client, 5.0, Input::Ended);
        assert!(wait < 5.0, "{wait}");
    }
}

/// `auth.client-backoff` and `life.client-pause` require a second, `life.reconnect-time` at most 15.
#[test]
fn after_each_end_the_wait_is_1_to_10_s() {
    let ends = [
        Input::Ended,
        Input::Broken,
        Input::Message(ServerMessage::Ars(Ars::Rejected)),
    ];
    for end in ends {
        let mut client = Client::new(config());
        for tenths in 0..200 {
            let wait = wait_after(&mut client, f64::from(tenths % 40) / 10.0, end.clone());
            assert!((1.0..=10.0).contains(&wait), "{wait}");
        }
    }
}

#[test]
fn an_answer_to_any_srq_is_a_sign_of_life() {
    let mut client = up();
    assert_eq!(feed(&mut client, 100, Input::Tick), [srq()]);
    assert_eq!(feed(&mut client, 200, Input::Tick), [srq()]);
    assert_eq!(
        feed(&mut client, 399, Input::Message(ServerMessage::Srs)),
        []
    );
    assert_eq!(feed(&mut client, 400, Input::Tick), [srq()]);
    // MRS and TRQ are no signs of life: they can have been under way.
    feed(&mut client, 450, Input::Message(mrs(8080, true)));
    assert_eq!(feed(&mut client, 699, Input::Tick), [srq()]);
    let outputs = feed(&mut client, 700, Input::Tick);
    assert_eq!(outputs[0], disconnect(PeerMisbehaved::KeepaliveUnanswered));
}

#[test]
fn misuse_is_rejected_and_changes_nothing() {
    let error = ParseError {
        line: 1,
        kind: ParseErrorKind::LineTooLong { limit: 1 },
    };
    let mut offline = Client::new(config());
    for input in [
        Input::Connected,
        Input::ConnectFailed,
        Input::Ended,
        Input::Broken,
        Input::Malformed(error),
        Input::Message(ServerMessage::Srs),
    ] {
        refused(&mut offline, input);
    }
    let mut up = up();
    for input in [Input::Connected, Input::ConnectFailed] {
        refused(&mut up, input);
    }
    feed(&mut up, 0, Input::Ended);
    refused(&mut up, Input::Ended);
}

fn refused(client: &mut Client, input: Input) {
    let before = client.poll_timeout();
    let result = client.handle(Duration::ZERO, input);
    assert_eq!(result, Err(LocalMisuse::Unexpected));
    assert_eq!(client.poll_output(), None);
    assert_eq!(client.poll_timeout(), before);
}

/// Ports that are refused together are not requested again together, whatever the seed is.
#[test]
fn each_refused_port_has_its_own_delay() {
    for jitter in [0, u64::MAX] {
        let mut client = Client::new(Config { jitter, ..config() });
        for input in [Input::Tick, Input::Connected, Input::Message(accepted())] {
            feed(&mut client, 0, input);
        }
        let delays = [8080, 8081].map(|port| {
            let outputs = feed(&mut client, 0, Input::Message(mrs(port, false)));
            match outputs[..] {
                [Output::Notice(Notice::MapRefused(_, delay))] => delay,
                _ => panic!("{outputs:?}"),
            }
        });
        assert_ne!(delays[0], delays[1], "with {jitter}");
    }
}

fn config() -> Config {
    let mapping = |port: i64, target: &str| Mapping {
        remote_port: port.try_into().unwrap(),
        target: target.to_owned().try_into().unwrap(),
        is_open: true,
    };
    Config::new(
        "a".to_owned().try_into().unwrap(),
        "alice".to_owned().try_into().unwrap(),
        "secret".to_owned().try_into().unwrap(),
        vec![mapping(8080, "a:1"), mapping(8081, "b:2")],
        1,
    )
}

fn connected() -> Client {
    let mut client = Client::new(config());
    assert_eq!(feed(&mut client, 0, Input::Tick), [Output::Connect]);
    let sent = feed(&mut client, 0, Input::Connected);
    assert!(matches!(sent[..], [Output::Send(ClientMessage::Ath(_))]));
    client
}

fn up() -> Client {
    let mut client = connected();
    feed(&mut client, 0, Input::Message(accepted()));
    client
}

fn feed(client: &mut Client, secs: u64, input: Input) -> Vec<Output> {
    feed_at(client, Duration::from_secs(secs), input)
}

fn feed_at(client: &mut Client, at: Duration, input: Input) -> Vec<Output> {
    client.handle(at, input).unwrap();
    std::iter::from_fn(|| client.poll_output()).collect()
}

fn accepted() -> ServerMessage {
    ServerMessage::Ars(Ars::Accepted {
        timeout: 300.try_into().unwrap(),
        token: Token::from_random([7; 16]),
    })
}

fn mrs(port: i64, is_ok: bool) -> ServerMessage {
    let remote_port = port.into();
    ServerMessage::Mrs(Mrs { remote_port, is_ok })
}

fn trq(port: i64) -> ServerMessage {
    let remote_port = port.into();
    ServerMessage::Trq(Trq { remote_port })
}

fn srq() -> Output {
    Output::Send(ClientMessage::Srq)
}

fn disconnect(how: PeerMisbehaved) -> Output {
    Output::Disconnect(how.into())
}

fn retry(outputs: &[Output]) -> Duration {
    match outputs.last() {
        Some(Output::Notice(Notice::RetryIn(delay))) => *delay,
        other => panic!("{other:?}"),
    }
}
