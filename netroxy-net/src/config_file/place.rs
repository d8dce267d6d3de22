//! Line and column in a text.

use std::fmt;

/// A line and column, both counted from 1; columns count bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in bytes.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A place as it follows a path in a message: `:3:7`, or nothing.
pub(super) fn at(place: Option<Place>) -> impl fmt::Display {
    place.map(|p| format!(":{p}")).unwrap_or_default()
}
