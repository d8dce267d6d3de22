//! The exit codes, and their texts in the help.

pub(super) const EXIT_FAILURE: u8 = 1;
pub(super) const EXIT_USAGE: u8 = 2;
pub(super) const EXIT_NOT_READY: u8 = 3;
pub(super) const EXIT_NOTHING: u8 = 4;
pub(super) const EXIT_HARNESS: u8 = 5;
pub(super) const EXIT_INTERRUPTED: u8 = 130;

/// The exit codes of commands that only list, print or write.
pub(super) const EXIT_LOOKED_UP: &str = "Exit codes: 0 done, 2 wrong usage or a file that cannot be used, 4 no match, \
5 the suite itself failed.";

/// The exit codes of commands that judge.
pub(super) const EXIT_CODES: &str = "Exit codes: 0 nothing unexpected, 1 a case failed, 2 wrong usage, manifest or case \
file, 3 the SUT never became ready, 4 no case was selected or all were skipped, 5 the suite itself failed, 130 \
interrupted.";
