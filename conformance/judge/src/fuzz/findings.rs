//! Merges the findings of several campaigns.

use std::collections::BTreeMap;
use std::path::Path;

use netroxy_specification::catalog::{self, CaseError};
use netroxy_specification::notation::ast::{Case, Line};

/// Merged findings: of those that are the same, only the shortest one is kept.
#[derive(Debug, Default)]
pub struct Findings {
    known: BTreeMap<FindingKey, Finding>,
    files: usize,
}

/// A case that a campaign has saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name of the file. No other finding has it.
    pub file: String,
    /// The text of the case.
    pub text: String,
    /// The kind of the failure, from the comment in the title line; else the title.
    pub what: String,
    /// How many files have this finding.
    pub times: usize,
    steps: usize,
}

/// What makes findings the same: role, transports, and kind of the failure.
type FindingKey = (String, String, String);

impl Findings {
    /// Adds a file that a campaign has saved. A shorter case replaces a longer one of the same finding.
    ///
    /// # Errors
    /// If the text is no case.
    pub fn add(&mut self, file: &str, text: String) -> Result<(), CaseError> {
        let entry = catalog::read(file, file, &text)?;
        let case = entry.case;
        let what = case
            .title
            .comment
            .as_ref()
            .unwrap_or(&case.title.value)
            .clone();
        let (key, steps) = (
            (case.role.value.to_string(), over(&case), what),
            steps(&case),
        );
        self.files += 1;
        if let Some(known) = self
            .known
            .get_mut(&key)
            .filter(|known| known.steps <= steps)
        {
            known.times += 1;
            return Ok(());
        }
        let before = self.known.remove(&key).map_or(0, |longer| longer.times);
        let name = Path::new(file).file_name().unwrap_or_default();
        let finding = Finding {
            file: self.free(&name.to_string_lossy()),
            text,
            what: key.2.clone(),
            times: before + 1,
            steps,
        };
        self.known.insert(key, finding);
        Ok(())
    }

    /// The findings, sorted by role, transport and kind.
    pub fn each(&self) -> impl Iterator<Item = &Finding> {
        self.known.values()
    }

    /// How many files were added.
    pub fn files(&self) -> usize {
        self.files
    }

    /// A free name for a file: this one, or this one with a number. Campaigns over different transports may have the
    /// same seeds.
    fn free(&self, name: &str) -> String {
        let stem = name.strip_suffix(".case").unwrap_or(name);
        let more = (2..).map(|count| format!("{stem}~{count}.case"));
        let mut tried = std::iter::once(name.to_owned()).chain(more);
        let is_free = |name: &String| self.known.values().all(|known| known.file != *name);
        tried.find(is_free).unwrap_or_default()
    }
}

fn over(case: &Case) -> String {
    let over = case.over.iter().flat_map(|over| &over.value);
    over.map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn steps(case: &Case) -> usize {
    let lines = case.body.iter().map(|line| match line {
        Line::Step(_) => 1,
        Line::Repeat(block) => block.body.len(),
        Line::Blank | Line::Comment(_) => 0,
    });
    lines.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(title: &str, head: &str, steps: usize) -> String {
        let lines = "ctl   > SRQ\n".repeat(steps);
        format!(
            "title    {title}\nrole     server\nrules    keep.srs\n{head}\nctl   connect server\n{lines}ctl   < SRS  [keep.srs]\n"
        )
    }

    #[test]
    fn of_the_same_findings_the_shortest_one_is_kept() {
        let mut findings = Findings::default();
        let mut add = |file: &str, text: String| findings.add(file, text).unwrap();
        let same = "session 7 of the fuzzer  # FAIL keep.srs < SRS";
        add("a/server-keep-srs-7.case", case(same, "", 3));
        add("b/server-keep-srs-9.case", case(same, "", 1));
        add("c/server-keep-srs-8.case", case(same, "", 2));
        add("b/server-keep-srs-7.case", case(same, "over     tls\n", 3));
        add("c/server-leak-x.case", case("x, 80 times", "", 1));
        add("b/server-leak-x.case", case("x, 80 times", "", 1));
        add(
            "a/server-crash-keep-srs-7.case",
            case("session 7  # CRASH keep.srs < SRS", "", 1),
        );
        assert_eq!(findings.files(), 7);
        let kept: Vec<(&str, usize)> = findings.each().map(|one| (&*one.file, one.times)).collect();
        assert_eq!(
            kept,
            [
                ("server-crash-keep-srs-7.case", 1),
                ("server-keep-srs-9.case", 3),
                ("server-leak-x.case", 2),
                ("server-keep-srs-7.case", 1),
            ]
        );
        assert!(findings.add("x.case", "title".to_owned()).is_err());
    }

    #[test]
    fn no_finding_overwrites_another() {
        let mut findings = Findings::default();
        for (folder, head) in [
            ("a", ""),
            ("b", "over     tls\n"),
            ("c", "over     plain\n"),
        ] {
            let text = case("session 7  # FAIL keep.srs < SRS", head, 1);
            findings.add(&format!("{folder}/x.case"), text).unwrap();
        }
        let mut names: Vec<&str> = findings.each().map(|one| &*one.file).collect();
        names.sort_unstable();
        assert_eq!(names, ["x.case", "x~2.case", "x~3.case"]);
    }
}
