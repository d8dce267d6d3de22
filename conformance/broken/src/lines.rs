//! Reads and writes messages.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use crate::Bug;

/// A stream that carries messages.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}
pub(crate) type Stream = Box<dyn Io>;

/// A word and its fields, as they were received.
pub(crate) type Message = Vec<Vec<u8>>;

/// Words and the kinds of their fields: text, integer or boolean.
type Words = &'static [(&'static str, &'static str)];
pub(crate) const OF_CLIENTS: Words = &[("ATH", "ttt"), ("MAP", "itb"), ("SRQ", ""), ("TRS", "ti")];
pub(crate) const OF_SERVERS: Words = &[("ARS", "bit"), ("MRS", "ib"), ("TRQ", "i"), ("SRS", "")];

/// The longest line of a correct peer, in bytes.
const LIMIT: usize = 4096;

/// Reads messages, and keeps the bytes after them.
pub(crate) struct Lines<R> {
    reader: R,
    words: Words,
    bug: Option<Bug>,
    buffer: Vec<u8>,
    message: Message,
    logged_in: bool,
    /// How many messages of the last segment were returned.
    together: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R, words: Words, bug: Option<Bug>) -> Self {
        Self {
            reader,
            words,
            bug,
            buffer: Vec::new(),
            message: Vec::new(),
            logged_in: false,
            together: 0,
        }
    }

    pub(crate) fn log_in(&mut self) {
        self.logged_in = true;
    }

    /// Whether bytes after the last message have come.
    pub(crate) fn has_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Waits for bytes until this time.
    pub(crate) async fn first_byte_by(&mut self, due: Instant) {
        let _ = timeout_at(due, self.reader.read_buf(&mut self.buffer)).await;
    }

    /// The reader, and the bytes after the last message.
    pub(crate) fn into_parts(self) -> (R, Vec<u8>) {
        (self.reader, self.buffer)
    }

    /// The next message; `None` at the end of the stream. The future can be dropped: no bytes are lost.
    ///
    /// # Errors
    /// If the stream fails, or if a message is malformed (`InvalidData`).
    pub(crate) async fn message(&mut self) -> io::Result<Option<Message>> {
        loop {
            while let Some(line) = self.take_line()? {
                if let Some(message) = self.add(line)? {
                    return Ok(Some(message));
                }
            }
            if self.has(Bug::BegunMessageLost) && self.together > 0 {
                self.buffer.clear();
                self.message.clear();
            }
            let before = self.buffer.len();
            self.buffer.reserve(16 * 1024);
            let count = self.reader.read_buf(&mut self.buffer).await?;
            self.together = 0;
            if count == 0 {
                if self.has(Bug::EndCompletes) && !self.buffer.is_empty() {
                    self.buffer.push(b'\n');
                    continue;
                }
                return Ok(None);
            }
            if self.has(Bug::ByteLostAtBorder) && before > 0 {
                self.buffer.remove(before);
            }
            if self.has(Bug::CutMessageLost) && !self.buffer.ends_with(b"\n") {
                self.buffer.clear();
                self.message.clear();
            }
        }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// The next whole line of the buffer.
    fn take_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let limit = match self.bug {
            Some(Bug::LineLimitLow) => 1024,
            Some(Bug::LineLimitOffByOne) => LIMIT - 1,
            Some(Bug::LineUnbounded) => usize::MAX,
            Some(Bug::LineUnboundedBeforeLogin) if !self.logged_in => usize::MAX,
            Some(Bug::LineUnboundedAfterLogin) if self.logged_in => usize::MAX,
            _ => LIMIT,
        };
        let end = self
            .buffer
            .iter()
            .position(|byte| *byte == b'\n' || self.has(Bug::CrEndsLine) && *byte == b'\r');
        if end.unwrap_or(self.buffer.len()) > limit {
            return Err(wrong("a line that is too long"));
        }
        let Some(end) = end else {
            return Ok(self.eager_line());
        };
        let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
        line.pop();
        if self.has(Bug::CrIgnored) && line.ends_with(b"\r") {
            line.pop();
        }
        Ok(Some(line))
    }

    /// A line that has not ended, if a bug accepts it.
    fn eager_line(&mut self) -> Option<Vec<u8>> {
        let (_, kinds) = self.kinds()?;
        let last = self.message.len() == kinds.len();
        (self.has(Bug::LastLineEager) && last && !self.buffer.is_empty())
            .then(|| std::mem::take(&mut self.buffer))
    }

    /// The word of the message that has begun, and the kinds of its fields.
    fn kinds(&self) -> Option<(&'static str, &'static str)> {
        let word = self.message.first()?;
        let known = |(known, _): &&(&str, &str)| known.as_bytes() == word.as_slice();
        let (word, kinds) = self.words.iter().find(known)?;
        // Nothing follows `ARS false`.
        let refused = *word == "ARS" && self.message.get(1).is_some_and(|ok| ok == b"false");
        Some((word, if refused { "b" } else { kinds }))
    }

    /// Adds a line to the message. Returns the message if it is complete.
    fn add(&mut self, mut line: Vec<u8>) -> io::Result<Option<Message>> {
        if self.message.is_empty() {
            if self.has(Bug::WordsInAnyCase) {
                line.make_ascii_uppercase();
            }
            if self.skipped(&line) {
                return Ok(None);
            }
            self.message.push(line);
            if self.kinds().is_none() {
                return Err(wrong("an unknown word"));
            }
        } else {
            let (_, kinds) = self.kinds().ok_or_else(|| wrong("an unknown word"))?;
            let kind = kinds.as_bytes().get(self.message.len() - 1).copied();
            self.message.push(self.field(kind, line)?);
        }
        let (_, kinds) = self.kinds().ok_or_else(|| wrong("an unknown word"))?;
        if self.message.len() <= kinds.len() {
            return Ok(None);
        }
        self.together += 1;
        if self.drops_rest() {
            self.buffer.clear();
        }
        if self.has(Bug::RestOfSegmentLost) || self.has(Bug::CrowdLost) && self.together >= 20 {
            self.buffer.clear();
        }
        Ok(Some(std::mem::take(&mut self.message)))
    }

    /// Whether a bug drops the bytes after the complete message.
    fn drops_rest(&self) -> bool {
        let word: &[u8] = match self.bug {
            Some(Bug::RestAfterAthLost) => b"ATH",
            Some(Bug::RestAfterMapLost) => b"MAP",
            Some(Bug::RestAfterSrqLost) => b"SRQ",
            Some(Bug::RestAfterArsLost) => b"ARS",
            Some(Bug::RestAfterMrsLost) => b"MRS",
            Some(Bug::RestAfterTrqLost) => b"TRQ",
            Some(Bug::RestAfterSrsLost) => b"SRS",
            _ => return false,
        };
        self.message.first().is_some_and(|first| first == word)
    }

    /// Whether a bug ignores this line, which is no valid word.
    fn skipped(&self, line: &[u8]) -> bool {
        let known = |words: Words| words.iter().any(|(word, _)| word.as_bytes() == line);
        match self.bug {
            Some(Bug::UnknownIgnored) => !known(self.words),
            Some(Bug::BytesAfterMessageIgnored) => self.together > 0 && !known(self.words),
            Some(Bug::EmptyLinesIgnored) => line.is_empty(),
            Some(Bug::UnknownIgnoredBeforeLogin) => !self.logged_in && !known(self.words),
            Some(Bug::OwnWordsIgnored) => {
                !known(self.words) && (known(OF_CLIENTS) || known(OF_SERVERS))
            }
            _ => false,
        }
    }

    fn field(&self, kind: Option<u8>, line: Vec<u8>) -> io::Result<Vec<u8>> {
        let text = String::from_utf8_lossy(&line);
        match kind {
            Some(b'i') if text.parse::<i64>().is_err() => match self.bug {
                Some(Bug::IntegerGuessed) => Ok(b"30".to_vec()),
                Some(Bug::ArsIntegerGuessed) if self.message[0] == b"ARS" => Ok(b"30".to_vec()),
                Some(Bug::TrsPortGuessed) if self.message[0] == b"TRS" => Ok(b"0".to_vec()),
                Some(Bug::IntegerTrimmed) if text.trim().parse::<i64>().is_ok() => {
                    Ok(text.trim().as_bytes().to_vec())
                }
                _ => Err(wrong(NO_INTEGER)),
            },
            Some(b'b') if line != b"true" && line != b"false" => match self.bug {
                Some(Bug::BooleanGuessed) => Ok(b"false".to_vec()),
                Some(Bug::BooleanTruthy) => Ok(b"true".to_vec()),
                Some(Bug::ArsBooleanTruthy) if self.message[0] == b"ARS" => Ok(b"true".to_vec()),
                _ => Err(wrong(NO_BOOLEAN)),
            },
            Some(b't') => match self.bug {
                Some(Bug::TextUtf8) if std::str::from_utf8(&line).is_err() => {
                    Err(wrong("not UTF-8"))
                }
                Some(Bug::TextAscii) if !line.is_ascii() => {
                    Ok(line.into_iter().filter(u8::is_ascii).collect())
                }
                Some(Bug::TextTrimmed) => Ok(line.trim_ascii().to_vec()),
                _ => Ok(line),
            },
            _ => Ok(line),
        }
    }
}

