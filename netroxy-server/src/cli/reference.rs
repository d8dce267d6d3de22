//! `docs/configuration.md` knows every flag and command.

use clap::CommandFactory;

use crate::config::reference::reference_page::{flags, told_flags};

use super::Cli;

#[test]
fn the_page_knows_every_flag_and_no_other() {
    assert_eq!(told_flags("netroxy-server"), flags(&Cli::command()));
}
