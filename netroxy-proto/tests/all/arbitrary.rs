//! The fuzz bodies on arbitrary bytes, so that `cargo test` fuzzes for a short time too.

use netroxy_proto::fuzzing;
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn the_parsers_never_panic(input in lines()) {
        fuzzing::client_message(&input);
        fuzzing::server_message(&input);
    }

    #[test]
    fn messages_of_any_values_decode_to_themselves(input in vec(any::<u8>(), 0..512)) {
        fuzzing::round_trip(&input);
    }

    #[test]
    fn the_decoder_equals_the_oracle_however_the_bytes_are_split(
        choice in any::<u8>(),
        cuts in vec(any::<u8>(), 0..16),
        stream in lines(),
    ) {
        let count = u8::try_from(cuts.len()).unwrap();
        fuzzing::chunking(&[&[choice, count][..], &cuts, &stream].concat());
    }

    #[test]
    fn the_server_equals_its_model(input in vec(any::<u8>(), 0..600)) {
        fuzzing::server_machine(&input);
    }

    #[test]
    fn the_client_equals_its_model(input in vec(any::<u8>(), 0..600)) {
        fuzzing::client_machine(&input);
    }
}

/// Bytes that are similar to messages: mostly lines that a message can have.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "ATH",
        "ARS",
        "MAP",
        "MRS",
        "TRQ",
        "TRS",
        "SRQ",
        "SRS",
        "true",
        "false",
        "0",
        "-0",
        "+7",
        "8080",
        "65536",
        "9223372036",
        "9223372037",
        "9223372036854775808",
        "",
        "\r",
        "true\r",
    ]);
    let line = prop_oneof![
        12 => word.prop_map(|word| format!("{word}\n").into_bytes()),
        1 => vec(any::<u8>(), 0..40),
        1 => (0..60usize).prop_map(|len| [vec![b'x'; len], vec![b'\n']].concat()),
    ];
    vec(line, 0..12).prop_map(|lines| lines.concat())
}

/// The oracle itself, on examples that a reader can check.
#[test]
fn the_oracle_cuts_lines_as_the_grammar_says() {
    use fuzzing::{Direction, Ending, frame};
    let framed = frame(Direction::ToServer, b"SRQ\nMAP\n+07\nt\ntrue\nATH\nn", 99);
    assert_eq!(framed.messages, [&b"SRQ\n"[..], b"MAP\n7\nt\ntrue\n"]);
    assert_eq!(framed.ending, Ending::Open(b"ATH\nn".to_vec()));
    let framed = frame(Direction::ToServer, b"TRS\nt\n80\nSRQ\n", 99);
    assert_eq!(framed.ending, Ending::Raw(b"SRQ\n".to_vec()));
    let framed = frame(Direction::ToClient, b"ARS\ntrue\n0\n", 99);
    assert_eq!(framed.ending, Ending::Error(3, "auth.timeout-positive"));
    let framed = frame(Direction::ToClient, b"SRS\nMRS\n1\ntruely\n", 5);
    assert_eq!(framed.ending, Ending::Error(3, "frame.line-limit"));
}
