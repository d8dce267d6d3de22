//! `docs/configuration.md` knows every flag and command.

use clap::CommandFactory;

use crate::config::reference::reference_page::{flags, manual_is_whole, told_flags};

use super::Cli;

#[test]
fn the_page_knows_every_flag_and_no_other() {
    assert_eq!(told_flags("netroxy-server"), flags(&Cli::command()));
}

#[test]
fn the_manual_page_and_completions_name_every_flag() {
    manual_is_whole(&Cli::command());
}
