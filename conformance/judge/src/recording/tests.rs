use netroxy_specification::notation::ast::{
    Action, Alternative, Endpoint, Expectation, Field, Grade, Message, Template,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn read(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

const HEAD: &str = "recording 1\ntitle    x\nrole     tap\nover     plain\nserver   [::1]:80\nbegan    2026-01-01T00:00:00.000001Z\n\n";

#[test]
fn errors_name_their_place() {
    let body = |line: &str| read(&format!("{HEAD}{line}\n"));
    assert_eq!(
        read("title    x\n"),
        "line 1, column 1: expected `recording`, found `title`"
    );
    assert_eq!(
        read("recording 2\n"),
        "line 1, column 11: expected version 1 of the format, found `2`"
    );
    assert_eq!(
        read("recording 1\ntitle    x\nrole     boss\n"),
        "line 3, column 10: expected `server`, `client`, `pair` or `tap`, found `boss`"
    );
    assert_eq!(
        body("         1.5  c1    connect server"),
        "line 8, column 10: expected a time such as 12.345678, found `1.5`"
    );
    assert_eq!(
        body("         1.500000  c1    > hello"),
        "line 8, column 28: expected a message, `shutdown`, `cut`, `close` or `reset`, found `hello`"
    );
    assert_eq!(
        body("         1.500000  c1    > SRQ\n         1.400000  c1    > SRQ"),
        "line 9, column 3: expected a time that is not before the last one, found `1.400000`"
    );
    assert_eq!(
        body("         1.500000  c1    > TRS $token 80"),
        "line 8, column 20: expected values, no variables, found `c1`"
    );
    assert_eq!(
        body("         1.500000  c1    >> \"x\"*4000000000"),
        "line 8, column 20: expected at most 256 MiB of bytes in all, found `c1`"
    );
}

#[test]
fn a_recording_that_is_not_complete_says_what_is_missing() {
    let one = "         1.500000  c1    > SRQ\n";
    let two = "         2.500000  c1    < SRS\n";
    let choice = "         2.500000  c1    < SRS\n                         | eof\n";
    let cut = |text: &str| {
        let recording = parse(&format!("{HEAD}{text}")).unwrap();
        (recording.entries.len(), recording.cut)
    };
    assert_eq!(cut(&format!("{one}{two}end      2 steps\n")), (2, None));
    assert_eq!(cut(&format!("{one}end      1 steps")), (1, None));
    let some = |count: usize, why: &str| (count, Some(why.to_owned()));
    let after = "line 9 is cut in its middle; what came after 1.500000 s is missing";
    // Wherever the second step is cut.
    for end in 1..two.len() {
        assert_eq!(
            cut(&format!("{one}{}", &two[..end])),
            some(1, after),
            "{end}"
        );
    }
    for end in two.len() + 15..choice.len() {
        let (steps, why) = cut(&format!("{one}{}", &choice[..end]));
        assert_eq!(steps, 1, "{end}");
        assert!(why.unwrap().starts_with("line 10 is cut"), "{end}");
    }
    let unended = "its last line is missing, which begins with `end`; what came after 1.500000 s is not in it";
    assert_eq!(cut(one), some(1, unended));
    assert_eq!(
        cut(&format!("{one}end      3 steps\n")),
        some(1, "after 1.500000 s 2 of its 3 steps are missing")
    );
    let line = last_line(1, Some((7, "the disk is full")));
    assert_eq!(
        cut(&format!("{one}{line}")),
        some(1, "after 1.500000 s 7 more are missing: the disk is full")
    );
    let body = |text: &str| read(&format!("{HEAD}{text}"));
    assert_eq!(
        body(&format!("{one}{two}end      1 steps\n")),
        "line 10, column 1: expected at most 1 steps before it, not 2, found `end`"
    );
    assert_eq!(
        body(&format!("end      0 steps\n{one}")),
        "line 9, column 1: expected nothing after the last line, found `1.500000`"
    );
    assert!(body("end      soon\n").contains("expected `end N steps`"));
}

#[test]
fn a_file_that_is_too_long_is_not_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file()
        .set_len(u64::try_from(LONGEST).unwrap() + 1)
        .unwrap();
    let error = Recording::load(file.path()).unwrap_err().to_string();
    assert!(
        error.ends_with("is longer than 256 MiB, the longest recording that is read"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn a_written_recording_is_read_again(recording in recordings()) {
        let text = recording.to_string();
        let again = parse(&text);
        prop_assert_eq!(again.as_ref(), Ok(&recording), "{}", text);
        prop_assert_eq!(again.map(|again| again.to_string()), Ok(text));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[ !0-9.a-zé<>\"\\n\\\\]{0,200}") {
        let _ = parse(&text);
        let _ = parse(&format!("{HEAD}{text}"));
    }

    /// However a tap reads the bytes, the recording holds all of them, in their order.
    #[test]
    fn a_tap_writes_all_bytes_that_it_sees(bytes in conversation(), cuts in vec(1_usize..20, 1..40)) {
        let mut writer = Writer::default();
        let mut entries = writer.write(Duration::ZERO, "c1", &What::Open(Kind::Control(Transport::Plain)));
        let mut rest = bytes.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, more) = rest.split_at(rest.len().min(*cut));
            let what = What::Bytes(Sender::Opener, piece.to_vec());
            entries.extend(writer.write(Duration::ZERO, "c1", &what));
            rest = more;
        }
        let recording = Recording { head: head(), entries, cut: None };
        let again = parse(&recording.to_string());
        prop_assert_eq!(again.as_ref(), Ok(&recording));
        let all: Vec<u8> = events(&recording).into_iter().flat_map(|event| match event.what {
            What::Bytes(_, bytes) => bytes,
            _ => Vec::new(),
        }).collect();
        prop_assert_eq!(all, bytes);
    }
}

fn head() -> Head {
    parse(HEAD).unwrap().head
}

fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let message = prop_oneof![
        Just(b"SRQ\n".to_vec()),
        Just(b"ATH\n\nb\n \n".to_vec()),
        Just(b"MAP\n80\n\xff\ntrue\n".to_vec()),
        Just(b"TRS\ntoken\n80\n".to_vec()),
        vec(any::<u8>(), 0..20),
    ];
    vec(message, 0..12).prop_map(|messages| messages.concat())
}

fn recordings() -> impl Strategy<Value = Recording> {
    let source = prop_oneof![
        Just(Source::Tap),
        Just(Source::Case(Role::Server)),
        Just(Source::Case(Role::Client)),
    ];
    let over = prop_oneof![Just(Transport::Plain), Just(Transport::Tls)];
    let server = proptest::option::of(Just("127.0.0.1:80".parse().unwrap()));
    let head = (
        "[a-z#]{1,9}( [a-z]{1,9}){0,2}",
        source,
        over,
        server,
        0_i64..1_i64 << 50,
    );
    let head = head.prop_map(|(title, source, over, server, began)| Head {
        title,
        source,
        over,
        server,
        began: DateTime::from_timestamp_micros(began).unwrap(),
    });
    (head, vec(entry(), 0..8)).prop_map(|(head, mut entries)| {
        entries.sort_by_key(|entry| entry.at);
        Recording {
            head,
            entries,
            cut: None,
        }
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let parts = (
        0_u64..10_u64.pow(15),
        "[a-z][a-z0-9]{0,4}",
        action(),
        any::<bool>(),
    );
    let comment = proptest::option::of("[a-z]{1,9}");
    (parts, comment).prop_map(|((at, actor, action, broken), comment)| Entry {
        at: Duration::from_micros(at),
        step: Step {
            actor,
            action,
            within: None,
            marks: Vec::new(),
            comment,
        },
        broken,
    })
}

fn action() -> impl Strategy<Value = Action> {
    let message = ("[A-Z]{3}", vec(bytes(), 0..3))
        .prop_map(|(word, fields)| Message {
            word,
            fields: fields.into_iter().map(Field::Text).collect(),
        })
        .boxed();
    let alternatives = [Expectation::Closed, Expectation::Eof].map(|expectation| Alternative {
        expectation,
        grade: Grade::Pass,
        comment: None,
    });
    prop_oneof![
        Just(Action::Connect(Endpoint::Server(None))),
        message.clone().prop_map(Action::Send),
        message.prop_map(|message| Action::Expect(Expectation::Message(message))),
        vec(bytes(), 1..3).prop_map(Action::SendRaw),
        bytes().prop_map(|bytes| Action::Expect(Expectation::Raw(bytes))),
        Just(Action::Expect(Expectation::Eof)),
        Just(Action::Reset),
        Just(Action::OneOf(alternatives.to_vec())),
    ]
}

fn bytes() -> impl Strategy<Value = Template> {
    vec(any::<u8>(), 0..12).prop_map(Template::bytes)
}
