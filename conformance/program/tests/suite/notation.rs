//! The notation: a printed case can be parsed, and all embedded cases are canonical.

use netroxy_specification::catalog;
use netroxy_specification::notation::ast::{
    Action, Alternative, Bulk, Case, Endpoint, Expectation, Field, Grade, Line, Low, Message, Near,
    Noted, Piece, Repeat, Role, Setting, Shown, Side, Step, Template, Transport, Way, Within,
};
use netroxy_specification::notation::{parse, print};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

#[test]
fn every_embedded_case_is_canonical() {
    let entries = catalog::embedded().unwrap();
    for entry in entries.values() {
        assert_eq!(print(&entry.case), entry.text, "{}", entry.file);
    }
}

#[test]
fn an_error_names_its_place_and_what_could_stand_there() {
    let head = "title    x\nrole     server\nrules    a.b\n\n";
    let error = |line: &str| parse(&format!("{head}{line}\n")).unwrap_err().to_string();
    assert_eq!(
        error("ctl   < ARS true [a.b"),
        "line 5, column 22: expected `]`, found the end of the line"
    );
    assert_eq!(
        error("a     <  "),
        "line 5, column 10: expected a message, `closed`, `eof`, `reset`, `silence`, `stalled`, `maps` or `one of`, found the end of the line"
    );
    assert_eq!(
        error("ctl   << \"\\q\""),
        "line 5, column 12: expected one of n r t 0 \\ \" $ xNN, found `q\"`"
    );
    assert_eq!(
        error("ctl   < ARS true  in soon"),
        "line 5, column 22: expected a range such as `3s..4.5s`, `..12s` or `still..`, found `soon`"
    );
    assert_eq!(
        error("  ctl connect server"),
        "line 5, column 3: expected 0 blanks before a step, found `ctl`"
    );
    assert_eq!(
        parse("title    x\nrole     both\n")
            .unwrap_err()
            .to_string(),
        "line 2, column 10: expected `server`, `client` or `pair`, found `both`"
    );
    assert_eq!(
        parse("").unwrap_err().to_string(),
        "line 1, column 1: expected `title`, found the end of the line"
    );
}

#[test]
fn a_one_of_without_alternatives_and_a_repeat_without_steps_are_errors() {
    let head = "title    x\nrole     server\nrules    a.b\n\n";
    assert!(parse(&format!("{head}ctl   < one of\nctl   < closed\n")).is_err());
    assert!(parse(&format!("{head}repeat 3\nctl   < closed\n")).is_err());
    assert!(parse(&format!("{head}repeat 0\n  ctl   < closed\n")).is_err());
}

