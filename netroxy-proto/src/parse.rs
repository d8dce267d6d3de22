//! nom parsers, one for each rule of `spec/v0.3/grammar.abnf`. The rule is quoted above its parser.
//!
//! They read whole lines: on a line that has not ended they return nom's `Incomplete`. A bad line is
//! an error as soon as it has ended, even if the message is not complete. A text is copied only after
//! all lines of its message have come.

use core::str;

use nom::bytes::streaming::{tag, take_until};
use nom::combinator::{map, value};
use nom::error::ErrorKind;
use nom::sequence::terminated;
use nom::{Err, IResult, Parser};

use crate::{
    Ars, Ath, ClientMessage, ClientName, Excerpt, Incoming, Map, Mrs, ParseError, ParseErrorKind,
    Password, ServerMessage, Target, Timeout, Token, Trq, Trs, Username,
};

/// Where a parser stopped and why; `why` is `None` if a word is not a command.
#[derive(Debug)]
struct Fault<'a> {
    at: &'a [u8],
    why: Option<ParseErrorKind>,
}

impl<'a> nom::error::ParseError<&'a [u8]> for Fault<'a> {
    fn from_error_kind(at: &'a [u8], _: ErrorKind) -> Self {
        Self { at, why: None }
    }

    fn append(_: &'a [u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

type Parsed<'a, T> = IResult<&'a [u8], T, Fault<'a>>;

impl Incoming for ClientMessage {
    fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, ParseError> {
        one(client_message, input)
    }

    fn ends_lines(&self) -> bool {
        matches!(self, Self::Trs(_))
    }
}

impl Incoming for ServerMessage {
    fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, ParseError> {
        one(server_message, input)
    }

    fn ends_lines(&self) -> bool {
        false
    }
}

/// Runs `parser` once at the start of `input`.
fn one<'a, T>(
    mut parser: impl FnMut(&'a [u8]) -> Parsed<'a, T>,
    input: &'a [u8],
) -> Result<Option<(T, usize)>, ParseError> {
    match parser(input) {
        Ok((rest, message)) => Ok(Some((message, input.len() - rest.len()))),
        Err(Err::Incomplete(_)) => Ok(None),
        Err(Err::Error(fault) | Err::Failure(fault)) => {
            let before = input
                .get(..input.len() - fault.at.len())
                .unwrap_or_default();
            let line = 1 + before.iter().filter(|b| **b == b'\n').count();
            let kind = fault.why.unwrap_or_else(|| {
                let end = fault.at.iter().position(|b| *b == b'\n');
                let word = fault.at.get(..end.unwrap_or_default()).unwrap_or_default();
                ParseErrorKind::UnknownWord(Excerpt::of_word(word))
            });
            Err(ParseError { line, kind })
        }
    }
}

/// `client-message = ath / map / srq / trs`
fn client_message(input: &[u8]) -> Parsed<'_, ClientMessage> {
    // Not `alt`: it would return the `Incomplete` of its first branch.
    match input.first_chunk() {
        Some(b"ATH\n") => map(ath, ClientMessage::Ath).parse(input),
        Some(b"MAP\n") => map(map_, ClientMessage::Map).parse(input),
        Some(b"SRQ\n") => value(ClientMessage::Srq, srq).parse(input),
        Some(b"TRS\n") => map(trs, ClientMessage::Trs).parse(input),
        _ => unknown(input),
    }
}

/// `server-message = ars / mrs / trq / srs`
fn server_message(input: &[u8]) -> Parsed<'_, ServerMessage> {
    match input.first_chunk() {
        Some(b"ARS\n") => map(ars, ServerMessage::Ars).parse(input),
        Some(b"MRS\n") => map(mrs, ServerMessage::Mrs).parse(input),
        Some(b"TRQ\n") => map(trq, ServerMessage::Trq).parse(input),
        Some(b"SRS\n") => value(ServerMessage::Srs, srs).parse(input),
        _ => unknown(input),
    }
}

/// `ath = %s"ATH" LF client-name LF username LF password LF`
fn ath(input: &[u8]) -> Parsed<'_, Ath> {
    let (input, _) = tag("ATH\n").parse(input)?;
    let (input, client_name) = text(input)?;
    let (input, username) = text(input)?;
    let (input, password) = text(input)?;
    Ok((
        input,
        Ath {
            client_name: ClientName::of_line(client_name),
            username: Username::of_line(username),
            password: Password::of_line(password),
        },
    ))
}

/// `ars = %s"ARS" LF ( %s"true" LF timeout LF token LF / %s"false" LF )`
fn ars(input: &[u8]) -> Parsed<'_, Ars> {
    let (input, _) = tag("ARS\n").parse(input)?;
    let (input, is_ok) = boolean("isOK", input).map_err(hide)?;
    if !is_ok {
        return Ok((input, Ars::Rejected));
    }
    let (input, timeout) = timeout(input).map_err(hide)?;
    let (input, token) = text(input)?;
    let token = Token::of_line(token);
    Ok((input, Ars::Accepted { timeout, token }))
}

