//! The text that a program prints for an error, with the errors that caused it.

use std::error::Error;

/// An error with its causes and a hint, as a program prints them.
pub(crate) fn error_text(error: &(dyn Error + 'static), hint: Option<&str>) -> String {
    let mut text = format!("error: {error}\n");
    for cause in causes(error) {
        text.push_str(&format!("  because: {cause}\n"));
    }
    if let Some(hint) = hint {
        text.push_str(&format!("hint: {hint}\n"));
    }
    text
}

/// The causes of an error, the nearest one first.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |error| (*error).source())
}
