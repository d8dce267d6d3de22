//! Passwords and tokens are never printed.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{fmt::Debug, time::Duration};

use netroxy_proto::{
    Ath, ClientMessage, Decoder, Incoming, Limits, ServerMessage, Token, client, server,
};

/// Neither as text nor, as a derived Debug of bytes would have it, as numbers.
const SECRET: &str = "HUNTER2-hunter2-0123456789";

#[test]
fn messages() {
    for wire in ["ATH\nn\nu\n{}\n", "TRS\n{}\n80\n"] {
        silent(&parse::<ClientMessage>(wire));
    }
    silent(&parse::<ServerMessage>("ARS\ntrue\n300\n{}\n"));
}

#[test]
fn decoders() {
    let mut decoder = Decoder::<ClientMessage>::new(Limits::default());
    decoder.push(fill("ATH\nn\nu\n{}").as_bytes());
    assert_eq!(decoder.next_message(), Ok(None));
    silent(&decoder);
    assert!(
        format!("{decoder:?}").contains("34"),
        "says how much it holds"
    );
}

#[test]
fn the_server_machine_its_inputs_and_outputs() {
    let config = server::Config::new(
        "u".to_owned().try_into().unwrap(),
        SECRET.to_owned().try_into().unwrap(),
        300.try_into().unwrap(),
    );
    silent(&config);
    let mut server = server::Server::new(config);
    let conn = server::ConnId(1);
    let inputs = [
        server::Input::Accepted {
            conn,
            listener: server::Listener::Plain,
            token: token(),
        },
        server::Input::Message {
            conn,
            message: parse("ATH\nn\nu\n{}\n"),
        },
    ];
    for input in inputs {
        silent(&input);
        server.handle(Duration::ZERO, input).unwrap();
        silent(&server);
    }
    let outputs: Vec<_> = std::iter::from_fn(|| server.poll_output()).collect();
    assert!(matches!(
        outputs[..],
        [server::Output::LoggedIn { .. }, server::Output::Send { .. }]
    ));
    silent(&outputs);
}

#[test]
fn the_client_machine_its_inputs_and_outputs() {
    let config = client::Config::new(
        "n".to_owned().try_into().unwrap(),
        "u".to_owned().try_into().unwrap(),
        SECRET.to_owned().try_into().unwrap(),
        vec![client::Mapping {
            remote_port: 80.try_into().unwrap(),
            target: "t:1".to_owned().try_into().unwrap(),
            is_open: true,
        }],
        1,
    );
    silent(&config);
    let mut client = client::Client::new(config);
    let inputs = [
        client::Input::Tick,
        client::Input::Connected,
        client::Input::Message(parse("ARS\ntrue\n300\n{}\n")),
        client::Input::Message(parse("TRQ\n80\n")),
    ];
    let mut outputs = Vec::new();
    for input in inputs {
        silent(&input);
        client.handle(Duration::ZERO, input).unwrap();
        silent(&client);
        outputs.extend(std::iter::from_fn(|| client.poll_output()));
    }
    assert!(matches!(
        outputs.last(),
        Some(client::Output::OpenTunnel { .. })
    ));
    silent(&outputs);
}

/// A peer with its lines out of order puts its secrets where others belong.
#[test]
fn errors_about_misplaced_secrets() {
    for wire in [
        "{}\n",
        "ATH\nn\nu\nx\n{}\n",
        "SRQ\n{}\n",
        "TRS\n8080\n{}\n",
        "TRS\nx\n{}\r\n",
    ] {
        silent_error::<ClientMessage>(&fill(wire), SECRET);
    }
    for wire in ["ARS\n{}\n", "ARS\ntrue\n{}\n300\n", "{}\n"] {
        silent_error::<ServerMessage>(&fill(wire), SECRET);
    }
    // Short passwords, with capitals like a command word.
    for password in ["ABCdef1", "SECRET", "ABCD", "Ab1", "AB1", "hunter2"] {
        silent_error::<ClientMessage>(&format!("{password}\n"), password);
    }
}

fn token() -> Token {
    SECRET.as_bytes().try_into().unwrap()
}

fn fill(wire: &str) -> String {
    wire.replace("{}", SECRET)
}

fn parse<M: Incoming>(wire: &str) -> M {
    M::parse(fill(wire).as_bytes()).unwrap().unwrap().0
}

fn silent(value: &impl Debug) {
    silent_about(&format!("{value:?} {value:#?}"), SECRET);
}

fn silent_about(shown: &str, secret: &str) {
    let start = &secret[..secret.len().min(7)];
    assert!(!shown.contains(start), "{shown}");
    let numbers: Vec<String> = start.bytes().map(|b| b.to_string()).collect();
    assert!(!shown.contains(&numbers.join(", ")), "{shown}");
}

fn silent_error<M: Incoming + Debug>(stream: &str, secret: &str) {
    let mut decoder = Decoder::<M>::new(Limits::default());
    decoder.push(stream.as_bytes());
    let error = loop {
        match decoder.next_message() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no error in {stream:?}"),
            Err(error) => break error,
        }
    };
    silent_about(&format!("{error} {error:?} {decoder:?}"), secret);
}

/// The check itself finds a secret, as text and as bytes.
#[test]
fn the_check_can_fail() {
    let found = |value: &dyn Debug| {
        let shown = format!("{value:?}");
        std::panic::catch_unwind(|| silent_about(&shown, SECRET)).is_err()
    };
    assert!(found(&SECRET));
    assert!(found(&SECRET.as_bytes()));
    let ath: ClientMessage = parse("ATH\nn\n{}\np\n");
    assert!(matches!(&ath, ClientMessage::Ath(Ath { .. })));
    assert!(found(&ath), "a user name is no secret");
}
