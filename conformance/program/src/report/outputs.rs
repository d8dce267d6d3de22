//! The reports that `--report FORMAT:PATH` asks for.

use std::path::Path;

use super::model::Report;
use super::test_anything::{self, Version};
use super::{html, json, junit, markdown};
use crate::output::{Place, Readers};

/// The reports to write.
#[derive(Debug, Default)]
pub(crate) struct Outputs(Vec<Output>);

#[derive(Debug)]
struct Output {
    /// The argument of the command line.
    argument: String,
    format: Format,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Junit,
    TestAnything(Version),
    Markdown,
    Html,
}

/// A report that cannot be written as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`--report {argument}`: {message}")]
pub(crate) struct OutputError {
    argument: String,
    message: String,
    /// The next step.
    pub(crate) hint: String,
}

impl Outputs {
    /// Checks formats and paths before a run, so that no run is lost because of a typing error.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, OutputError> {
        let mut outputs: Vec<Output> = Vec::new();
        for argument in arguments {
            let output = Output::parse(argument)?;
            if let Some(other) = outputs.iter().find(|other| other.place == output.place) {
                let message = format!("`{}` has the same path", other.argument);
                return Err(wrong(argument, message, "give each report another path"));
            }
            outputs.push(output);
        }
        Ok(Self(outputs))
    }

    /// Whether a report goes to standard output, which then holds only the report.
    pub(crate) fn takes_stdout(&self) -> bool {
        self.0.iter().any(|output| output.place == Place::Stdout)
    }

    /// Writes all reports. Returns the arguments of those that were written to a path, and the errors of the others.
    pub(crate) fn write(&self, report: &Report) -> (Vec<&str>, Vec<OutputError>) {
        let (mut written, mut failed) = (Vec::new(), Vec::new());
        for output in &self.0 {
            let text = output.format.render(report);
            match output.place.write(text.as_bytes()) {
                Ok(()) if output.place == Place::Stdout => {}
                Ok(()) => written.push(output.argument.as_str()),
                Err(error) => failed.push(wrong(
                    &output.argument,
                    format!("cannot write it: {error}"),
                    "check that the folder exists and the disk is not full",
                )),
            }
        }
        (written, failed)
    }
}

impl Output {
    fn parse(argument: &str) -> Result<Self, OutputError> {
        let (name, path) = argument.split_once(':').unwrap_or((argument, ""));
        let Some((_, format)) = FORMATS.into_iter().find(|(known, _)| *known == name) else {
            return Err(wrong(argument, "there is no such format".to_owned(), USAGE));
        };
        if path.is_empty() {
            return Err(wrong(argument, "it names no path".to_owned(), USAGE));
        }
        let place = match path {
            "-" => Place::Stdout,
            path => Place::find(Path::new(path), Readers::Usual)
                .map_err(|error| wrong(argument, error.to_string(), &error.hint))?,
        };
        Ok(Self {
            argument: argument.to_owned(),
            format,
            place,
        })
    }
}

impl Format {
    fn render(self, report: &Report) -> String {
        match self {
            Self::Json => json::render(report),
            Self::Junit => junit::render(report),
            Self::TestAnything(version) => test_anything::render(report, version),
            Self::Markdown => markdown::render(report),
            Self::Html => html::render(report),
        }
    }
}

const FORMATS: [(&str, Format); 6] = [
    ("json", Format::Json),
    ("junit", Format::Junit),
    ("tap", Format::TestAnything(Version::V14)),
    ("tap13", Format::TestAnything(Version::V13)),
    ("md", Format::Markdown),
    ("html", Format::Html),
];

const USAGE: &str = "json:PATH, junit:PATH, tap:PATH, tap13:PATH, md:PATH or html:PATH; the path `-` is standard output";

fn wrong(argument: &str, message: String, hint: &str) -> OutputError {
    OutputError {
        argument: argument.to_owned(),
        message,
        hint: hint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_cannot_be_written_is_refused_with_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display();
        let parse =
            |arguments: &[String]| Outputs::parse(arguments).map_err(|e| (e.to_string(), e.hint));
        for (argument, words, hint) in [
            ("xml:out".to_owned(), "no such format", "json:PATH"),
            ("json".to_owned(), "no path", "json:PATH"),
            ("tap:".to_owned(), "no path", "json:PATH"),
            (format!("html:{place}/no/out"), "no folder", "mkdir -p"),
            (format!("html:{place}"), "is a folder", "file in it"),
        ] {
            let (message, found) = parse(&[argument]).unwrap_err();
            assert!(
                message.contains(words) && found.contains(hint),
                "{message} {found}"
            );
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("link")).unwrap();
        let twice = [format!("json:{place}/out"), format!("tap:{place}/link/out")];
        assert!(parse(&twice).unwrap_err().0.contains("has the same path"));
        assert!(parse(&["tap:-".to_owned(), "json:-".to_owned()]).is_err());
        assert!(parse(&["tap:-".to_owned()]).unwrap().takes_stdout());
    }
}
