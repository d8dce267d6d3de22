//! The source of a value, for errors and relative paths.

use std::path::{Path, PathBuf};

use netroxy_net::config_file::{ConfigError, Loaded, Problem};

use super::file::File;

/// The source to which errors refer: the configuration file, or the command line alone.
#[derive(Debug)]
pub(super) struct Origin(pub(super) Option<(PathBuf, Loaded<File>)>);

impl Origin {
    fn loaded(&self) -> Option<&Loaded<File>> {
        self.0.as_ref().map(|(_, loaded)| loaded)
    }

    pub(super) fn is_flags_only(&self) -> bool {
        self.0.is_none()
    }

    /// The path of a file that the configuration file names.
    pub(super) fn relative(&self, path: &Path) -> PathBuf {
        let loaded = self.loaded();
        loaded.map_or_else(|| path.to_owned(), |loaded| loaded.relative(path))
    }

    /// The name of the source, for messages.
    pub(super) fn shown(&self) -> String {
        match &self.0 {
            Some((path, _)) => path.display().to_string(),
            None => COMMAND_LINE.to_owned(),
        }
    }

    /// An error about a key, or about a flag, which begins with `--`.
    pub(super) fn error(&self, key: &str, message: impl Into<String>) -> ConfigError {
        match self.loaded() {
            Some(loaded) if !key.starts_with("--") => loaded.error(key, message),
            _ => flag_error(key, message),
        }
    }

    /// An error about a key or a flag that has to be given and is not.
    pub(super) fn missing(&self, key: &str) -> ConfigError {
        if self.is_flags_only() {
            return flag_error("", format!("no {key} is given"));
        }
        self.error(key, "missing")
    }

    /// As [`error`](Self::error), with the causes of the error.
    pub(super) fn caused(
        &self,
        key: &str,
        error: &(dyn std::error::Error + 'static),
        hint: impl Into<String>,
    ) -> ConfigError {
        match self.loaded() {
            Some(loaded) if !key.starts_with("--") => loaded.caused(key, error, hint),
            _ => {
                let mut message = error.to_string();
                for cause in std::iter::successors(error.source(), |error| error.source()) {
                    message.push_str(&format!(": {cause}"));
                }
                flag_error(key, message).with_hint(hint)
            }
        }
    }
}

const COMMAND_LINE: &str = "command line";

pub(super) fn flag_error(flag: &str, message: impl Into<String>) -> ConfigError {
    Problem {
        path: COMMAND_LINE.into(),
        place: None,
        key: flag.to_owned(),
        message: message.into(),
        hint: None,
    }
    .into()
}
