//! The table of the cases that kill each mutant.

use std::collections::{BTreeMap, BTreeSet};

use super::mutant::Mutant;

/// The cases that kill each mutant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table(BTreeMap<String, BTreeSet<String>>);

/// The reviewed table.
pub(crate) fn listed() -> Table {
    let mut table = Table::default();
    for line in include_str!("kills.txt").lines() {
        if let Some((mutant, cases)) = line.split_once(": ") {
            let mutant = mutant
                .rsplit_once(' ')
                .map_or(mutant, |(mutant, _rule)| mutant);
            let cases = cases.split(' ').map(str::to_owned).collect();
            table.0.insert(mutant.to_owned(), cases);
        }
    }
    table
}

impl Table {
    /// These mutants, without cases that kill them.
    pub(crate) fn of(mutants: &[Mutant]) -> Self {
        let names = mutants
            .iter()
            .map(|mutant| (mutant.to_string(), BTreeSet::new()));
        Self(names.collect())
    }

    /// Adds a case that kills a mutant.
    pub(crate) fn add(&mut self, mutant: Mutant, case: &str) {
        self.0
            .entry(mutant.to_string())
            .or_default()
            .insert(case.to_owned());
    }

    /// Keeps only the cases that are in both tables.
    pub(crate) fn keep(&mut self, other: &Self) {
        for (mutant, cases) in &mut self.0 {
            cases.retain(|case| other.has(mutant, case));
        }
    }

    /// The cases that kill a mutant.
    pub(crate) fn killers(&self, mutant: Mutant) -> impl Iterator<Item = &str> {
        self.0
            .get(&mutant.to_string())
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// Every case that kills a mutant.
    pub(crate) fn cases(&self) -> impl Iterator<Item = &str> {
        self.0.values().flatten().map(String::as_str)
    }

    /// The entries (mutant and case) of this table that the other lacks, of mutants that are in both tables.
    pub(crate) fn beyond<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let both = self
            .0
            .iter()
            .filter(|(mutant, _)| other.0.contains_key(*mutant));
        both.flat_map(|(mutant, cases)| {
            cases
                .iter()
                .map(move |case| (mutant.as_str(), case.as_str()))
        })
        .filter(|(mutant, case)| !other.has(mutant, case))
    }

    fn has(&self, mutant: &str, case: &str) -> bool {
        self.0.get(mutant).is_some_and(|cases| cases.contains(case))
    }

    /// The text of the table: a line for each mutant, with its rule.
    pub(crate) fn text(&self, mutants: &[Mutant]) -> String {
        let mut lines: Vec<String> = mutants
            .iter()
            .map(|mutant| {
                let cases: Vec<&str> = self.killers(*mutant).collect();
                format!("{mutant} {}: {}\n", mutant.bug.rule(), cases.join(" "))
            })
            .collect();
        lines.sort();
        lines.concat()
    }
}