proptest! {
    #[test]
    fn a_printed_case_parses_to_the_same_case(case in case()) {
        let text = print(&case);
        let again = parse(&text);
        prop_assert_eq!(again.as_ref(), Ok(&case), "{}", text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z<>\\[\\]\"$ ?_#*.\\n\\\\0-9]{0,200}") {
        let _ = parse(&format!("title    x\nrole     server\nrules    a.b\n\n{text}"));
        let _ = parse(&text);
    }
}

fn case() -> impl Strategy<Value = Case> {
    let head = (
        noted("[a-z]([a-z,;]| [a-z]){0,20}"),
        (
            prop_oneof![Just(Role::Server), Just(Role::Client), Just(Role::Pair)],
            comment(),
        ),
        (vec(rule(), 1..4), comment()),
        of(noted("[a-z][a-z/-]{0,12}")),
        vec((setting(), comment()), 0..3),
        of((vec(transport(), 1..3), comment())),
    );
    (head, vec(line(), 0..12)).prop_map(|((title, role, rules, twin, config, over), body)| Case {
        title,
        role: note(role),
        rules: note(rules),
        twin,
        config: config.into_iter().map(note).collect(),
        over: over.map(note),
        body,
    })
}

fn note<T>((value, comment): (T, Option<String>)) -> Noted<T> {
    Noted { value, comment }
}

fn noted(pattern: &'static str) -> impl Strategy<Value = Noted<String>> {
    (pattern, comment()).prop_map(note)
}

fn comment() -> impl Strategy<Value = Option<String>> {
    of("[a-zA-Z\"#$>\\[][ -~]{0,12}[a-z]")
}

fn rule() -> impl Strategy<Value = String> {
    "[a-z]{1,6}\\.[a-z-]{1,8}"
}

fn name() -> impl Strategy<Value = String> {
    "[a-z_][a-z0-9_]{0,6}"
}

fn transport() -> impl Strategy<Value = Transport> {
    prop_oneof![Just(Transport::Plain), Just(Transport::Tls)]
}

fn setting() -> impl Strategy<Value = Setting> {
    prop_oneof![
        any::<u64>().prop_map(Setting::Timeout),
        Just(Setting::Verify),
        Just(Setting::Trust),
        (1u32.., template()).prop_map(|(count, target)| Setting::Maps { count, target }),
        (template(), template(), any::<bool>()).prop_map(|(port, target, open)| Setting::Map {
            port,
            target,
            open
        }),
    ]
}

fn template() -> impl Strategy<Value = Template> {
    let words = prop_oneof![
        Just("in"),
        Just("pass"),
        Just("_"),
        Just("?x"),
        Just("random"),
        Just("server x")
    ];
    let piece = prop_oneof![
        vec(any::<u8>(), 0..12).prop_map(Piece::Bytes),
        "[a-zA-Z0-9:._-]{1,12}".prop_map(|text| Piece::Bytes(text.into_bytes())),
        words.prop_map(|text| Piece::Bytes(text.as_bytes().to_vec())),
        name().prop_map(Piece::Var),
        (prop_oneof![Just(Near::Half), Just(Near::Case)], name())
            .prop_map(|(near, name)| Piece::Near(near, name)),
    ];
    (
        vec(piece, 0..4),
        prop_oneof![4 => Just(1u32), 1 => 1u32..5000],
    )
        .prop_map(|(pieces, times)| Template::new(pieces, times))
}

/// A value after a word that could also be a keyword.
fn port() -> impl Strategy<Value = Template> {
    name().prop_map(|name| Template::new([Piece::Var(name)], 1))
}

fn message() -> impl Strategy<Value = Message> {
    let field = prop_oneof![
        3 => template().prop_map(Field::Text),
        1 => name().prop_map(Field::Bind),
        1 => Just(Field::Any),
    ];
    ("[A-Z]{1,4}", vec(field, 0..4)).prop_map(|(word, fields)| Message { word, fields })
}

fn bulk() -> impl Strategy<Value = Bulk> {
    let sizes = prop_oneof![
        any::<u32>(),
        (0u32..4000).prop_map(|n| n << 20),
        (0u32..4000).prop_map(|n| n << 10)
    ];
    (sizes, any::<u32>()).prop_map(|(bytes, seed)| Bulk { bytes, seed })
}

fn expectation() -> impl Strategy<Value = Expectation> {
    prop_oneof![
        message().prop_map(Expectation::Message),
        template().prop_map(Expectation::Raw),
        Just(Expectation::Closed),
        Just(Expectation::Eof),
        Just(Expectation::Reset),
        Just(Expectation::Silence),
        Just(Expectation::Stalled),
    ]
}

fn alternatives() -> impl Strategy<Value = Vec<Alternative>> {
    let grade = prop_oneof![Just(Grade::Pass), Just(Grade::Nonstrict)];
    let one = (expectation(), grade, comment());
    vec(
        one.prop_map(|(expectation, grade, comment)| Alternative {
            expectation,
            grade,
            comment,
        }),
        1..4,
    )
}

fn action() -> impl Strategy<Value = Action> {
    let endpoint = prop_oneof![
        of(transport()).prop_map(Endpoint::Server),
        Just(Endpoint::Bare),
        Just(Endpoint::Drip),
        Just(Endpoint::Tls12),
        port().prop_map(Endpoint::Port),
    ];
    prop_oneof![
        endpoint.prop_map(Action::Connect),
        port().prop_map(Action::Refused),
        (port(), of(template())).prop_map(|(port, said)| Action::TurnedAway { port, said }),
        vec(port(), 0..3).prop_map(Action::Maps),
        of(port()).prop_map(Action::Accept),
        select(vec![Way::Drip, Way::Tls12, Way::Bare]).prop_map(Action::AcceptAs),
        Just(Action::Handshake),
        select(vec![
            Shown::Other,
            Shown::Trusted,
            Shown::Misnamed,
            Shown::Expired
        ])
        .prop_map(Action::Certificate),
        Just(Action::Distrusts),
        any::<u32>().prop_map(Action::Down),
        any::<u32>().prop_map(Action::Late),
        Just(Action::Pause),
        Just(Action::Keep),
        message().prop_map(Action::Send),
        vec(template(), 1..4).prop_map(Action::SendRaw),
        template().prop_map(Action::SendDrip),
        template().prop_map(Action::SendSlow),
        (any::<u32>(), vec(template(), 1..4)).prop_map(|(ms, all)| Action::SendEvery(ms, all)),
        bulk().prop_map(Action::SendRandom),
        "[A-Z]{3}".prop_map(Action::Ignore),
        template().prop_map(Action::Unguessable),
        Just(Action::Shutdown),
        Just(Action::Cut),
        Just(Action::Close),
        Just(Action::Reset),
        Just(Action::Restart),
        expectation().prop_map(Action::Expect),
        bulk().prop_map(|bulk| Action::Expect(Expectation::Random(bulk))),
        alternatives().prop_map(Action::OneOf),
    ]
}

fn within() -> impl Strategy<Value = Within> {
    let parts = (of(any::<u32>()), any::<u32>(), any::<bool>(), any::<bool>());
    parts.prop_map(|(one, two, low, lenient)| {
        let (low, high) = match (one, low) {
            (Some(one), _) => (Some(Low::Ms(one)), Some(two)),
            (None, true) if lenient => (Some(Low::Still), None),
            (None, true) => (Some(Low::Ms(two)), None),
            (None, false) => (None, Some(two)),
        };
        Within { low, high, lenient }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let actor = "[a-z][a-z0-9]{0,7}".prop_filter("a keyword", |name| name != "repeat");
    (actor, action(), of(within()), vec(rule(), 0..3), comment()).prop_map(
        |(actor, action, within, marks, comment)| Step {
            actor,
            action,
            within,
            marks,
            comment,
        },
    )
}

fn line() -> impl Strategy<Value = Line> {
    let inner = prop_oneof![
        4 => step().prop_map(Line::Step),
        1 => "[a-z][ -~]{0,10}[a-z]".prop_map(Line::Comment),
    ];
    let parts = (
        1u32..100,
        any::<bool>(),
        comment(),
        vec(inner.clone(), 1..4),
    );
    let repeat = parts.prop_map(|(count, kept, comment, body)| {
        Line::Repeat(Repeat {
            count,
            kept,
            comment,
            body,
        })
    });
    prop_oneof![6 => inner, 1 => Just(Line::Blank), 1 => repeat]
}

/// Every part of a header and of a body has the line of the file.
#[test]
fn each_part_has_its_line_in_the_file() {
    let text = "title    x\nrole     server\nrules    a.b\ntwin     good\nconfig   timeout 3\n\
                config   verify\nover     plain tls\n\n# first\n\nctl   < one of                            [a.b]\n        \
                closed                            pass\n        silence                           nonstrict\n\
                repeat 2\n  ctl   connect server tls\n  # inside\nctl   connect server plain\n";
    let case = parse(text).unwrap();
    assert_eq!(print(&case), text);
    assert_eq!(case.first_line(), 9);
    let heights: Vec<usize> = case.body.iter().map(Line::height).collect();
    assert_eq!(heights, [1, 1, 3, 3, 1]);
    assert_eq!(case.first_line() + heights.iter().sum::<usize>(), 18);
    let bare =
        parse("title    x\nrole     server\nrules    a.b\n\nctl   < closed  [a.b]\n").unwrap();
    assert_eq!(bare.first_line(), 5);
    assert_eq!(
        format!("{} {}", Side::Server, Side::Client),
        "server client"
    );
}

/// Errors below a block and in it name the line in the file.
#[test]
fn errors_name_their_line_also_in_and_after_blocks() {
    let head = "title    x\nrole     server\nrules    a.b\n\n";
    for (body, line) in [
        ("ctl   connect\n", 5),
        ("\n# text\nctl   connect\n", 7),
        ("repeat 2\n  ctl   connect server\n  ctl   connect\n", 7),
        (
            "ctl   < one of  [a.b]\n        closed  pass\n        silence  sometimes\n",
            7,
        ),
    ] {
        let error = parse(&format!("{head}{body}")).unwrap_err();
        assert_eq!(error.line, line, "{body}{error}");
    }
}

/// An error about a missing part of a block is on the line of that part, and a block cannot contain a block.
#[test]
fn a_missing_part_of_a_block_is_an_error_on_its_line() {
    let head = "title    x\nrole     server\nrules    a.b\n\n";
    for (body, line, expected) in [
        ("repeat 2\nctl   < closed\n", 6, "the steps of the block"),
        ("ctl   < one of\nctl   < closed\n", 6, "an alternative"),
        ("repeat 2\n  repeat 2\n", 6, "no further `repeat`"),
    ] {
        let error = parse(&format!("{head}{body}")).unwrap_err();
        assert_eq!(error.line, line, "{body}{error}");
        assert!(error.expected.contains(expected), "{error}");
    }
    let short = parse("title    x\nrole     server\nrules    a.b").map(|case| case.body);
    assert_eq!(short, Ok(Vec::new()));
}

/// Noise of no length is written in bytes.
#[test]
fn the_size_of_noise_is_written_in_the_largest_unit_that_fits() {
    let text = "title    x\nrole     server\nrules    a.b\n\nctl   >> random 0 7\n\
                ctl   >> random 3KiB 7\nctl   >> random 2MiB 7\nctl   >> random 1500 7\n";
    assert_eq!(print(&parse(text).unwrap()), text);
}
