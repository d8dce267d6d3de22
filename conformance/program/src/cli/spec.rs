//! `spec`: prints the specification as a page.

use std::path::PathBuf;

use netroxy_specification::rules::Rule;

use super::complaint::{Complaint, place_complaint, write_complaint};
use super::exit::EXIT_LOOKED_UP;
use super::select::all;
use crate::output::{Place, Readers};
use crate::{html, report};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print one page with the rules, the grammar, the notation and all cases
    #[command(after_help = EXIT_LOOKED_UP)]
    Html {
        /// Write the page to a file instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

pub(super) fn execute(command: &Command, rules: &[Rule]) -> Result<u8, Complaint> {
    let Command::Html { out } = command;
    let place = out.as_deref().map(|path| Place::find(path, Readers::Usual));
    let place = place.transpose().map_err(|error| place_complaint(&error))?;
    let page = html::spec::render(rules, &all()?);
    match place {
        None => report::out(&page),
        Some(place) => place
            .write(page.as_bytes())
            .map_err(|error| write_complaint(&place.name(), &error))?,
    }
    Ok(0)
}
