//! The subcommand `check-config` of both programs.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::config_file::ConfigError;

/// The arguments of `check-config`.
#[derive(Debug, clap::Args)]
pub struct CheckConfig {
    /// Configuration file; without it the one of --config
    path: Option<PathBuf>,

    /// Treat warnings as errors, such as keys that do not exist
    #[arg(long)]
    strict: bool,
}

impl CheckConfig {
    /// Looks for all problems of the file, `default` if none was named. `load` reads it as the
    /// program would, and gives the warnings. Errors and warnings go to stderr; a file without
    /// errors is told on stdout.
    ///
    /// The exit code is 0 if the program would start with the file, 2 if not or, with `--strict`,
    /// if there are warnings.
    #[must_use]
    pub fn run(
        &self,
        default: &Path,
        load: impl FnOnce(&Path) -> Result<Vec<String>, ConfigError>,
    ) -> ExitCode {
        let path = self.path.as_deref().unwrap_or(default);
        let (code, out, err) = verdict(path, load(path), self.strict);
        // Nobody is left to tell when they are closed; the exit code tells all the same.
        let _ = io::stderr().write_all(err.as_bytes());
        let _ = io::stdout().write_all(out.as_bytes());
        ExitCode::from(code)
    }
}

/// Exit code, stdout and stderr.
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
    let mut told: String = warnings.iter().map(|w| format!("warning: {w}\n")).collect();
    if strict {
        told.push_str("error: with --strict, warnings are errors\n");
        return (2, String::new(), told);
    }
    (0, format!("{path}: no error found\n"), told)
}
