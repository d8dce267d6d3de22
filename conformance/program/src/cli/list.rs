//! `list`: lists cases, rules, programs, baselines or vectors.

use std::sync::Arc;

use clap::ValueEnum;
use netroxy_judge::manifest;
use netroxy_specification::catalog::Entry;
use netroxy_specification::notation::ast::Role;
use netroxy_specification::rules::Rule;

use super::arguments::Profile;
use super::complaint::Complaint;
use super::exit::{EXIT_LOOKED_UP, EXIT_NOTHING, EXIT_USAGE};
use super::role::RoleName;
use super::select::{all, names_like};
use crate::baseline;
use crate::pattern::Pattern;
use crate::report::listing;

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_LOOKED_UP)]
pub(super) struct List {
    #[arg(value_enum)]
    what: Listed,
    /// Only these cases or rules: names, folders of cases or areas of rules, also as patterns with `*`
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Only cases of this role, or rules that bind it; for `pair`, rules that its cases judge
    #[arg(long, value_enum)]
    role: Option<RoleName>,
    /// Only cases and rules of this profile [default: all]
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Listed {
    Cases,
    Rules,
    /// Built-in manifests
    Sut,
    /// Built-in baselines
    Baselines,
    /// Test vectors of the codec
    Vectors,
}

pub(super) fn execute(list: &List, rules: &[Rule]) -> Result<u8, Complaint> {
    let filtered = !list.ids.is_empty() || list.role.is_some() || list.profile.is_some();
    if filtered && !matches!(list.what, Listed::Cases | Listed::Rules) {
        let message = "only cases and rules can be filtered";
        return Err(Complaint::new(EXIT_USAGE, message).hint("use `list cases` or `list rules`"));
    }
    Ok(match list.what {
        Listed::Cases => listing::cases(&list.cases(rules)?, list.json),
        Listed::Sut => listing::built_in(&manifest::BUILT_IN, list.json),
        Listed::Baselines => listing::built_in(&baseline::BUILT_IN, list.json),
        Listed::Rules => listing::rules(&list.rules(rules)?, &all()?, list.json),
        Listed::Vectors => super::vectors::list(list.json)?,
    })
}

impl List {
    fn cases(&self, rules: &[Rule]) -> Result<Vec<Arc<Entry>>, Complaint> {
        let mut entries = all()?;
        self.known(
            |pattern| entries.iter().any(|entry| pattern.entry(entry)),
            rules,
        )?;
        let role = self.role.map(Role::from);
        let hardened = |id: &String| rules.iter().any(|rule| rule.id == *id && !rule.is_wire());
        entries.retain(|entry| {
            let case = &entry.case;
            self.wants(|pattern| pattern.entry(entry))
                && role.is_none_or(|role| case.role.value == role)
                && (self.profile != Some(Profile::Wire) || !case.rules.value.iter().any(hardened))
        });
        some(entries)
    }

    fn rules(&self, rules: &[Rule]) -> Result<Vec<Rule>, Complaint> {
        self.known(
            |pattern| rules.iter().any(|rule| pattern.rule(&rule.id)),
            rules,
        )?;
        let entries = all()?;
        let of_pairs = |rule: &Rule| {
            let mut pairs = entries
                .iter()
                .filter(|entry| entry.case.role.value == Role::Pair);
            pairs.any(|entry| entry.case.rules.value.contains(&rule.id))
        };
        let binds = |rule: &&Rule| match self.role {
            None => true,
            Some(RoleName::Server) => rule.subject != "client",
            Some(RoleName::Client) => rule.subject != "server",
            Some(RoleName::Pair) => of_pairs(rule),
        };
        let found = rules
            .iter()
            .filter(|rule| self.wants(|pattern| pattern.rule(&rule.id)))
            .filter(binds)
            .filter(|rule| self.profile != Some(Profile::Wire) || rule.is_wire());
        some(found.cloned().collect())
    }

    /// Whether one of the words selects it; without words, everything is selected.
    fn wants(&self, means: impl Fn(Pattern<'_>) -> bool) -> bool {
        self.ids.is_empty() || self.ids.iter().any(|id| means(Pattern::new(id)))
    }

    /// An error if a word selects nothing.
    fn known(&self, means: impl Fn(Pattern<'_>) -> bool, rules: &[Rule]) -> Result<(), Complaint> {
        match self.ids.iter().find(|id| !means(Pattern::new(id))) {
            None => Ok(()),
            Some(id) => {
                let complaint = Complaint::new(EXIT_NOTHING, format!("nothing matches `{id}`"));
                Err(complaint.hint(names_like(id, &all()?, rules)))
            }
        }
    }
}

fn some<T>(found: Vec<T>) -> Result<Vec<T>, Complaint> {
    match found.is_empty() {
        false => Ok(found),
        true => Err(Complaint::new(
            EXIT_NOTHING,
            "no case or rule matches these filters",
        )),
    }
}
