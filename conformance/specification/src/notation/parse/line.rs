//! The grammar inside one line.

use std::borrow::Cow;

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{char, digit1, satisfy, space0, space1};
use nom::combinator::{
    cut, eof, map, map_opt, not, opt, peek, recognize, rest, success, value, verify,
};
use nom::error::{ContextError, ErrorKind, ParseError, context};
use nom::multi::{many0, many1, separated_list1};
use nom::sequence::{delimited, pair, preceded, separated_pair, terminated};
use nom::{Finish, IResult, Parser};

use crate::notation::ast::{
    Action, Alternative, Bulk, Endpoint, Expectation, Field, Grade, Low, Message, Near, Noted,
    Piece, Role, Setting, Shown, Step, Template, Transport, Way, Within,
};
use crate::notation::print::{RESERVED, is_bare_byte, is_name_byte};

type Parsed<'a, T> = IResult<&'a str, T, Miss<'a>>;

/// A parser of a part of a line.
pub(super) type Part<T> = for<'a> fn(&'a str) -> Parsed<'a, T>;

/// A place that cannot be read, and what could have stood there.
#[derive(Debug)]
pub(super) struct Miss<'a> {
    pub(super) at: &'a str,
    pub(super) expected: Cow<'static, str>,
}

impl<'a> ParseError<&'a str> for Miss<'a> {
    fn from_error_kind(at: &'a str, _: ErrorKind) -> Self {
        Self {
            at,
            expected: "".into(),
        }
    }

    fn append(_: &'a str, _: ErrorKind, other: Self) -> Self {
        other
    }

    fn or(self, other: Self) -> Self {
        match self.at.len().cmp(&other.at.len()) {
            std::cmp::Ordering::Less => self,
            std::cmp::Ordering::Equal if other.expected.is_empty() => self,
            std::cmp::Ordering::Equal
                if self.expected.is_empty() || self.expected == other.expected =>
            {
                other
            }
            std::cmp::Ordering::Equal => Self {
                at: self.at,
                expected: format!("{} or {}", self.expected, other.expected).into(),
            },
            std::cmp::Ordering::Greater => other,
        }
    }
}

impl<'a> ContextError<&'a str> for Miss<'a> {
    fn add_context(at: &'a str, name: &'static str, other: Self) -> Self {
        if other.at.len() < at.len() && !other.expected.is_empty() {
            other
        } else {
            Self {
                at,
                expected: name.into(),
            }
        }
    }
}

/// A line below the header without what is indented below it.
#[derive(Debug)]
pub(super) enum Head {
    Comment(String),
    Repeat {
        count: u32,
        kept: bool,
        comment: Option<String>,
    },
    Step(Box<Step>),
}

pub(super) fn header<'a, T>(text: &'a str, key: &str, part: Part<T>) -> Result<Noted<T>, Miss<'a>> {
    let value = preceded((tag(key), space0), cut(part));
    let whole = terminated(
        pair(value, comment),
        eof_or("the end of the line or a comment"),
    );
    map(whole, |(value, comment)| Noted { value, comment })
        .parse(text)
        .finish()
        .map(|(_, noted)| noted)
}

pub(super) fn step_or_repeat(text: &str) -> Result<Head, Miss<'_>> {
    let only_comment = map(preceded((char('#'), space0), rest), |text: &str| {
        Head::Comment(text.trim_end().to_owned())
    });
    let kept = map(opt((space1, tag("kept"))), |kept| kept.is_some());
    let repeat_head = preceded((tag("repeat"), space1), cut((count, kept, comment)));
    let repeat = map(repeat_head, |(count, kept, comment)| Head::Repeat {
        count,
        kept,
        comment,
    });
    let step = map(step, |step| Head::Step(Box::new(step)));
    let whole = terminated(
        alt((only_comment, repeat, step)),
        eof_or("`in`, a mark in brackets or a comment"),
    );
    { whole }.parse(text).finish().map(|(_, head)| head)
}

