//! `docs/configuration.md` lists every flag and command.

use clap::CommandFactory;
use netroxy_manual::{flags, missing};

use super::Cli;
use crate::config::reference::reference_page::told_flags;

#[test]
fn the_page_lists_every_flag_and_no_other() {
    assert_eq!(told_flags("netroxy-server"), flags(&Cli::command()));
}

#[test]
fn the_manual_page_and_completions_name_every_flag() {
    assert_eq!(missing(&Cli::command()).unwrap(), [""; 0]);
}
