//! Finds rules by their ids, and the cases that judge a rule.

use std::sync::Arc;

use netroxy_specification::catalog::Entry;
use netroxy_specification::rules::{self, Rule};

/// The rules with these ids.
pub(super) fn cited<'a>(ids: &'a [String], rules: &'a [Rule]) -> impl Iterator<Item = &'a Rule> {
    ids.iter()
        .filter_map(|id| rules.iter().find(|rule| rule.id == *id))
}

/// Id, level and place of a rule, such as `keep.srs MUST  spec/v0.3/netroxy.md:123`.
pub(super) fn place(rule: &Rule) -> String {
    format!("{} {}  {}:{}", rule.id, rule.level, rules::FILE, rule.line)
}

/// The cases that judge the rule with this id.
pub(super) fn citing<'a>(
    id: &'a str,
    entries: &'a [Arc<Entry>],
) -> impl Iterator<Item = &'a Arc<Entry>> {
    entries
        .iter()
        .filter(move |entry| entry.case.rules.value.iter().any(|rule| rule == id))
}
