//! Changes of the configuration while the client machine runs.

use std::time::Duration;

use netroxy_proto::client::{Client, Config, DisconnectReason, Input, Mapping, Notice, Output};
use netroxy_proto::{Ars, ClientMessage, Mrs, ServerMessage, Token, Trq};

#[test]
fn a_new_mapping_is_requested_on_the_open_connection() {
    let mut client = up();
    let outputs = configure(&mut client, 5.0, config(&[1, 2, 3]), false);
    assert_eq!(maps(&outputs), ["3 t:3"]);
    assert_eq!(outputs.len(), 1);
    let granted = feed(&mut client, 5.0, Input::Message(mrs(3, true)));
    let port = 3.try_into().unwrap();
    assert_eq!(granted, [Output::Notice(Notice::Mapped(port))]);
    let opened = feed(&mut client, 5.0, Input::Message(trq(3)));
    assert!(matches!(opened[..], [Output::OpenTunnel { .. }]));
}

#[test]
fn an_unchanged_configuration_has_no_effect() {
    let mut client = up();
    assert_eq!(configure(&mut client, 5.0, config(&[1, 2]), false), []);
    // Another order is no change.
    assert_eq!(configure(&mut client, 5.0, config(&[2, 1]), false), []);
}

#[test]
fn a_changed_mapping_or_login_needs_a_new_connection_at_once() {
    let mut other = config(&[1, 2]);
    other.mappings[1].target = "u:2".to_owned().try_into().unwrap();
    let mut closed = config(&[1, 2]);
    closed.mappings[0].is_open = false;
    let mut renamed = config(&[1, 2]);
    renamed.client_name = "b".to_owned().try_into().unwrap();
    let mut user = config(&[1, 2]);
    user.username = "bob".to_owned().try_into().unwrap();
    let mut password = config(&[1, 2]);
    password.password = "new".to_owned().try_into().unwrap();
    let cases = [
        (config(&[1]), false),
        (config(&[2, 3]), false),
        (config(&[]), false),
        (other, false),
        (closed, false),
        (renamed, false),
        (user, false),
        (password, false),
        (config(&[1, 2]), true),
    ];
    for (config, anew) in cases {
        let mut client = up();
        let expected = [
            Output::Disconnect(DisconnectReason::Reconfigured),
            Output::Notice(Notice::RetryIn(Duration::ZERO)),
        ];
        let outputs = configure(&mut client, 5.0, config.clone(), anew);
        assert_eq!(outputs, expected, "{config:?}");
        assert_eq!(feed(&mut client, 5.0, Input::Tick), [Output::Connect]);
        let sent = feed(&mut client, 5.0, Input::Connected);
        let [Output::Send(ClientMessage::Ath(ath))] = &sent[..] else {
            panic!("{sent:?}");
        };
        assert_eq!(ath.client_name, config.client_name);
        assert_eq!(ath.username, config.username);
        assert_eq!(ath.password, config.password);
        let outputs = feed(&mut client, 5.0, Input::Message(accepted()));
        assert_eq!(maps(&outputs).len(), config.mappings.len());
    }
}

/// `life.client-pause`.
#[test]
fn the_next_attempt_comes_a_second_after_the_login() {
    let mut client = up();
    let outputs = configure(&mut client, 0.25, config(&[1]), false);
    let notice = Notice::RetryIn(Duration::from_millis(750));
    assert_eq!(outputs[1], Output::Notice(notice));
    assert_eq!(feed(&mut client, 0.9, Input::Tick), []);
    assert_eq!(feed(&mut client, 1.0, Input::Tick), [Output::Connect]);
}

#[test]
fn a_refused_port_is_given_up_without_a_new_connection() {
    let mut client = up();
    feed(&mut client, 5.0, Input::Message(mrs(2, false)));
    assert_eq!(configure(&mut client, 5.0, config(&[1]), false), []);
    assert_eq!(feed(&mut client, 20.0, Input::Tick), []);
    // The port has just been requested again, so the server may hold it.
    let mut client = up();
    feed(&mut client, 5.0, Input::Message(mrs(2, false)));
    assert_eq!(maps(&feed(&mut client, 8.0, Input::Tick)), ["2 t:2"]);
    let outputs = configure(&mut client, 8.0, config(&[1]), false);
    let reason = DisconnectReason::Reconfigured;
    assert_eq!(outputs[0], Output::Disconnect(reason));
}

/// `map.retry-pause`.
#[test]
fn a_refused_port_is_requested_after_its_wait_with_its_new_mapping() {
    let mut client = up();
    feed(&mut client, 5.0, Input::Message(mrs(2, false)));
    let mut other = config(&[1, 2]);
    other.mappings[1].target = "u:2".to_owned().try_into().unwrap();
    assert_eq!(configure(&mut client, 5.0, other, false), []);
    assert_eq!(feed(&mut client, 5.5, Input::Tick), []);
    assert_eq!(maps(&feed(&mut client, 8.0, Input::Tick)), ["2 u:2"]);
    // The wait stays if the mapping is removed and added again.
    let mut client = up();
    feed(&mut client, 5.0, Input::Message(mrs(2, false)));
    assert_eq!(configure(&mut client, 5.0, config(&[1]), false), []);
    assert_eq!(configure(&mut client, 5.1, config(&[1, 2]), false), []);
    assert_eq!(maps(&feed(&mut client, 8.0, Input::Tick)), ["2 t:2"]);
}

