//! The findings of several hunts, brought together.

use std::collections::BTreeMap;
use std::path::Path;

use netroxy_specification::catalog::{self, CaseError};
use netroxy_specification::notation::ast::{Case, Line};

/// Findings of which each is there once.
#[derive(Debug, Default)]
pub struct Findings {
    known: BTreeMap<Key, Finding>,
    files: usize,
}

/// A case that a hunt has saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name of its file, which no other finding has.
    pub file: String,
    pub text: String,
    /// What went wrong.
    pub what: String,
    /// How often it was found.
    pub times: usize,
    steps: usize,
}

/// Role, transports, and what went wrong.
type Key = (String, String, String);

impl Findings {
    /// Adds what a hunt has saved. What it says behind its title tells whether it is known; a shorter case takes the place
    /// of a longer one.
    ///
    /// # Errors
    /// When it is no case.
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

    /// What is left, in the order of role, transport and kind.
    pub fn each(&self) -> impl Iterator<Item = &Finding> {
        self.known.values()
    }

    /// How many were added.
    pub fn files(&self) -> usize {
        self.files
    }

    /// The name, or one like it: hunts over different transports may have the same seeds.
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
    fn what_is_the_same_is_kept_once_and_the_shortest_of_it() {
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