/// The errors of malformed fields.
pub(crate) const NO_INTEGER: &str = "no integer";
pub(crate) const NO_BOOLEAN: &str = "no boolean";

/// A message as a peer with this bug writes it. ATH and ARS stay correct, else no login would succeed.
pub(crate) fn shaped(bug: Option<Bug>, message: &[u8]) -> Vec<u8> {
    let each = |write: fn(&[u8]) -> &[u8], end: &[u8]| {
        let lines = message.split_inclusive(|byte| *byte == b'\n');
        let lines = lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line));
        lines.flat_map(|line| [write(line), end].concat()).collect()
    };
    match bug {
        _ if message.starts_with(b"ATH\n") || message.starts_with(b"ARS\n") => message.to_vec(),
        Some(Bug::LinesEndInCrLf) => each(|line| line, b"\r\n"),
        Some(Bug::EmptyLineAfterMessages) => [message, b"\n"].concat(),
        Some(Bug::BooleanCapitalised) => each(
            |line| match line {
                b"true" => b"True",
                b"false" => b"False",
                _ => line,
            },
            b"\n",
        ),
        Some(Bug::BooleanNumeric) => each(
            |line| match line {
                b"true" => b"1",
                b"false" => b"0",
                _ => line,
            },
            b"\n",
        ),
        _ => message.to_vec(),
    }
}

/// The bytes of a message.
pub(crate) fn bytes(lines: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
    }
    bytes
}

/// The value of an integer field; 0 if it is malformed.
pub(crate) fn integer(field: &[u8]) -> i64 {
    String::from_utf8_lossy(field).parse().unwrap_or(0)
}

pub(crate) fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
