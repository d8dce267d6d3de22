//! Passwords and tokens are never printed.

use std::fmt::Debug;
use std::time::Duration;

use netroxy_proto::{
    Ath, ClientMessage, Decoder, Incoming, Limits, ServerMessage, Token, client, server,
};

/// It must not be shown as text, nor as the numbers that a derived Debug of bytes shows.
const SECRET: &str = "HUNTER2-hunter2-0123456789";

#[test]
fn messages_do_not_show_secrets() {
    for wire in ["ATH\nn\nu\n{}\n", "TRS\n{}\n80\n"] {
        silent(&parse::<ClientMessage>(wire));
    }
    silent(&parse::<ServerMessage>("ARS\ntrue\n300\n{}\n"));
}

#[test]
fn a_decoder_does_not_show_its_bytes() {
    let mut decoder = Decoder::<ClientMessage>::new(Limits::default());
    decoder.push(fill("ATH\nn\nu\n{}").as_bytes());
    assert_eq!(decoder.next_message(), Ok(None));
    silent(&decoder);
    assert!(
        format!("{decoder:?}").contains("34"),
        "the number of bytes is shown"
    );
}

#[test]
fn the_server_machine_does_not_show_secrets() {
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
fn the_client_machine_does_not_show_secrets() {
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

/// A peer that swaps its lines sends a secret in the place of another field.
#[test]
fn errors_do_not_show_misplaced_secrets() {
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
    // Short passwords with capitals, similar to a command word.
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

/// As text and as bytes.
#[test]
fn the_check_finds_a_secret_that_is_shown() {
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
