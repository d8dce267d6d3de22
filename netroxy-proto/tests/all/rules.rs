//! Every rule that the crate names is a rule of the specification.

use std::collections::BTreeSet;
use std::fs;

use netroxy_proto::{
    ClientMessage, Incoming, ParseError, ParseErrorKind, PeerMisbehaved, ServerMessage, client,
    server,
};

use crate::revision::specified;

const SPEC: &str = specified!("netroxy.md");

const MISBEHAVED: [PeerMisbehaved; 12] = {
    use PeerMisbehaved::*;
    [
        BeforeLogin,
        SecondLogin,
        LoginOverdue,
        Silent,
        TrsOnControl,
        UnknownToken,
        PortNotMapped,
        NoWaitingUser,
        ExpectedArs,
        UnaskedArs,
        NoAnswer,
        KeepaliveUnanswered,
    ]
};

#[test]
fn every_rule_is_in_the_specification() {
    let missing: Vec<&str> = rules()
        .into_iter()
        .filter(|rule| !SPEC.contains(&format!("r[{rule}]")))
        .collect();
    assert!(missing.is_empty(), "not in the specification: {missing:#?}");
}

#[test]
fn every_rule_in_a_comment_is_in_the_specification() {
    let mut missing = BTreeSet::new();
    for source in sources() {
        for word in source.split('`').filter(|w| is_rule_id(w)) {
            if AREAS.iter().any(|area| word.starts_with(area))
                && !SPEC.contains(&format!("r[{word}]"))
            {
                missing.insert(word.to_owned());
            }
        }
    }
    assert!(missing.is_empty(), "not in the specification: {missing:#?}");
}

#[test]
fn every_rule_is_an_area_and_a_slug() {
    let rules = rules();
    assert!(rules.len() >= 25, "{rules:?}");
    for rule in rules {
        assert!(is_rule_id(rule), "{rule}");
        assert!(AREAS.iter().any(|area| rule.starts_with(area)), "{rule}");
    }
}

const AREAS: [&str; 6] = ["frame.", "auth.", "map.", "tunnel.", "keep.", "life."];

fn is_rule_id(text: &str) -> bool {
    let is_slug = |part: &str| {
        let ends =
            |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        ends(part.chars().next())
            && ends(part.chars().next_back())
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.split_once('.')
        .is_some_and(|(area, slug)| is_slug(area) && is_slug(slug))
}

/// All rules that the public functions return and that the tables have.
fn rules() -> BTreeSet<&'static str> {
    let parse_errors: Vec<ParseError> = [
        ClientMessage::parse(b"\n").unwrap_err(),
        ClientMessage::parse(b"MAP\n\n").unwrap_err(),
        ServerMessage::parse(b"ARS\n\n").unwrap_err(),
        ServerMessage::parse(b"ARS\ntrue\n0\n").unwrap_err(),
        ParseError {
            line: 1,
            kind: ParseErrorKind::LineTooLong { limit: 0 },
        },
    ]
    .into();
    let close = [server::CloseReason::Rejected, server::CloseReason::Replaced]
        .into_iter()
        .chain(MISBEHAVED.map(Into::into))
        .chain(parse_errors.iter().cloned().map(Into::into));
    let disconnect = [
        client::DisconnectReason::Rejected,
        client::DisconnectReason::ConnectOverdue,
        client::DisconnectReason::Reconfigured,
    ]
    .into_iter()
    .chain(MISBEHAVED.map(Into::into))
    .chain(parse_errors.iter().cloned().map(Into::into));
    close
        .map(|reason| reason.rule())
        .chain(disconnect.map(|reason| reason.rule()))
        .chain(parse_errors.iter().map(ParseError::rule))
        .chain(MISBEHAVED.iter().map(PeerMisbehaved::rule))
        .chain(server::table::TABLE.iter().map(|row| row.rule))
        .chain(client::table::TABLE.iter().map(|row| row.rule))
        .collect()
}

#[test]
fn the_list_of_misbehaviour_is_complete() {
    let source = include_str!("../../src/error.rs");
    let (_, list) = source.split_once("pub enum PeerMisbehaved {").unwrap();
    let (list, _) = list.split_once("\n}").unwrap();
    let variants: Vec<&str> = list
        .lines()
        .map(str::trim)
        .filter(|line| line.ends_with(',') && !line.starts_with(['/', '#']))
        .collect();
    let listed: Vec<String> = MISBEHAVED.iter().map(|m| format!("{m:?},")).collect();
    assert_eq!(variants, listed);
}

fn sources() -> Vec<String> {
    let src = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    ["", "/server", "/client"]
        .iter()
        .flat_map(|folder| fs::read_dir(format!("{src}{folder}")).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}
