//! Cuts a stream of bytes into messages.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use memchr::memchr;

use crate::{Incoming, ParseError, ParseErrorKind};

/// The limits of a [`Decoder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest line in bytes, without the LF (`frame.line-limit`). A message has at most four
    /// lines, so a decoder never holds much more than four times this.
    pub line: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { line: 4096 }
    }
}

/// Cuts a stream of bytes into messages, however the stream is segmented.
///
/// Each byte is scanned for its LF once and each line is parsed at most four times, so the work is
/// linear in the input. The result depends on the bytes only, not on how they were split into
/// calls of [`push`](Self::push).
///
/// After a message that [ends the lines](Incoming::ends_lines), or after an error, there are no
/// more messages.
pub struct Decoder<M> {
    limits: Limits,
    buffer: Vec<u8>,
    /// Start of the message that is being received.
    start: usize,
    /// Start of the line that is being received.
    line: usize,
    /// There is no LF between `line` and here.
    scanned: usize,
    state: State,
    messages: PhantomData<fn() -> M>,
}

#[derive(Debug, Clone)]
enum State {
    Lines,
    Raw,
    Failed(ParseError),
}

impl<M: Incoming> Decoder<M> {
    /// An empty decoder.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            buffer: Vec::new(),
            start: 0,
            line: 0,
            scanned: 0,
            state: State::Lines,
            messages: PhantomData,
        }
    }

    /// Adds received bytes. Call [`next_message`](Self::next_message) until it returns `None`
    /// before the next `push`: that keeps the buffer within its bound. After a message that ends
    /// the lines every byte is kept for [`into_tail`](Self::into_tail): push no more then.
    pub fn push(&mut self, bytes: &[u8]) {
        if matches!(self.state, State::Failed(_)) {
            return;
        }
        self.buffer.drain(..self.start);
        self.line -= self.start;
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, or `None` when more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`ParseError`] if the bytes are no message or a line is too long. Each later call returns the
    /// same error.
    pub fn next_message(&mut self) -> Result<Option<M>, ParseError> {
        match &self.state {
            State::Lines => {}
            State::Raw => return Ok(None),
            State::Failed(error) => return Err(error.clone()),
        }
        self.scan().inspect_err(|error| {
            self.state = State::Failed(error.clone());
            self.buffer = Vec::new();
            (self.start, self.line, self.scanned) = (0, 0, 0);
        })
    }

    fn scan(&mut self) -> Result<Option<M>, ParseError> {
        loop {
            let fresh = self.buffer.get(self.scanned..).unwrap_or_default();
            let lf = memchr(b'\n', fresh).map(|at| self.scanned + at);
            self.scanned = lf.unwrap_or(self.buffer.len());
            if self.scanned - self.line > self.limits.line {
                return Err(self.too_long());
            }
            let Some(lf) = lf else { return Ok(None) };
            (self.line, self.scanned) = (lf + 1, lf + 1);
            let lines = self.buffer.get(self.start..self.line).unwrap_or_default();
            if let Some((message, length)) = M::parse(lines)? {
                self.start += length;
                if message.ends_lines() {
                    self.state = State::Raw;
                }
                return Ok(Some(message));
            }
        }
    }

    fn too_long(&self) -> ParseError {
        let before = self.buffer.get(self.start..self.line).unwrap_or_default();
        ParseError {
            line: 1 + before.iter().filter(|b| **b == b'\n').count(),
            kind: ParseErrorKind::LineTooLong {
                limit: self.limits.line,
            },
        }
    }

    /// Whether a message has begun but not ended. If the stream ends now, this part has no effect
    /// (`frame.partial-no-effect`).
    #[must_use]
    pub fn is_mid_message(&self) -> bool {
        matches!(self.state, State::Lines) && self.start < self.buffer.len()
    }

    /// How many bytes are held: at most one unfinished message, if messages are taken as
    /// [`push`](Self::push) says.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// The bytes that follow the last message: after TRS, the first bytes of the tunnel
    /// (`tunnel.early-data`).
    #[must_use]
    pub fn into_tail(mut self) -> Vec<u8> {
        self.buffer.drain(..self.start);
        self.buffer
    }
}

/// Shows how much is buffered, never the bytes: they can be a password or a user's data.
impl<M> fmt::Debug for Decoder<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("limits", &self.limits)
            .field("state", &self.state)
            .field("buffered", &(self.buffer.len() - self.start))
            .finish_non_exhaustive()
    }
}
