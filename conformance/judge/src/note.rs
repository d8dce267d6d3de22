//! Notes on the lines of a transcript: why a line is there, and how a direction ended.
//!
//! Code compares notes by their variant; their texts are for people. A recording holds them as comments.
//! `Note::of_comment` is the only place that reads them back from there.

use std::fmt;

use crate::wire::End;

/// A note on a line of a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The line belongs to a fence, which proves that the peer sends nothing else.
    Fence,
    /// The fence was a login on a connection of its own, which no other line shows.
    FenceLogin,
    /// The case passes this message over.
    Ignored,
    /// The message keeps a connection alive, as the step `keep` says.
    Keep,
    /// How the peer's direction ended, or why it counts as closed.
    Ended(End),
    /// A TLS alert came before the end.
    Alert,
    /// What was sent could not be written.
    Unwritten(String),
    /// How a client has shown that it does not trust a certificate.
    Distrusted(String),
    /// The peer read only some of the bytes that were sent to it.
    Taken {
        /// Bytes that the peer read.
        taken: usize,
        /// Bytes that were sent.
        wanted: usize,
    },
    /// No step has read this.
    Unread {
        /// Further bytes that have arrived and are not shown.
        more: usize,
    },
    /// The tap forwarded this late, so no deadline is judged by its time.
    HeldUp,
}

impl Note {
    /// Whether lines with this note depend on when the suite looked, and not on what the peer did.
    pub(crate) fn is_aside(&self) -> bool {
        match self {
            Self::Fence | Self::FenceLogin | Self::Ignored | Self::Keep => true,
            Self::Ended(_)
            | Self::Alert
            | Self::Unwritten(_)
            | Self::Distrusted(_)
            | Self::Taken { .. }
            | Self::Unread { .. }
            | Self::HeldUp => false,
        }
    }

    /// The note of a comment in a recording, if it matters to a judge: how a direction ended, or that the tap was late.
    pub(crate) fn of_comment(comment: &str) -> Option<Self> {
        let known = [
            Self::Ended(End::Eof),
            Self::Ended(End::Cut),
            Self::Ended(End::Flooded),
            Self::HeldUp,
        ];
        if let Some(note) = known.into_iter().find(|note| note.to_string() == comment) {
            return Some(note);
        }
        let garbled = comment.strip_prefix(NO_TLS)?;
        Some(Self::Ended(End::Garbled(garbled.to_owned())))
    }
}

/// The beginning of the note on bytes that are no TLS.
pub(crate) const NO_TLS: &str = "not closed, but no TLS: ";

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fence => f.write_str("fence"),
            Self::FenceLogin => f.write_str("fence: a login of its own"),
            Self::Ignored => f.write_str("ignored"),
            Self::Keep => f.write_str("keep"),
            Self::Ended(end) => end.fmt(f),
            Self::Alert => f.write_str("a TLS alert"),
            Self::Unwritten(why) | Self::Distrusted(why) => f.write_str(why),
            Self::Taken { taken, wanted } => write!(f, "after {taken} of {wanted} bytes"),
            Self::Unread { more: 0 } => f.write_str("no step has read this"),
            Self::Unread { more } => write!(f, "no step has read this and {more} bytes more"),
            Self::HeldUp => f.write_str("held up by the tap"),
        }
    }
}

/// The text of a note.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eof => f.write_str("eof"),
            Self::Cut => f.write_str("a fin without close_notify"),
            Self::Broken(why) => f.write_str(&why.to_ascii_lowercase()),
            Self::Flooded => f.write_str("not closed, but it floods: its bytes are no longer read"),
            Self::Garbled(why) => write!(f, "{NO_TLS}{}", why.to_ascii_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_read_back_if_it_is_an_end_or_a_delay_of_the_tap() {
        for note in [
            Note::Ended(End::Eof),
            Note::Ended(End::Cut),
            Note::Ended(End::Flooded),
            Note::Ended(End::Garbled("invalid message".to_owned())),
            Note::HeldUp,
        ] {
            assert_eq!(Note::of_comment(&note.to_string()), Some(note));
        }
        let broken = Note::Ended(End::Broken("Connection reset".to_owned()));
        for note in [broken, Note::Fence, Note::Keep, Note::Unread { more: 1 }] {
            assert_eq!(Note::of_comment(&note.to_string()), None);
        }
    }
}
