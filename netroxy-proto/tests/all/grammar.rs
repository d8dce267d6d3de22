//! The rules that the source quotes are word for word in the grammar, and each rule of the grammar is
//! quoted above its parser.

use crate::revision::specified;

const GRAMMAR: &str = specified!("grammar.abnf");
const PARSER: &str = include_str!("../../src/parse.rs");
const MESSAGE: &str = include_str!("../../src/message.rs");

#[test]
fn every_quoted_rule_is_in_the_grammar() {
    let rules = rules();
    for (file, source) in [("parse.rs", PARSER), ("message.rs", MESSAGE)] {
        let quoted = quoted(source);
        assert!(quoted.len() >= 6, "{file} quotes {quoted:?}");
        for rule in quoted {
            assert!(
                rules.contains(&rule),
                "{file}: `{rule}` is not in grammar.abnf"
            );
        }
    }
}

#[test]
fn every_rule_of_a_message_is_quoted_above_its_parser() {
    let quoted = quoted(PARSER);
    for rule in rules() {
        let is_name = rule.ends_with("= text") || rule.ends_with("= integer");
        // The state machines implement the rules of streams.
        let is_stream = STREAMS.iter().any(|stream| {
            rule.strip_prefix(stream)
                .is_some_and(|rest| rest.starts_with(" = "))
        });
        assert!(
            is_name || is_stream || quoted.contains(&rule),
            "no parser for `{rule}`"
        );
    }
}

/// The productions of whole streams.
const STREAMS: [&str; 7] = [
    "accepted",
    "refused",
    "client-stream",
    "control-client",
    "control-server",
    "data-client",
    "data-server",
];

/// `name = ...` without the blanks for alignment and without the comment.
fn rules() -> Vec<String> {
    GRAMMAR
        .lines()
        .map(|line| line.split(';').next().unwrap_or_default())
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|line| !line.is_empty())
        .collect()
}

/// The text between backticks at the start of a doc comment, if it has the form of a rule.
fn quoted(source: &str) -> Vec<String> {
    source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("/// `"))
        .filter_map(|line| line.split_once('`'))
        .map(|(rule, _)| rule.to_owned())
        .filter(|rule| rule.contains(" = "))
        .collect()
}
