//! `format`: writes case files in their canonical form.

use std::path::Path;

use netroxy_judge::input;
use netroxy_specification::notation::{parse, print};

use super::complaint::{Complaint, input_complaint, place_complaint, write_complaint};
use super::exit::{EXIT_FAILURE, EXIT_USAGE};
use crate::output::{Place, Readers};
use crate::report::listing;

const EXIT_CODES: &str = "Exit codes: 0 done (--check: all files are canonical), 1 --check: a file is not canonical, \
2 wrong usage, or a file that is not a case or cannot be written.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Format {
    /// Change no file; name those that are not canonical, and fail
    #[arg(long)]
    check: bool,
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
}

pub(super) fn execute(Format { check, files }: &Format) -> Result<u8, Complaint> {
    let usage = |file: &str, error: &dyn std::fmt::Display| {
        Complaint::new(EXIT_USAGE, format!("{file}: {error}"))
    };
    let mut changed = Vec::new();
    for file in files {
        let text = input::text(file).map_err(input_complaint)?;
        let case = parse(&text).map_err(|error| {
            let (line, column) = (error.line, error.column);
            let message = format!("expected {}, found {}", error.expected, error.found);
            usage(&format!("{file}:{line}:{column}"), &message)
        })?;
        let canonical = print(&case);
        if canonical != text {
            changed.push(file.clone());
            if !*check {
                let place = Place::find(Path::new(file), Readers::Usual);
                let place = place.map_err(|error| place_complaint(&error))?;
                let written = place.write(canonical.as_bytes());
                written.map_err(|error| write_complaint(file, &error))?;
            }
        }
    }
    Ok(listing::formatted(&changed, *check, EXIT_FAILURE))
}