pub(super) fn alternative(text: &str) -> Result<Alternative, Miss<'_>> {
    let grade = context(
        "`pass` or `nonstrict`",
        alt((
            value(Grade::Pass, tag("pass")),
            value(Grade::Nonstrict, tag("nonstrict")),
        )),
    );
    let raw = map(string, Expectation::Raw);
    let fields = (alt((raw, expectation)), preceded(space1, grade), comment);
    let whole = terminated(fields, eof_or("the end of the line or a comment"));
    map(whole, |(expectation, grade, comment)| Alternative {
        expectation,
        grade,
        comment,
    })
    .parse(text)
    .finish()
    .map(|(_, alternative)| alternative)
}

pub(super) fn title(i: &str) -> Parsed<'_, String> {
    context(
        "one sentence",
        map(
            verify(take_while(|c| c != '#'), |text: &str| {
                !text.trim().is_empty()
            }),
            |text: &str| text.trim_end().to_owned(),
        ),
    )
    .parse(i)
}

pub(super) fn role(i: &str) -> Parsed<'_, Role> {
    context(
        "`server`, `client` or `pair`",
        alt((
            value(Role::Server, tag("server")),
            value(Role::Client, tag("client")),
            value(Role::Pair, tag("pair")),
        )),
    )
    .parse(i)
}

pub(super) fn names(i: &str) -> Parsed<'_, Vec<String>> {
    separated_list1(space1, rule_id).parse(i)
}

pub(super) fn case_name(i: &str) -> Parsed<'_, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '/';
    context(
        "the name of a case",
        map(take_while1(allowed), str::to_owned),
    )
    .parse(i)
}

pub(super) fn transports(i: &str) -> Parsed<'_, Vec<Transport>> {
    separated_list1(space1, transport).parse(i)
}

pub(super) fn setting(i: &str) -> Parsed<'_, Setting> {
    let timeout = map(
        preceded((tag("timeout"), space1), cut(long)),
        Setting::Timeout,
    );
    let arrow = || (space1, tag("->"), space1);
    let many = context(
        "`NUMBER -> $target`",
        separated_pair(count, arrow(), template),
    );
    let many = map(
        preceded((tag("maps"), space1), cut(many)),
        |(count, target)| Setting::Maps { count, target },
    );
    let ports = separated_pair(template, arrow(), template);
    let closed = map(opt((space1, tag("closed"))), |closed| closed.is_none());
    let mapping = map(
        preceded(
            (tag("map"), space1),
            cut(pair(context("`$port -> $target`", ports), closed)),
        ),
        |((port, target), open)| Setting::Map { port, target, open },
    );
    context(
        "`timeout SECONDS`, `map $port -> $target`, `maps NUMBER -> $target`, `verify` or `trust`",
        alt((
            timeout,
            value(Setting::Verify, tag("verify")),
            value(Setting::Trust, tag("trust")),
            many,
            mapping,
        )),
    )
    .parse(i)
}

fn step(i: &str) -> Parsed<'_, Step> {
    let marks = delimited(char('['), cut(names), cut(context("`]`", char(']'))));
    let marks = map(opt(preceded(space0, marks)), Option::unwrap_or_default);
    let within = opt(preceded((space1, tag("in"), space1), cut(within)));
    let parts = (
        terminated(actor, space1),
        cut(action),
        within,
        marks,
        comment,
    );
    map(parts, |(actor, action, within, marks, comment)| Step {
        actor,
        action,
        within,
        marks,
        comment,
    })
    .parse(i)
}

fn action(i: &str) -> Parsed<'_, Action> {
    let verbs = alt((
        connect,
        refused,
        turned_away,
        accept,
        value(Action::Handshake, tag("handshake")),
        certificate,
        distrusts,
        down,
        late,
        pause,
        keep,
        ignore,
        unguessable,
        restart,
        send_raw,
        send,
        expect_raw,
        expect,
    ));
    context(
        "`connect`, `refused`, `turned away`, `accept`, `handshake`, `certificate`, `distrusts`, `down`, `late`, `pause`, `keep`, `ignore`, `unguessable`, `restart`, `>`, `>>`, `<` or `<<`",
        verbs,
    )
    .parse(i)
}

fn restart(i: &str) -> Parsed<'_, Action> {
    value(Action::Restart, tag("restart")).parse(i)
}

