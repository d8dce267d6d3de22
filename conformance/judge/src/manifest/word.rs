//! A word of the command of a manifest.

use serde_json::Value;

use super::placeholder::{Misfit, Vars, lookup};

/// A word of a command, cut at its placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub(super) pieces: Vec<Piece>,
    pub(super) shown: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// It stays as it is, even if it comes from an environment variable and has braces.
    Text(String),
    /// The inside of `{{...}}`.
    Placeholder(String),
}

impl Word {
    /// The word with its placeholders filled in, as text.
    pub(crate) fn fill(&self, vars: &Vars) -> Result<String, Misfit> {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => Ok(text.clone()),
            Piece::Placeholder(name) => {
                let value = lookup(name, &vars.common, name, "")?;
                Ok(match value {
                    Value::String(text) => text,
                    Value::Null => String::new(),
                    value => value.to_string(),
                })
            }
        });
        pieces.collect()
    }

    /// The word as reports show it. The value of an environment variable may be a secret, so only its name is shown. The
    /// path of the program is shown.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether it has a placeholder of this name.
    pub(super) fn names(&self, name: &str) -> bool {
        let named = |inside: &String| inside.split(':').next() == Some(name);
        self.pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Placeholder(inside) if named(inside)))
    }

    /// Its text, if it has no placeholder.
    pub(super) fn text(&self) -> Option<String> {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Placeholder(_) => None,
        });
        pieces.collect()
    }
}
