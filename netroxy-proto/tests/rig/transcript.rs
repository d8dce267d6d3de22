//! The notation of the transcripts.

use std::fmt::Write as _;
use std::time::Duration;

use netroxy_proto::client::Notice;

/// One line for each thing that happens: when, who, what.
#[derive(Default)]
pub(crate) struct Transcript {
    text: String,
}

impl Transcript {
    pub(crate) fn note(&mut self, now: Duration, who: &str, what: &str) {
        let (secs, millis) = (now.as_secs(), now.subsec_millis());
        writeln!(self.text, "{secs:>4}.{millis:03}  {who:<6}  {what}").unwrap();
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// The lines of a message with blanks between; quoted where a blank could mislead.
pub(crate) fn words(wire: &[u8]) -> String {
    let lines = wire
        .strip_suffix(b"\n")
        .unwrap_or(wire)
        .split(|b| *b == b'\n');
    let words: Vec<String> = lines
        .map(|line| {
            let is_plain = !line.is_empty() && line.iter().all(u8::is_ascii_graphic);
            if is_plain && !line.contains(&b'"') {
                String::from_utf8_lossy(line).into_owned()
            } else {
                escaped(line)
            }
        })
        .collect();
    words.join(" ")
}

pub(crate) fn escaped(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

pub(crate) fn notice(notice: Notice) -> String {
    match notice {
        Notice::LoggedIn(timeout) => format!("logged in, timeout {timeout} s"),
        Notice::Mapped(port) => format!("mapped {port}"),
        Notice::MapRefused(port, delay) => {
            format!("{port} refused, again in {} ms", delay.as_millis())
        }
        Notice::UnknownPort(port) => format!("port {port} is not mapped"),
        Notice::RetryIn(delay) => format!("connect again in {} ms", delay.as_millis()),
    }
}