fn connect(i: &str) -> Parsed<'_, Action> {
    let bare = value(Endpoint::Bare, (tag("server"), space1, tag("bare")));
    let drip = value(Endpoint::Drip, (tag("server"), space1, tag("drip")));
    let tls12 = value(Endpoint::Tls12, (tag("server"), space1, tag("tls12")));
    let server = map(
        preceded(tag("server"), opt(preceded(space1, transport))),
        Endpoint::Server,
    );
    let endpoint = context(
        "`server` or a port",
        alt((bare, drip, tls12, server, map(template, Endpoint::Port))),
    );
    map(
        preceded((tag("connect"), space1), cut(endpoint)),
        Action::Connect,
    )
    .parse(i)
}

fn refused(i: &str) -> Parsed<'_, Action> {
    map(
        preceded((tag("refused"), space1), cut(template)),
        Action::Refused,
    )
    .parse(i)
}

fn turned_away(i: &str) -> Parsed<'_, Action> {
    let said = opt(preceded(space1, string));
    let parts = cut(pair(template, said));
    map(
        preceded((tag("turned"), space1, tag("away"), space1), parts),
        |(port, said)| Action::TurnedAway { port, said },
    )
    .parse(i)
}

fn ignore(i: &str) -> Parsed<'_, Action> {
    map(preceded((tag("ignore"), space1), cut(word)), Action::Ignore).parse(i)
}

fn unguessable(i: &str) -> Parsed<'_, Action> {
    map(
        preceded((tag("unguessable"), space1), cut(template)),
        Action::Unguessable,
    )
    .parse(i)
}

fn accept(i: &str) -> Parsed<'_, Action> {
    let way = map_opt(take_while1(is_bare), |name: &str| {
        Way::ALL.into_iter().find(|way| way.to_string() == name)
    });
    let otherwise = map(preceded((tag("accept"), space1), way), Action::AcceptAs);
    let any = map(
        preceded(tag("accept"), opt(preceded(space1, template))),
        Action::Accept,
    );
    alt((otherwise, any)).parse(i)
}

fn certificate(i: &str) -> Parsed<'_, Action> {
    let named = map_opt(take_while1(is_bare), |name: &str| {
        Shown::ALL.into_iter().find(|one| one.to_string() == name)
    });
    let named = context("`other`, `trusted`, `misnamed` or `expired`", named);
    map(
        preceded((tag("certificate"), space1), cut(named)),
        Action::Certificate,
    )
    .parse(i)
}

fn distrusts(i: &str) -> Parsed<'_, Action> {
    value(Action::Distrusts, tag("distrusts")).parse(i)
}

fn down(i: &str) -> Parsed<'_, Action> {
    let time = context("a time such as 2s", seconds);
    map(preceded((tag("down"), space1), cut(time)), Action::Down).parse(i)
}

fn late(i: &str) -> Parsed<'_, Action> {
    let time = context("a time such as 2s", seconds);
    map(preceded((tag("late"), space1), cut(time)), Action::Late).parse(i)
}

fn keep(i: &str) -> Parsed<'_, Action> {
    value(Action::Keep, tag("keep")).parse(i)
}

fn pause(i: &str) -> Parsed<'_, Action> {
    value(Action::Pause, tag("pause")).parse(i)
}

fn send_raw(i: &str) -> Parsed<'_, Action> {
    let drip = map(
        preceded((tag("drip"), space1), cut(string)),
        Action::SendDrip,
    );
    let slow = map(
        preceded((tag("slow"), space1), cut(string)),
        Action::SendSlow,
    );
    let time = context("a time such as 2s", seconds);
    let each = separated_pair(time, space1, separated_list1(space1, string));
    let every = map(
        preceded((tag("every"), space1), cut(each)),
        |(ms, segments)| Action::SendEvery(ms, segments),
    );
    let random = map(random, Action::SendRandom);
    let segments = map(separated_list1(space1, string), Action::SendRaw);
    let what = context(
        "a string, `drip`, `slow`, `every` or `random`",
        alt((drip, slow, every, random, segments)),
    );
    preceded((tag(">>"), space1), cut(what)).parse(i)
}

fn send(i: &str) -> Parsed<'_, Action> {
    let what = alt((
        value(Action::Shutdown, tag("shutdown")),
        value(Action::Cut, tag("cut")),
        value(Action::Close, tag("close")),
        value(Action::Reset, tag("reset")),
        map(message, Action::Send),
    ));
    let what = context("a message, `shutdown`, `cut`, `close` or `reset`", what);
    preceded((char('>'), space1), cut(what)).parse(i)
}

