//! What is encoded decodes to itself; what decodes encodes to one canonical form.

use netroxy_proto::{ClientMessage, Incoming, ServerMessage};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn client_messages_decode_to_themselves(message in crate::strategies::client_message()) {
        let mut wire = Vec::new();
        message.encode(&mut wire);
        prop_assert_eq!(ClientMessage::parse(&wire), Ok(Some((message, wire.len()))));
    }

    #[test]
    fn server_messages_decode_to_themselves(message in crate::strategies::server_message()) {
        let mut wire = Vec::new();
        message.encode(&mut wire);
        prop_assert_eq!(ServerMessage::parse(&wire), Ok(Some((message, wire.len()))));
    }

    #[test]
    fn encode_appends_to_the_buffer(first in crate::strategies::client_message(), then in crate::strategies::client_message()) {
        let (mut one, mut two, mut both) = (Vec::new(), Vec::new(), Vec::new());
        first.encode(&mut one);
        then.encode(&mut two);
        first.encode(&mut both);
        then.encode(&mut both);
        prop_assert_eq!(both, [one, two].concat());
    }
}

/// Known bytes and values, in both directions.
#[test]
fn each_message_has_its_known_bytes() {
    both_ways(
        b"ATH\nprobe\nalice\nsecret\n",
        ClientMessage::encode,
        r#"Ath(Ath { client_name: ClientName(probe), username: Username(alice), password: Password([redacted]) })"#,
    );
    both_ways(
        b"MAP\n8080\n127.0.0.1:80\nfalse\n",
        ClientMessage::encode,
        r#"Map(Map { remote_port: PortNumber(8080), target: Target(127.0.0.1:80), is_open: false })"#,
    );
    both_ways(b"SRQ\n", ClientMessage::encode, "Srq");
    both_ways(
        b"TRS\n68c2\n-1\n",
        ClientMessage::encode,
        "Trs(Trs { token: Token([redacted]), remote_port: PortNumber(-1) })",
    );
    both_ways(
        b"ARS\ntrue\n300\n68c2\n",
        ServerMessage::encode,
        "Ars(Accepted { timeout: Timeout(300), token: Token([redacted]) })",
    );
    both_ways(b"ARS\nfalse\n", ServerMessage::encode, "Ars(Rejected)");
    both_ways(
        b"MRS\n8080\ntrue\n",
        ServerMessage::encode,
        "Mrs(Mrs { remote_port: PortNumber(8080), is_ok: true })",
    );
    both_ways(
        b"TRQ\n8080\n",
        ServerMessage::encode,
        "Trq(Trq { remote_port: PortNumber(8080) })",
    );
    both_ways(b"SRS\n", ServerMessage::encode, "Srs");
}

/// The original accepts the same integers.
#[test]
fn integers_are_read_liberally_and_written_canonically() {
    for (received, canonical) in [
        ("0", "0"),
        ("-0", "0"),
        ("+0", "0"),
        ("007", "7"),
        ("+8080", "8080"),
        ("-0012", "-12"),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("0000000000000000000000000000001", "1"),
    ] {
        let (message, _) = ServerMessage::parse(format!("TRQ\n{received}\n").as_bytes())
            .unwrap()
            .unwrap();
        let mut wire = Vec::new();
        message.encode(&mut wire);
        assert_eq!(wire, format!("TRQ\n{canonical}\n").as_bytes(), "{received}");
    }
}

fn both_ways<M: Incoming + std::fmt::Debug>(
    wire: &[u8],
    encode: fn(&M, &mut Vec<u8>),
    shown: &str,
) {
    let (message, length) = M::parse(wire).unwrap().unwrap();
    assert_eq!(length, wire.len());
    assert_eq!(format!("{message:?}"), shown);
    let mut encoded = Vec::new();
    encode(&message, &mut encoded);
    assert_eq!(encoded, wire);
}
