//! What a terminal can show, and how often progress is shown.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use clap::ColorChoice;

/// After how much time without output a line of progress follows. It is checked each second, so there is a line at
/// least every five seconds.
pub(super) const QUIET: Duration = Duration::from_secs(4);

/// How often [`QUIET`] is checked.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// Whether standard output is coloured.
pub(crate) fn is_coloured_here(choice: ColorChoice) -> bool {
    is_coloured(choice, io::stdout().is_terminal(), is_dumb())
}

/// Whether the terminal has no escape codes.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb")
}

pub(super) fn is_coloured(choice: ColorChoice, terminal: bool, dumb: bool) -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => terminal && !dumb && !unwanted,
    }
}
