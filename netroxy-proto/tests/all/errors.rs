//! Each kind of bad input: the line, the rule and the text of the error.

use netroxy_proto::server::RefuseReason;
use netroxy_proto::{
    ClientMessage, Decoder, Incoming, InvalidField, Limits, LocalMisuse, ParseErrorKind,
    PeerMisbehaved, RemotePort, ServerMessage, Timeout, Token,
};

/// Bytes, rule, and the text of the error (which begins with the line).
type Case = (&'static [u8], &'static str, &'static str);

const TO_SERVER: &[Case] = &[
    (
        b"XYZ\n",
        "frame.unknown-word",
        "line 1 of a message: unknown command \"XYZ\"",
    ),
    (
        b"SRS\n",
        "frame.unknown-word",
        "line 1 of a message: unknown command \"SRS\"",
    ),
    (
        b"ARS\n",
        "frame.unknown-word",
        "line 1 of a message: unknown command \"ARS\"",
    ),
    (
        b"SRQ\r\n",
        "frame.unknown-word",
        "line 1 of a message: unknown command \"SRQ\\r\"",
    ),
    (
        b"\n",
        "frame.unknown-word",
        "line 1 of a message: unknown command (0 bytes)",
    ),
    (
        b"\r\n",
        "frame.unknown-word",
        "line 1 of a message: unknown command (1 bytes)",
    ),
    (
        b"srq\n",
        "frame.unknown-word",
        "line 1 of a message: unknown command (3 bytes)",
    ),
    (
        b" SRQ\n",
        "frame.unknown-word",
        "line 1 of a message: unknown command (4 bytes)",
    ),
    (
        b"SRQX\n",
        "frame.unknown-word",
        "line 1 of a message: unknown command (4 bytes)",
    ),
    (
        b"SR\n",
        "frame.unknown-word",
        "line 1 of a message: unknown command (2 bytes)",
    ),
    (
        b"GET / HTTP/1.1\r\n",
        "frame.unknown-word",
        "line 1 of a message: unknown command (15 bytes)",
    ),
    (
        b"MAP\n\n",
        "frame.int",
        "line 2 of a message: port is not an integer: \"\"",
    ),
    (
        b"MAP\n8o80\n",
        "frame.int",
        "line 2 of a message: port is not an integer: \"8o80\"",
    ),
    (
        b"MAP\n 80\n",
        "frame.int",
        "line 2 of a message: port is not an integer: \" 80\"",
    ),
    (
        b"MAP\n80\r\n",
        "frame.int",
        "line 2 of a message: port is not an integer: \"80\\r\"",
    ),
    (
        b"MAP\n-\n",
        "frame.int",
        "line 2 of a message: port is not an integer: \"-\"",
    ),
    (
        b"MAP\n+\n",
        "frame.int",
        "line 2 of a message: port is not an integer: \"+\"",
    ),
    (
        b"MAP\n+-1\n",
        "frame.int",
        "line 2 of a message: port is not an integer: \"+-1\"",
    ),
    (
        b"MAP\n0x50\n",
        "frame.int",
        "line 2 of a message: port is not an integer: \"0x50\"",
    ),
    (
        b"MAP\n8_0\n",
        "frame.int",
        "line 2 of a message: port is not an integer: \"8_0\"",
    ),
    (
        b"MAP\n\xd9\xa1\n",
        "frame.int",
        "line 2 of a message: port is not an integer: \"\\xd9\\xa1\"",
    ),
    (
        b"MAP\n9223372036854775808\n",
        "frame.int",
        "line 2 of a message: port is not an integer: \"9223372036854775808\"",
    ),
    (
        b"MAP\n0123456789012345678901234567890\n",
        "frame.int",
        "line 2 of a message: port is not an integer: \"012345678901234567890123\" (first of 31 bytes)",
    ),
    (
        b"MAP\n80\nh:1\nTrue\n",
        "frame.bool",
        "line 4 of a message: isOpen is neither true nor false: \"True\"",
    ),
    (
        b"MAP\n80\nh:1\n\n",
        "frame.bool",
        "line 4 of a message: isOpen is neither true nor false: \"\"",
    ),
    (
        b"TRS\ntoken\nport\n",
        "frame.int",
        "line 3 of a message: port is not an integer: (4 bytes)",
    ),
];

const TO_CLIENT: &[Case] = &[
    (
        b"SRQ\n",
        "frame.unknown-word",
        "line 1 of a message: unknown command \"SRQ\"",
    ),
    (
        b"ARS\n1\n",
        "auth.ars-bool",
        "line 2 of a message: isOK is neither true nor false: (1 bytes)",
    ),
    (
        b"ARS\ntrue\nsoon\n",
        "auth.ars-int",
        "line 3 of a message: timeout is not an integer: (4 bytes)",
    ),
    (
        b"ARS\ntrue\n0\n",
        "auth.timeout-positive",
        "line 3 of a message: timeout 0 is not within 1 to 9223372036 seconds",
    ),
    (
        b"ARS\ntrue\n-9223372036854775808\n",
        "auth.timeout-positive",
        "line 3 of a message: timeout -9223372036854775808 is not within 1 to 9223372036 seconds",
    ),
    (
        b"ARS\ntrue\n9223372037\n",
        "auth.timeout-positive",
        "line 3 of a message: timeout 9223372037 is not within 1 to 9223372036 seconds",
    ),
    (
        b"MRS\nx\n",
        "frame.int",
        "line 2 of a message: port is not an integer: \"x\"",
    ),
    (
        b"MRS\n80\ntrue\r\n",
        "frame.bool",
        "line 3 of a message: isOK is neither true nor false: \"true\\r\"",
    ),
    (
        b"TRQ\n1.0\n",
        "frame.int",
        "line 2 of a message: port is not an integer: \"1.0\"",
    ),
];

#[test]
fn each_bad_input_at_the_server_has_its_error() {
    table::<ClientMessage>(TO_SERVER);
}

#[test]
fn each_bad_input_at_the_client_has_its_error() {
    table::<ServerMessage>(TO_CLIENT);
}

/// Each is rejected at its last line, not earlier, and whatever follows.
fn table<M: Incoming + std::fmt::Debug + PartialEq>(cases: &[Case]) {
    for (bytes, rule, message) in cases {
        let shown = bytes.escape_ascii();
        let error = M::parse(bytes).expect_err(&shown.to_string());
        assert_eq!(
            (error.rule(), error.to_string().as_str()),
            (*rule, *message)
        );
        assert!(message.starts_with(&format!("line {} ", error.line)));
        let without_lf = &bytes[..bytes.len() - 1];
        assert_eq!(M::parse(without_lf), Ok(None), "{shown}");
        let followed = [bytes, &b"SRQ\nSRS\n"[..]].concat();
        assert_eq!(M::parse(&followed), Err(error), "{shown}");
    }
}

#[test]
fn an_error_of_the_line_limit_names_the_line_and_the_limit() {
    let error = netroxy_proto::ParseError {
        line: 3,
        kind: ParseErrorKind::LineTooLong { limit: 4096 },
    };
    assert_eq!(
        error.to_string(),
        "line 3 of a message: longer than 4096 bytes"
    );
    assert_eq!(error.rule(), "frame.line-limit");
}

#[test]
fn invalid_fields_are_rejected() {
    assert_eq!(
        Token::try_from(&b"a\nb"[..]).unwrap_err(),
        InvalidField::LineFeed
    );
    for port in [0, -1, 65536, i64::MAX, i64::MIN] {
        assert_eq!(RemotePort::try_from(port), Err(InvalidField::PortRange));
        assert_eq!(
            port.to_string().parse::<RemotePort>(),
            Err(InvalidField::PortRange)
        );
    }
    for port in [1, 65535] {
        assert_eq!(i64::from(RemotePort::try_from(port).unwrap().get()), port);
    }
    for secs in [0, -1, 9_223_372_037, i64::MAX] {
        assert_eq!(Timeout::try_from(secs), Err(InvalidField::TimeoutRange));
    }
    assert_eq!(
        Timeout::try_from(9_223_372_036)
            .unwrap()
            .duration()
            .as_secs(),
        9_223_372_036
    );
    assert_eq!(
        InvalidField::LineFeed.to_string(),
        "must not contain a line feed"
    );
    assert_eq!(
        InvalidField::PortRange.to_string(),
        "must be a port number from 1 to 65535"
    );
    assert_eq!(
        InvalidField::TimeoutRange.to_string(),
        "must be 1 to 9223372036 seconds"
    );
}

#[test]
fn a_token_is_its_bits_in_hex() {
    let bits = [
        0, 1, 0x0f, 0x10, 0x9a, 0xff, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    ];
    let token = Token::from_random(bits);
    assert_eq!(token.expose(), b"00010F109AFF060708090A0B0C0D0E0F");
    assert!(!token.is_like_the_originals());
    let original = Token::try_from(&b"139097ec96f94888f200e67f32896921"[..]).unwrap();
    assert!(original.is_like_the_originals());
}

#[test]
fn misbehaviour_and_misuse_have_texts_and_rules() {
    assert_eq!(
        PeerMisbehaved::BeforeLogin.to_string(),
        "MAP or SRQ before the login"
    );
    assert_eq!(
        PeerMisbehaved::NoWaitingUser.rule(),
        "tunnel.no-unsolicited"
    );
    assert_eq!(LocalMisuse::DuplicateId.to_string(), "the id is in use");
}

#[test]
fn each_reason_to_close_a_user_has_a_text() {
    let said = [
        RefuseReason::MappingClosed,
        RefuseReason::TooManyWaiting,
        RefuseReason::NoTunnel,
        RefuseReason::ClientGone,
    ]
    .map(|reason| reason.to_string());
    assert_eq!(
        said,
        [
            "the mapping is closed",
            "too many users wait",
            "the client opened no data connection in time",
            "the login of the client has ended",
        ]
    );
}

#[test]
fn a_decoder_shows_how_much_it_holds() {
    let mut decoder = Decoder::<ClientMessage>::new(Limits::default());
    decoder.push(b"SRQ\nMA");
    assert_eq!(decoder.next_message(), Ok(Some(ClientMessage::Srq)));
    assert_eq!(
        format!("{decoder:?}"),
        "Decoder { limits: Limits { line: 4096 }, state: Lines, buffered: 2, .. }"
    );
}
