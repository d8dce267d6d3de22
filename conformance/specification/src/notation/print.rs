//! Writes transcripts in their one canonical form.

use std::fmt::Write as _;

use super::ast::{
    Action, Alternative, Bulk, Case, Endpoint, Expectation, Field, Line, Low, Message, Noted,
    Piece, Repeat, Setting, Step, Template, Way, Within,
};

/// Keywords that can follow a message. As a field they are quoted.
pub(super) const RESERVED: [&str; 3] = ["in", "pass", "nonstrict"];

/// Marks, verdicts and comments start in this column, counted from 0.
const ASIDE: usize = 42;

/// The canonical text of a case file.
pub fn print(case: &Case) -> String {
    let mut out = String::new();
    header(&mut out, "title", &case.title.value, &case.title);
    header(&mut out, "role", &case.role.value.to_string(), &case.role);
    header(&mut out, "rules", &case.rules.value.join(" "), &case.rules);
    if let Some(twin) = &case.twin {
        header(&mut out, "twin", &twin.value, twin);
    }
    for setting in &case.config {
        header(&mut out, "config", &print_setting(&setting.value), setting);
    }
    if let Some(over) = &case.over {
        let names: Vec<String> = over.value.iter().map(ToString::to_string).collect();
        header(&mut out, "over", &names.join(" "), over);
    }
    out.push('\n');
    lines(&mut out, &case.body, "");
    out
}

/// One step as a line (or several, for `one of`) without the line feed at its end.
pub fn print_step(step: &Step) -> String {
    let mut out = format!("{:<5} {}", step.actor, print_action(&step.action));
    if let Some(within) = step.within {
        let _ = write!(out, "  in {}", bounds(within));
    }
    let mark = (!step.marks.is_empty()).then(|| format!("[{}]", step.marks.join(" ")));
    aside(&mut out, mark.as_deref(), step.comment.as_deref());
    if let Action::OneOf(alternatives) = &step.action {
        for alternative in alternatives {
            out.push('\n');
            out.push_str(&print_alternative(alternative));
        }
    }
    out
}

/// Joins the parts of a step: its actor, its verb with arguments, its marks and its comment.
pub fn joined(actor: &str, text: &str, marks: &[String], comment: Option<&str>) -> String {
    let (first, rest) = text
        .split_once('\n')
        .map_or((text, None), |(first, rest)| (first, Some(rest)));
    let mut out = format!("{actor:<5} {first}");
    let mark = (!marks.is_empty()).then(|| format!("[{}]", marks.join(" ")));
    aside(&mut out, mark.as_deref(), comment);
    if let Some(rest) = rest {
        let _ = write!(out, "\n{rest}");
    }
    out
}

