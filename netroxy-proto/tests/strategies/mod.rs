//! Arbitrary messages: every content of every field that the grammar allows.

use netroxy_proto::{
    Ars, Ath, ClientMessage, InvalidField, Map, Mrs, PortNumber, ServerMessage, Timeout, Trq, Trs,
};
use proptest::collection::vec;
use proptest::prelude::*;

pub(crate) fn client_message() -> impl Strategy<Value = ClientMessage> {
    prop_oneof![
        (text(), text(), text()).prop_map(|(client_name, username, password)| {
            ClientMessage::Ath(Ath {
                client_name: field(&client_name),
                username: field(&username),
                password: field(&password),
            })
        }),
        (port(), text(), any::<bool>()).prop_map(|(remote_port, target, is_open)| {
            ClientMessage::Map(Map {
                remote_port,
                target: field(&target),
                is_open,
            })
        }),
        Just(ClientMessage::Srq),
        (text(), port()).prop_map(|(token, remote_port)| {
            ClientMessage::Trs(Trs {
                token: field(&token),
                remote_port,
            })
        }),
    ]
}

pub(crate) fn server_message() -> impl Strategy<Value = ServerMessage> {
    prop_oneof![
        Just(ServerMessage::Ars(Ars::Rejected)),
        (timeout(), text()).prop_map(|(timeout, token)| {
            ServerMessage::Ars(Ars::Accepted {
                timeout,
                token: field(&token),
            })
        }),
        (port(), any::<bool>())
            .prop_map(|(remote_port, is_ok)| ServerMessage::Mrs(Mrs { remote_port, is_ok })),
        port().prop_map(|remote_port| ServerMessage::Trq(Trq { remote_port })),
        Just(ServerMessage::Srs),
    ]
}

/// One line of any bytes but LF. Special bytes are frequent, and some lines are as long as the default
/// limit allows.
pub(crate) fn text() -> impl Strategy<Value = Vec<u8>> {
    let byte = || {
        prop_oneof![
            3 => prop::sample::select(vec![b'\r', 0, 0xFF, 0x80, b' ', b'\t', b'"', b'\\', b'%']),
            1 => (0..=255u8).prop_filter("LF ends the line", |b| *b != b'\n'),
        ]
    };
    prop_oneof![
        1 => Just(Vec::new()),
        8 => vec(byte(), 1..24),
        1 => (4094..=4096usize, byte()).prop_map(|(len, byte)| vec![byte; len]),
        1 => prop::sample::select(vec!["true", "false", "ATH", "0", "-0", "ARS\r"])
            .prop_map(|word| word.as_bytes().to_vec()),
    ]
}

pub(crate) fn port() -> impl Strategy<Value = PortNumber> {
    prop_oneof![
        4 => (0..=65536i64).boxed(),
        1 => any::<i64>().boxed(),
        1 => prop::sample::select(vec![i64::MIN, -1, 0, 1, 65535, 65536, i64::MAX]).boxed(),
    ]
    .prop_map(PortNumber::from)
}

fn timeout() -> impl Strategy<Value = Timeout> {
    prop_oneof![1..=600i64, 1..=9_223_372_036i64].prop_map(|secs| secs.try_into().unwrap())
}

fn field<T: for<'a> TryFrom<&'a [u8], Error = InvalidField>>(bytes: &[u8]) -> T {
    T::try_from(bytes).unwrap()
}
