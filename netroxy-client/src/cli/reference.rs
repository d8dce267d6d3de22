//! `docs/configuration.md` has every flag, command and variable.

use netroxy_manual::{flags, missing};

use super::command;
use crate::config::reference::reference_page::told_flags;

#[test]
fn the_page_has_every_flag_and_variable_and_no_other() {
    assert_eq!(told_flags("netroxy-client"), flags(&command()));
}

#[test]
fn the_manual_page_and_completions_name_every_flag() {
    assert_eq!(missing(&command()).unwrap(), [""; 0]);
}