/// The verb of a step without its actor.
pub fn print_action(action: &Action) -> String {
    match action {
        Action::Connect(Endpoint::Server(None)) => "connect server".into(),
        Action::Connect(Endpoint::Server(Some(transport))) => format!("connect server {transport}"),
        Action::Connect(Endpoint::Port(port)) => format!("connect {}", unlike("server", port)),
        Action::Connect(Endpoint::Bare) => "connect server bare".into(),
        Action::Connect(Endpoint::Drip) => "connect server drip".into(),
        Action::Connect(Endpoint::Tls12) => "connect server tls12".into(),
        Action::Refused(port) => format!("refused {}", template(port)),
        Action::TurnedAway { port, said } => {
            let said = said.as_ref().map(quoted);
            let said = said.map_or_else(String::new, |said| format!(" {said}"));
            format!("turned away {}{said}", template(port))
        }
        Action::Accept(None) => "accept".into(),
        Action::Accept(Some(target)) => format!("accept {}", unlike_a_way(target)),
        Action::AcceptAs(way) => format!("accept {way}"),
        Action::Handshake => "handshake".into(),
        Action::Certificate(shown) => format!("certificate {shown}"),
        Action::Distrusts => "distrusts".into(),
        Action::Down(ms) => format!("down {}", seconds(*ms)),
        Action::Late(ms) => format!("late {}", seconds(*ms)),
        Action::Pause => "pause".into(),
        Action::Keep => "keep".into(),
        Action::Send(message) => format!("> {}", print_message(message)),
        Action::SendRaw(segments) => {
            let strings: Vec<String> = segments.iter().map(quoted).collect();
            format!(">> {}", strings.join(" "))
        }
        Action::SendDrip(bytes) => format!(">> drip {}", quoted(bytes)),
        Action::SendSlow(bytes) => format!(">> slow {}", quoted(bytes)),
        Action::SendEvery(ms, segments) => {
            let strings: Vec<String> = segments.iter().map(quoted).collect();
            format!(">> every {} {}", seconds(*ms), strings.join(" "))
        }
        Action::SendRandom(bulk) => format!(">> {}", random(*bulk)),
        Action::Ignore(word) => format!("ignore {word}"),
        Action::Unguessable(value) => format!("unguessable {}", template(value)),
        Action::Shutdown => "> shutdown".into(),
        Action::Cut => "> cut".into(),
        Action::Close => "> close".into(),
        Action::Reset => "> reset".into(),
        Action::Restart => "restart".into(),
        Action::Expect(expectation @ (Expectation::Raw(_) | Expectation::Random(_))) => {
            format!("<< {}", print_expectation(expectation))
        }
        Action::Expect(expectation) => format!("< {}", print_expectation(expectation)),
        Action::OneOf(_) => "< one of".into(),
        Action::Maps(refused) if refused.is_empty() => "< maps".into(),
        Action::Maps(refused) => {
            let ports: Vec<String> = refused.iter().map(template).collect();
            format!("< maps but {}", ports.join(" "))
        }
    }
}

fn header<T>(out: &mut String, key: &str, value: &str, noted: &Noted<T>) {
    let mut line = format!("{key:<8} {value}");
    aside(&mut line, None, noted.comment.as_deref());
    out.push_str(&line);
    out.push('\n');
}

fn lines(out: &mut String, body: &[Line], indent: &str) {
    for line in body {
        let text = match line {
            Line::Blank => {
                out.push('\n');
                continue;
            }
            Line::Comment(text) => format!("# {text}").trim_end().to_owned(),
            Line::Step(step) => print_step(step),
            Line::Repeat(repeat) => {
                print_repeat(out, repeat, indent);
                continue;
            }
        };
        for part in text.lines() {
            out.push_str(indent);
            out.push_str(part);
            out.push('\n');
        }
    }
}

fn print_repeat(out: &mut String, repeat: &Repeat, indent: &str) {
    let kept = if repeat.kept { " kept" } else { "" };
    let mut head = format!("{indent}repeat {}{kept}", repeat.count);
    aside(&mut head, None, repeat.comment.as_deref());
    out.push_str(&head);
    out.push('\n');
    lines(out, &repeat.body, &format!("{indent}  "));
}

fn aside(line: &mut String, mark: Option<&str>, comment: Option<&str>) {
    if mark.is_none() && comment.is_none() {
        return;
    }
    let width = line.chars().count();
    let gap = ASIDE.saturating_sub(width).max(2);
    line.extend(std::iter::repeat_n(' ', gap));
    if let Some(mark) = mark {
        line.push_str(mark);
    }
    if let Some(comment) = comment {
        if mark.is_some() {
            line.push_str("  ");
        }
        line.push_str("# ");
        line.push_str(comment);
    }
    line.truncate(line.trim_end().len());
}

fn print_setting(setting: &Setting) -> String {
    match setting {
        Setting::Timeout(seconds) => format!("timeout {seconds}"),
        Setting::Verify => "verify".into(),
        Setting::Trust => "trust".into(),
        Setting::Maps { count, target } => format!("maps {count} -> {}", template(target)),
        Setting::Map { port, target, open } => {
            let closed = if *open { "" } else { " closed" };
            format!("map {} -> {}{closed}", template(port), template(target))
        }
    }
}

fn print_alternative(alternative: &Alternative) -> String {
    let mut out = format!("        {}", print_expectation(&alternative.expectation));
    let grade = alternative.grade.to_string();
    aside(&mut out, Some(&grade), alternative.comment.as_deref());
    out
}