/// `map = %s"MAP" LF port LF target LF bool LF`
fn map_(input: &[u8]) -> Parsed<'_, Map> {
    let (input, _) = tag("MAP\n").parse(input)?;
    let (input, port) = integer("port", input)?;
    let (input, target) = text(input)?;
    let (input, is_open) = boolean("isOpen", input)?;
    Ok((
        input,
        Map {
            remote_port: port.into(),
            target: Target::of_line(target),
            is_open,
        },
    ))
}

/// `mrs = %s"MRS" LF port LF bool LF`
fn mrs(input: &[u8]) -> Parsed<'_, Mrs> {
    let (input, _) = tag("MRS\n").parse(input)?;
    let (input, port) = integer("port", input)?;
    let (input, is_ok) = boolean("isOK", input)?;
    Ok((
        input,
        Mrs {
            remote_port: port.into(),
            is_ok,
        },
    ))
}

/// `trq = %s"TRQ" LF port LF`
fn trq(input: &[u8]) -> Parsed<'_, Trq> {
    let (input, _) = tag("TRQ\n").parse(input)?;
    let (input, port) = integer("port", input)?;
    Ok((
        input,
        Trq {
            remote_port: port.into(),
        },
    ))
}

/// `trs = %s"TRS" LF token LF port LF`
fn trs(input: &[u8]) -> Parsed<'_, Trs> {
    let (input, _) = tag("TRS\n").parse(input)?;
    let (input, token) = text(input)?;
    let (input, port) = integer("port", input).map_err(hide)?;
    Ok((
        input,
        Trs {
            token: Token::of_line(token),
            remote_port: port.into(),
        },
    ))
}

/// `srq = %s"SRQ" LF`
fn srq(input: &[u8]) -> Parsed<'_, &[u8]> {
    tag("SRQ\n").parse(input)
}

/// `srs = %s"SRS" LF`
fn srs(input: &[u8]) -> Parsed<'_, &[u8]> {
    tag("SRS\n").parse(input)
}

/// `timeout = %x31-39 *9DIGIT`
///
/// The bound is 9223372036, the most seconds that fit 64 bits of nanoseconds.
fn timeout(input: &[u8]) -> Parsed<'_, Timeout> {
    let (rest, secs) = integer("timeout", input)?;
    match Timeout::try_from(secs) {
        Ok(timeout) => Ok((rest, timeout)),
        Err(_) => fail(input, ParseErrorKind::TimeoutOutOfRange(secs)),
    }
}

/// `integer = "0" / ( [ "-" ] %x31-39 *18DIGIT )`
///
/// The parser accepts more than the encoder writes (`frame.int`): a `+` sign, leading zeros and `-0`,
/// if the value fits 64 bits.
fn integer<'a>(field: &'static str, input: &'a [u8]) -> Parsed<'a, i64> {
    let (rest, digits) = line(input)?;
    match str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok())
    {
        Some(number) => Ok((rest, number)),
        None => fail(
            input,
            ParseErrorKind::NotAnInteger {
                field,
                text: Excerpt::of(digits),
            },
        ),
    }
}

/// `bool = %s"true" / %s"false"`
fn boolean<'a>(field: &'static str, input: &'a [u8]) -> Parsed<'a, bool> {
    match line(input)? {
        (rest, b"true") => Ok((rest, true)),
        (rest, b"false") => Ok((rest, false)),
        (_, other) => fail(
            input,
            ParseErrorKind::NotABoolean {
                field,
                text: Excerpt::of(other),
            },
        ),
    }
}

/// `text = *( %x00-09 / %x0B-FF )`
fn text(input: &[u8]) -> Parsed<'_, &[u8]> {
    line(input)
}

/// The bytes up to the next LF. The LF is taken too.
fn line(input: &[u8]) -> Parsed<'_, &[u8]> {
    terminated(take_until("\n"), tag("\n")).parse(input)
}

/// Removes the text from an error: it is a token if the peer swaps the lines of ARS or TRS.
fn hide(error: Err<Fault<'_>>) -> Err<Fault<'_>> {
    use ParseErrorKind::{NotABoolean, NotAnInteger};
    error.map(|mut fault| {
        if let Some(NotAnInteger { text, .. } | NotABoolean { text, .. }) = &mut fault.why {
            let end = fault.at.iter().position(|b| *b == b'\n');
            *text = Excerpt::hidden(fault.at.get(..end.unwrap_or_default()).unwrap_or_default());
        }
        fault
    })
}

/// The error of the line at `at`, which is not a command of this direction; `Incomplete` until the line
/// has ended.
fn unknown<T>(at: &[u8]) -> Parsed<'_, T> {
    line(at)?;
    Err(Err::Error(Fault { at, why: None }))
}

fn fail<T>(at: &[u8], why: ParseErrorKind) -> Parsed<'_, T> {
    Err(Err::Failure(Fault { at, why: Some(why) }))
}