fn expect_raw(i: &str) -> Parsed<'_, Action> {
    let what = alt((
        map(random, Expectation::Random),
        map(string, Expectation::Raw),
    ));
    map(
        preceded(
            (tag("<<"), space1),
            cut(context("a string or `random`", what)),
        ),
        Action::Expect,
    )
    .parse(i)
}

fn expect(i: &str) -> Parsed<'_, Action> {
    let one_of = value(Action::OneOf(Vec::new()), (tag("one"), space1, tag("of")));
    let but = preceded((space1, tag("but")), cut(many1(preceded(space1, template))));
    let maps = map(preceded(tag("maps"), opt(but)), |refused| {
        Action::Maps(refused.unwrap_or_default())
    });
    let what = alt((one_of, maps, map(expectation, Action::Expect)));
    let what = context(
        "a message, `closed`, `eof`, `reset`, `silence`, `stalled`, `maps` or `one of`",
        what,
    );
    preceded((char('<'), space1), cut(what)).parse(i)
}

fn expectation(i: &str) -> Parsed<'_, Expectation> {
    alt((
        value(Expectation::Closed, tag("closed")),
        value(Expectation::Eof, tag("eof")),
        value(Expectation::Reset, tag("reset")),
        value(Expectation::Silence, tag("silence")),
        value(Expectation::Stalled, tag("stalled")),
        map(message, Expectation::Message),
    ))
    .parse(i)
}

fn message(i: &str) -> Parsed<'_, Message> {
    let fields = many0(preceded(space1, field));
    map(pair(word, fields), |(word, fields)| Message {
        word,
        fields,
    })
    .parse(i)
}

fn word(i: &str) -> Parsed<'_, String> {
    let capitals = take_while1(|c: char| c.is_ascii_uppercase());
    context("a word in capitals", map(capitals, str::to_owned)).parse(i)
}

fn field(i: &str) -> Parsed<'_, Field> {
    let bind = map(preceded(char('?'), cut(variable)), Field::Bind);
    let any = value(
        Field::Any,
        terminated(char('_'), peek(not(satisfy(is_bare)))),
    );
    alt((bind, any, map(template, Field::Text))).parse(i)
}

fn template(i: &str) -> Parsed<'_, Template> {
    let var = map(preceded(char('$'), cut(variable)), |name| {
        Template::new([Piece::Var(name)], 1)
    });
    let word = verify(take_while1(is_bare), |word: &str| !RESERVED.contains(&word));
    let word = map(word, |word: &str| Template::bytes(word.as_bytes()));
    context("a value", alt((string, var, word))).parse(i)
}

fn string(i: &str) -> Parsed<'_, Template> {
    let plain = take_while1(|c: char| (c == ' ' || c.is_ascii_graphic()) && !"\"\\$".contains(c));
    let plain = map(plain, |text: &str| Piece::Bytes(text.as_bytes().to_vec()));
    let change = alt((
        value(Near::Half, tag("half")),
        value(Near::Case, tag("case")),
    ));
    let change = context("`half` or `case`", cut(change));
    let braced = pair(variable, opt(preceded(char(':'), change)));
    let braced = map(
        delimited(char('{'), braced, char('}')),
        |(name, change)| match change {
            Some(change) => Piece::Near(change, name),
            None => Piece::Var(name),
        },
    );
    let var = preceded(char('$'), cut(alt((braced, map(variable, Piece::Var)))));
    let escape = map(preceded(char('\\'), cut(escape)), |byte| {
        Piece::Bytes(vec![byte])
    });
    let close = context("`\"`, printable ASCII or an escape", char('"'));
    let pieces = delimited(char('"'), many0(alt((plain, var, escape))), cut(close));
    let times = opt(preceded(char('*'), cut(count)));
    map(pair(pieces, times), |(pieces, times)| {
        Template::new(pieces, times.unwrap_or(1))
    })
    .parse(i)
}

fn escape(i: &str) -> Parsed<'_, u8> {
    let digit = || satisfy(|c| c.is_ascii_hexdigit());
    let hex = map_opt(
        preceded(char('x'), recognize(pair(digit(), digit()))),
        |d: &str| u8::from_str_radix(d, 16).ok(),
    );
    let short = alt((
        value(b'\n', char('n')),
        value(b'\r', char('r')),
        value(b'\t', char('t')),
        value(0, char('0')),
        value(b'\\', char('\\')),
        value(b'"', char('"')),
        value(b'$', char('$')),
    ));
    context("one of n r t 0 \\ \" $ xNN", alt((short, hex))).parse(i)
}