fn print_expectation(expectation: &Expectation) -> String {
    match expectation {
        Expectation::Message(message) => print_message(message),
        Expectation::Raw(bytes) => quoted(bytes),
        Expectation::Random(bulk) => random(*bulk),
        Expectation::Closed => "closed".into(),
        Expectation::Eof => "eof".into(),
        Expectation::Reset => "reset".into(),
        Expectation::Silence => "silence".into(),
        Expectation::Stalled => "stalled".into(),
    }
}

fn print_message(message: &Message) -> String {
    let mut out = message.word.clone();
    for field in &message.fields {
        out.push(' ');
        match field {
            Field::Text(text) => out.push_str(&template(text)),
            Field::Bind(name) => {
                out.push('?');
                out.push_str(name);
            }
            Field::Any => out.push('_'),
        }
    }
    out
}

fn random(bulk: Bulk) -> String {
    const MIB: u32 = 1 << 20;
    const KIB: u32 = 1 << 10;
    let size = match bulk.bytes {
        n if n > 0 && n.is_multiple_of(MIB) => format!("{}MiB", n / MIB),
        n if n > 0 && n.is_multiple_of(KIB) => format!("{}KiB", n / KIB),
        n => n.to_string(),
    };
    format!("random {size} {}", bulk.seed)
}

fn bounds(within: Within) -> String {
    let low = match within.low {
        None => String::new(),
        Some(Low::Ms(ms)) => seconds(ms),
        Some(Low::Still) => "still".into(),
    };
    let high = within.high.map_or_else(String::new, seconds);
    let lenient = if within.lenient { " nonstrict" } else { "" };
    format!("{low}..{high}{lenient}")
}

fn seconds(ms: u32) -> String {
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Without quotes where that is unambiguous.
fn template(template: &Template) -> String {
    match template.pieces() {
        [Piece::Var(name)] if template.times() == 1 => format!("${name}"),
        [Piece::Bytes(bytes)] if template.times() == 1 && is_bare(bytes) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        _ => quoted(template),
    }
}

/// With quotes if it begins like a keyword that could stand in its place.
fn unlike(keyword: &str, value: &Template) -> String {
    match value.pieces().first() {
        Some(Piece::Bytes(bytes)) if bytes.starts_with(keyword.as_bytes()) => quoted(value),
        _ => template(value),
    }
}

/// With quotes if it is the name of a way to accept.
fn unlike_a_way(value: &Template) -> String {
    match value.pieces() {
        [Piece::Bytes(bytes)]
            if Way::ALL
                .iter()
                .any(|way| way.to_string().as_bytes() == bytes.as_slice()) =>
        {
            quoted(value)
        }
        _ => template(value),
    }
}

fn is_bare(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| is_bare_byte(*byte))
        && bytes != b"_"
        && !bytes.starts_with(b"?")
        && !RESERVED.iter().any(|word| word.as_bytes() == bytes)
}

/// May stand in a field without quotes.
pub(super) fn is_bare_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"#[]$\\".contains(&byte)
}

fn quoted(template: &Template) -> String {
    let mut out = String::from("\"");
    for (index, piece) in template.pieces().iter().enumerate() {
        match piece {
            Piece::Bytes(bytes) => bytes.iter().for_each(|byte| escaped(&mut out, *byte)),
            Piece::Near(near, name) => {
                let _ = write!(out, "${{{name}:{near}}}");
            }
            Piece::Var(name) => {
                let glued = matches!(template.pieces().get(index + 1), Some(Piece::Bytes(next))
                    if next.first().is_some_and(|byte| is_name_byte(*byte)));
                let _ = if glued {
                    write!(out, "${{{name}}}")
                } else {
                    write!(out, "${name}")
                };
            }
        }
    }
    out.push('"');
    if template.times() != 1 {
        let _ = write!(out, "*{}", template.times());
    }
    out
}

/// May stand in the name of a variable.
pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

fn escaped(out: &mut String, byte: u8) {
    match byte {
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        0 => out.push_str("\\0"),
        b'\\' | b'"' | b'$' => {
            out.push('\\');
            out.push(char::from(byte));
        }
        b' '..=b'~' => out.push(char::from(byte)),
        _ => {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
}
