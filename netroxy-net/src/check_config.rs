//! The subcommand `check-config` of both programs.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::config_file::ConfigError;

/// The arguments of `check-config`.
#[derive(Debug, clap::Args)]
pub struct CheckConfig {
    /// Configuration file; without it the one of --config
    path: Option<PathBuf>,

    /// Treat warnings, such as unknown keys, as errors
    #[arg(long)]
    strict: bool,
}

impl CheckConfig {
    /// Reports all problems of the file that the flags name, or of `default`. `load` reads the file as the program
    /// does at its start, and returns the warnings. Errors and warnings go to stderr. For a file without errors, one
    /// line goes to stdout.
    ///
    /// The exit code is 0 if the program can start with the file, and 2 if it cannot. With `--strict` it is also 2 if
    /// there are warnings.
    #[must_use]
    pub fn run(
        &self,
        default: &Path,
        load: impl FnOnce(&Path) -> Result<Vec<String>, ConfigError>,
    ) -> ExitCode {
        let path = self.path.as_deref().unwrap_or(default);
        let (code, out, err) = verdict(path, load(path), self.strict);
        // If they are closed, the exit code still gives the result.
        let _ = io::stderr().write_all(err.as_bytes());
        let _ = io::stdout().write_all(out.as_bytes());
        ExitCode::from(code)
    }
}

/// The exit code, and the texts for stdout and stderr.
fn verdict(
    path: &Path,
    loaded: Result<Vec<String>, ConfigError>,
    strict: bool,
) -> (u8, String, String) {
    let path = path.display();
    let warnings = match loaded {
        Err(error) => return (2, String::new(), error.report()),
        Ok(warnings) if warnings.is_empty() => {
            return (0, format!("{path}: no problem found\n"), String::new());
        }
        Ok(warnings) => warnings,
    };
    let mut text: String = warnings.iter().map(|w| format!("warning: {w}\n")).collect();
    if strict {
        text.push_str("error: with --strict, warnings are errors\n");
        return (2, String::new(), text);
    }
    (0, format!("{path}: no error found\n"), text)
}
