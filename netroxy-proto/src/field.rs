//! The fields of messages. Their contents are private, so every value is valid.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU16;
use core::str::FromStr;
use core::time::Duration;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Why a value cannot be a field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidField {
    /// A line feed would end the line (`frame.lf-only`).
    #[error("must not contain a line feed")]
    LineFeed,
    /// A remote port is 1 to 65535 (`map.port-range`).
    #[error("must be a port number from 1 to 65535")]
    PortRange,
    /// A timeout is 1 to 9223372036 seconds (`auth.timeout-positive`).
    #[error("must be 1 to {} seconds", Timeout::MAX_SECS)]
    TimeoutRange,
}

/// The most bytes of a text that are shown: a peer chooses the text, and a log line has to stay short.
const SHOWN: usize = 64;

fn one_line(bytes: &[u8]) -> Result<&[u8], InvalidField> {
    if bytes.contains(&b'\n') {
        return Err(InvalidField::LineFeed);
    }
    Ok(bytes)
}

/// A field of any bytes but LF: `text` in the grammar.
macro_rules! text_field {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(Vec<u8>);

        impl $name {
            /// The empty text, which is allowed.
            #[must_use]
            pub fn empty() -> Self {
                Self(Vec::new())
            }

            /// A line of a message. It was cut at line feeds, so it contains none.
            pub(crate) fn of_line(line: &[u8]) -> Self {
                debug_assert!(one_line(line).is_ok());
                Self(line.into())
            }

            /// The bytes on the wire, without the line feed.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = InvalidField;

            fn try_from(bytes: &[u8]) -> Result<Self, InvalidField> {
                one_line(bytes).map(|b| Self(b.into()))
            }
        }

        /// Lossy, escaped, and no more than the first 64 bytes: safe to log.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let shown = self.0.get(..SHOWN).unwrap_or(&self.0);
                write!(f, "{}", shown.escape_ascii())?;
                match self.0.len() - shown.len() {
                    0 => Ok(()),
                    more => write!(f, "... ({more} more bytes)"),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.escape_ascii())
            }
        }
    };
}

/// A [`text_field`] that is compared in constant time, wiped when dropped and never printed.
macro_rules! secret_field {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Zeroizing<Vec<u8>>);

        impl $name {
            /// A line of a message. It was cut at line feeds, so it contains none.
            pub(crate) fn of_line(line: &[u8]) -> Self {
                debug_assert!(one_line(line).is_ok());
                Self(Zeroizing::new(line.into()))
            }

            /// The bytes on the wire, without the line feed.
            #[must_use]
            pub fn expose(&self) -> &[u8] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = InvalidField;

            fn try_from(bytes: &[u8]) -> Result<Self, InvalidField> {
                one_line(bytes).map(|b| Self(Zeroizing::new(b.into())))
            }
        }

        /// Takes the same time wherever the first difference is; the length is not hidden.
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.ct_eq(&other.0).into()
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    };
}

text_field! {
    /// The name of a client, e.g. for logs. Any bytes but LF; it can be empty.
    ClientName
}
text_field! {
    /// The user name of a login.
    Username
}
text_field! {
    /// The address of the service behind the client, `host:port` by custom. The server does not
    /// interpret it.
    Target
}
secret_field! {
    /// The password of a login. Never printed.
    Password
}
secret_field! {
    /// Opaque bytes that the server sends at login and that each data connection sends back
    /// (`auth.token-opaque`). Never printed.
    Token
}

impl Token {
    /// A token of 32 upper-case hex digits from 128 random bits.
    ///
    /// The tokens of the original server are lower-case, so a client can tell the servers apart
    /// ([`is_like_the_originals`](Self::is_like_the_originals)). On the wire tokens are opaque.
    #[must_use]
    pub fn from_random(bits: [u8; 16]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let digit = |n: u8| DIGITS.get(usize::from(n)).copied().unwrap_or(b'0');
        Self(Zeroizing::new(
            bits.iter()
                .flat_map(|b| [digit(b >> 4), digit(b & 15)])
                .collect(),
        ))
    }

    /// Whether the token is 32 lower-case hex digits, as the original server makes them. Another server
    /// can make such tokens too, so this must not decide what is allowed.
    #[must_use]
    pub fn is_like_the_originals(&self) -> bool {
        self.0.len() == 32
            && self
                .0
                .iter()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }
}

/// An integer in the place of a port, as the grammar allows it. Numbers that are no [`RemotePort`] have
/// to be answered too (`map.port-range`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortNumber(i64);

impl PortNumber {
    /// The port, if the number is 1 to 65535.
    #[must_use]
    pub fn remote_port(self) -> Option<RemotePort> {
        RemotePort::try_from(self.0).ok()
    }
}

impl From<i64> for PortNumber {
    fn from(number: i64) -> Self {
        Self(number)
    }
}

impl From<RemotePort> for PortNumber {
    fn from(port: RemotePort) -> Self {
        Self(i64::from(port.get()))
    }
}

impl fmt::Display for PortNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A public port on the server, 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemotePort(NonZeroU16);

impl RemotePort {
    /// The port number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl TryFrom<i64> for RemotePort {
    type Error = InvalidField;

    fn try_from(number: i64) -> Result<Self, InvalidField> {
        u16::try_from(number)
            .ok()
            .and_then(NonZeroU16::new)
            .map(Self)
            .ok_or(InvalidField::PortRange)
    }
}

impl FromStr for RemotePort {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<Self, InvalidField> {
        text.parse::<i64>()
            .map_err(|_| InvalidField::PortRange)?
            .try_into()
    }
}

impl fmt::Display for RemotePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How long a client may be silent, in whole seconds, 1 to [`Timeout::MAX_SECS`]
/// (`auth.timeout-positive`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timeout(u64);

impl Timeout {
    /// The longest timeout, in seconds: what fits 64 bits of nanoseconds.
    pub const MAX_SECS: u64 = 9_223_372_036;

    /// The timeout as a duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl TryFrom<i64> for Timeout {
    type Error = InvalidField;

    fn try_from(secs: i64) -> Result<Self, InvalidField> {
        u64::try_from(secs)
            .ok()
            .filter(|s| (1..=Self::MAX_SECS).contains(s))
            .map(Self)
            .ok_or(InvalidField::TimeoutRange)
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `text.try_into()` for configuration values, which are strings.
macro_rules! from_string {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = InvalidField;

            fn try_from(text: String) -> Result<Self, InvalidField> {
                Self::try_from(text.as_bytes())
            }
        }
    )*};
}
from_string!(ClientName, Username, Password, Target);
