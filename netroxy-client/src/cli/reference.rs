//! `docs/configuration.md` knows every flag, command and variable.

use crate::config::reference::reference_page::{flags, told_flags};

use super::command;

#[test]
fn the_page_knows_every_flag_and_variable_and_no_other() {
    assert_eq!(told_flags("netroxy-client"), flags(&command()));
}
