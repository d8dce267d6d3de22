//! Tests the suite with peers that have known bugs.
//!
//! A case detects (kills) a bug only if the failing step judges the rule that the bug breaks. Another failure is not
//! enough.

mod mutant;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(crate) use mutant::Mutant;
use netroxy_judge::manifest::ManifestError;
use netroxy_judge::run::{self, Job, Options};
use netroxy_judge::verdict::Judged;
use netroxy_specification::catalog::Entry;
use netroxy_specification::notation::ast::Side;
use netroxy_specification::rules::Rule;
pub(crate) use table::{Table, listed};

/// The runs of all cases that judge the rules of these mutants, and the mutant of each subject's name.
///
/// # Errors
/// Never, because the manifests are embedded.
pub(crate) fn plan(
    mutants: &[Mutant],
    entries: &[Arc<Entry>],
    rules: &[Rule],
    options: Options,
) -> Result<(Vec<Job>, BTreeMap<String, Mutant>), ManifestError> {
    let (mut jobs, mut names) = (Vec::new(), BTreeMap::new());
    for mutant in mutants {
        let judges = |entry: &&Arc<Entry>| {
            let rules = &entry.case.rules.value;
            rules.iter().any(|rule| rule == mutant.bug.rule())
        };
        let judging: Vec<Arc<Entry>> = entries.iter().filter(judges).cloned().collect();
        for subject in mutant.subjects()? {
            names.insert(subject.name(), *mutant);
            jobs.extend(run::plan(&judging, &subject, rules, options));
        }
    }
    Ok((jobs, names))
}

/// Whether this result kills a mutant: a step that judges its rule did not come true, or was nonstrict.
pub(crate) fn kills(judged: &Judged, mutant: Mutant) -> bool {
    let rule = mutant.bug.rule();
    let broken = judged.broken.iter().flat_map(|broken| &broken.marks);
    let remarked = judged.remarks.iter().flat_map(|remark| &remark.marks);
    judged.verdict.is_red(true) && broken.chain(remarked).any(|id| id == rule)
}

/// Judged rules without a bug that breaks them, with the side that has none.
pub(crate) fn rules_without_bugs(rules: &[Rule]) -> Vec<(&str, Side)> {
    let mutants = Mutant::all();
    let sides = [Side::Server, Side::Client];
    let judged = rules.iter().filter(|rule| rule.unjudged.is_none());
    judged
        .flat_map(|rule| sides.map(|side| (rule, side)))
        .filter(|(rule, side)| rule.subject == "both" || rule.subject == side.to_string())
        .filter(|(rule, side)| {
            let breaks = |mutant: &Mutant| mutant.side == *side && mutant.bug.rule() == rule.id;
            !mutants.iter().any(breaks)
        })
        .map(|(rule, side)| (rule.id.as_str(), side))
        .collect()
}

/// Cases that kill no mutant.
pub(crate) fn idle<'a>(entries: &'a [Arc<Entry>], table: &Table) -> Vec<&'a str> {
    let busy: BTreeSet<&str> = table.cases().collect();
    let ids = entries.iter().map(|entry| entry.id.as_str());
    ids.filter(|id| !busy.contains(id)).collect()
}

#[cfg(test)]
mod tests {
    use netroxy_broken::Bug;
    use netroxy_specification::{catalog, rules};

    use super::*;

    #[test]
    fn every_bug_breaks_a_rule_that_binds_its_side() {
        let rules = rules::embedded().unwrap();
        for mutant in Mutant::all() {
            let rule = rules.iter().find(|rule| rule.id == mutant.bug.rule());
            let rule = rule.unwrap_or_else(|| panic!("{mutant} breaks no rule"));
            let bound = rule.subject == "both" || rule.subject == mutant.side.to_string();
            assert!(
                bound && rule.unjudged.is_none(),
                "{mutant} breaks {}",
                rule.id
            );
            assert_eq!(Bug::named(&mutant.bug.name()), Some(mutant.bug));
        }
    }

    #[test]
    fn every_rule_that_can_be_judged_has_a_bug() {
        assert_eq!(rules_without_bugs(&rules::embedded().unwrap()), []);
    }

    #[test]
    fn the_table_names_every_bug_and_every_case() {
        let entries: Vec<Arc<Entry>> = catalog::embedded()
            .unwrap()
            .into_values()
            .map(Arc::new)
            .collect();
        let (table, mutants) = (listed(), Mutant::all());
        for mutant in &mutants {
            assert!(
                table.killers(*mutant).next().is_some(),
                "bug {mutant} was not detected"
            );
        }
        for case in table.cases() {
            assert!(
                entries.iter().any(|entry| entry.id == case),
                "there is no case {case}"
            );
        }
        assert_eq!(idle(&entries, &table), [""; 0]);
        assert_eq!(table.text(&mutants), include_str!("selftest/kills.txt"));
    }
}