fn random(i: &str) -> Parsed<'_, Bulk> {
    let unit = alt((
        value(1 << 20, tag("MiB")),
        value(1 << 10, tag("KiB")),
        success(1),
    ));
    let size = map_opt(pair(number, unit), |(n, unit): (u32, u32)| {
        n.checked_mul(unit)
    });
    let size = context("a size such as 64KiB, below 4 GiB", size);
    let parts = cut(separated_pair(size, space1, number));
    map(preceded((tag("random"), space1), parts), |(bytes, seed)| {
        Bulk { bytes, seed }
    })
    .parse(i)
}

fn within(i: &str) -> Parsed<'_, Within> {
    let low = alt((value(Low::Still, tag("still")), map(seconds, Low::Ms)));
    let range = separated_pair(opt(low), tag(".."), opt(seconds));
    let lenient = map(opt((space1, tag("nonstrict"))), |found| found.is_some());
    let range = map(pair(range, lenient), |((low, high), lenient)| Within {
        low,
        high,
        lenient,
    });
    let range = verify(range, |within| {
        within.low.is_some() || within.high.is_some()
    });
    context("a range such as `3s..4.5s`, `..12s` or `still..`", range).parse(i)
}

/// In milliseconds.
fn seconds(i: &str) -> Parsed<'_, u32> {
    let fraction = opt(preceded(
        char('.'),
        verify(digit1, |digits: &str| digits.len() <= 3),
    ));
    let parts = terminated(pair(number, fraction), char('s'));
    map_opt(parts, |(whole, fraction): (u32, Option<&str>)| {
        let ms: u32 = fraction
            .map_or(Ok(0), |digits| format!("{digits:0<3}").parse())
            .ok()?;
        whole.checked_mul(1000)?.checked_add(ms)
    })
    .parse(i)
}

fn transport(i: &str) -> Parsed<'_, Transport> {
    context(
        "`plain` or `tls`",
        alt((
            value(Transport::Plain, tag("plain")),
            value(Transport::Tls, tag("tls")),
        )),
    )
    .parse(i)
}

fn rule_id(i: &str) -> Parsed<'_, String> {
    let part = || take_while1(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    context(
        "the id of a rule, such as tunnel.early-data",
        map(recognize((part(), char('.'), part())), str::to_owned),
    )
    .parse(i)
}

fn actor(i: &str) -> Parsed<'_, String> {
    let name = recognize(pair(
        satisfy(|c| c.is_ascii_lowercase()),
        take_while(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()),
    ));
    context(
        "the name of a connection, `repeat` or a comment",
        map(name, str::to_owned),
    )
    .parse(i)
}

fn variable(i: &str) -> Parsed<'_, String> {
    let name = take_while1(|c: char| u8::try_from(c).is_ok_and(is_name_byte));
    context("the name of a variable", map(name, str::to_owned)).parse(i)
}

fn count(i: &str) -> Parsed<'_, u32> {
    context("a number from 1", verify(number, |n| *n > 0)).parse(i)
}

/// A number of seconds that may be as long as the protocol allows.
fn long(i: &str) -> Parsed<'_, u64> {
    context(
        "a number",
        map_opt(digit1, |digits: &str| digits.parse().ok()),
    )
    .parse(i)
}

fn number(i: &str) -> Parsed<'_, u32> {
    context(
        "a number",
        map_opt(digit1, |digits: &str| digits.parse().ok()),
    )
    .parse(i)
}

fn comment(i: &str) -> Parsed<'_, Option<String>> {
    let text = map(preceded((char('#'), space0), rest), |text: &str| {
        text.trim_end().to_owned()
    });
    preceded(space0, opt(text)).parse(i)
}

fn is_bare(c: char) -> bool {
    u8::try_from(c).is_ok_and(is_bare_byte)
}

fn eof_or(expected: &'static str) -> impl for<'a> Fn(&'a str) -> Parsed<'a, &'a str> {
    move |i| context(expected, eof).parse(i)
}