#[test]
fn the_login_uses_the_configuration_of_its_time() {
    let mut client = Client::new(config(&[1]));
    assert_eq!(configure(&mut client, 0.0, config(&[1, 2]), true), []);
    assert_eq!(feed(&mut client, 0.0, Input::Tick), [Output::Connect]);
    assert_eq!(configure(&mut client, 0.0, config(&[2]), false), []);
    feed(&mut client, 0.0, Input::Connected);
    assert_eq!(configure(&mut client, 0.0, config(&[3, 4]), false), []);
    let outputs = feed(&mut client, 0.0, Input::Message(accepted()));
    assert_eq!(maps(&outputs), ["3 t:3", "4 t:4"]);
}

#[test]
fn an_attempt_with_the_old_login_is_given_up() {
    for connected in [false, true] {
        let mut client = Client::new(config(&[1]));
        feed(&mut client, 0.0, Input::Tick);
        if connected {
            feed(&mut client, 0.0, Input::Connected);
        }
        let outputs = configure(&mut client, 0.0, config(&[1]), true);
        let expected = [
            Output::Disconnect(DisconnectReason::Reconfigured),
            Output::Notice(Notice::RetryIn(Duration::from_secs(1))),
        ];
        assert_eq!(outputs, expected);
        assert_eq!(feed(&mut client, 1.0, Input::Tick), [Output::Connect]);
    }
}

#[test]
fn of_two_mappings_of_one_port_the_first_counts() {
    let mut client = up();
    let mut twice = config(&[1, 2, 3, 3]);
    twice.mappings[3].target = "u:3".to_owned().try_into().unwrap();
    let outputs = configure(&mut client, 5.0, twice, false);
    assert_eq!(maps(&outputs), ["3 t:3"]);
}

#[test]
fn a_forgotten_port_is_unknown_and_the_connection_stays() {
    let mut client = up();
    let two = 2.try_into().unwrap();
    assert_eq!(feed(&mut client, 5.0, Input::Forget(two)), []);
    let announced = feed(&mut client, 5.0, Input::Message(trq(2)));
    assert!(matches!(
        announced[..],
        [Output::Notice(Notice::UnknownPort(_))]
    ));
    let served = feed(&mut client, 5.0, Input::Message(trq(1)));
    assert!(matches!(served[..], [Output::OpenTunnel { .. }]));
    // A configuration without the port is no change, and the port can be added again.
    assert_eq!(configure(&mut client, 5.0, config(&[1]), false), []);
    let outputs = configure(&mut client, 5.0, config(&[1, 2]), false);
    assert_eq!(maps(&outputs), ["2 t:2"]);

    // A refused port is not requested while it is forgotten, and keeps its wait if it is added again.
    let mut client = up();
    feed(&mut client, 5.0, Input::Message(mrs(2, false)));
    assert_eq!(feed(&mut client, 5.0, Input::Forget(two)), []);
    let mut back = client.clone();
    assert_eq!(feed(&mut client, 8.0, Input::Tick), []);
    assert_eq!(configure(&mut back, 5.1, config(&[1, 2]), false), []);
    assert_eq!(maps(&feed(&mut back, 8.0, Input::Tick)), ["2 t:2"]);
}

fn configure(client: &mut Client, secs: f64, config: Config, anew: bool) -> Vec<Output> {
    let config = Box::new(config);
    feed(client, secs, Input::Configure { config, anew })
}

fn config(ports: &[i64]) -> Config {
    let mapping = |port: &i64| Mapping {
        remote_port: (*port).try_into().unwrap(),
        target: format!("t:{port}").try_into().unwrap(),
        is_open: true,
    };
    Config::new(
        "a".to_owned().try_into().unwrap(),
        "alice".to_owned().try_into().unwrap(),
        "secret".to_owned().try_into().unwrap(),
        ports.iter().map(mapping).collect(),
        1,
    )
}

/// A client that has logged in at 0 with the ports 1 and 2.
fn up() -> Client {
    let mut client = Client::new(config(&[1, 2]));
    for input in [Input::Tick, Input::Connected, Input::Message(accepted())] {
        feed(&mut client, 0.0, input);
    }
    client
}

fn feed(client: &mut Client, secs: f64, input: Input) -> Vec<Output> {
    client.handle(Duration::from_secs_f64(secs), input).unwrap();
    std::iter::from_fn(|| client.poll_output()).collect()
}

fn maps(outputs: &[Output]) -> Vec<String> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Send(ClientMessage::Map(map)) => {
            Some(format!("{} {}", map.remote_port, map.target))
        }
        _ => None,
    });
    sent.collect()
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
