//! The text of the specification: it cites existing rules and files, shows the real cases, and is in order.

#![allow(
    clippy::unwrap_used,
    reason = "clippy only excuses the bodies of tests, not their helpers"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use netroxy_specification::{catalog, rules};

/// If this variable is set, the list of rules and the cases in the text are written again from their sources.
const WRITE: &str = "NETROXY_WRITE_RULES";

#[test]
fn the_list_of_rules_equals_the_rules_of_the_text() {
    let path = revision().join("rules.json");
    let rules = rules::embedded().unwrap();
    let wanted = serde_json::to_string_pretty(&rules).unwrap() + "\n";
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, wanted).unwrap();
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "{} is not what the text says: {WRITE}=1 cargo test -p netroxy-conformance --test spec writes it anew",
        path.display()
    );
}

#[test]
fn every_case_in_the_text_equals_the_case_file() {
    let entries = catalog::embedded().unwrap();
    let mut shown = BTreeSet::new();
    let page = Page::normative();
    let blocks = page.blocks();
    if std::env::var_os(WRITE).is_some() {
        let mut text = page.text.clone();
        for block in &blocks {
            let entry = block
                .kind
                .strip_prefix("case ")
                .and_then(|id| entries.get(id));
            if let Some(entry) = entry {
                text = text.replace(&block.text, &entry.text);
            }
        }
        fs::write(&page.path, text).unwrap();
        return;
    }
    for block in &blocks {
        let Some(id) = block.kind.strip_prefix("case ") else {
            continue;
        };
        let entry = entries
            .get(id)
            .unwrap_or_else(|| panic!("netroxy.md:{}: there is no case {id}", block.line));
        assert!(
            block.text == entry.text,
            "netroxy.md:{}: not as in {}; {WRITE}=1 copies it",
            block.line,
            entry.file
        );
        assert!(shown.insert(id), "{id} is shown twice");
    }
    assert!(shown.len() >= 8, "{shown:?}");
}

#[test]
fn every_rule_that_a_page_names_exists() {
    let rules = rules::embedded().unwrap();
    let ids: BTreeSet<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
    let areas: BTreeSet<&str> = ids.iter().filter_map(|id| id.split('.').next()).collect();
    let mut cited = BTreeSet::new();
    for page in pages() {
        for (line, number) in page.text.lines().zip(1..) {
            let id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._/".contains(c);
            for word in line.split(|c| !id(c)).map(|word| word.trim_matches('.')) {
                if word
                    .split_once('.')
                    .is_some_and(|(area, _)| areas.contains(area))
                {
                    assert!(ids.contains(word), "{}: {word}", page.place(number));
                    cited.insert(word.to_owned());
                }
            }
        }
    }
    assert!(cited.len() >= ids.len(), "each rule names itself");
}

#[test]
fn rules_are_written_in_one_page_only() {
    for page in pages().iter().filter(|page| !page.is_normative()) {
        assert_eq!(rules::extract(&page.text), Ok(vec![]), "{}", page.name());
    }
}

#[test]
fn headings_are_numbered_one_after_the_other() {
    let page = Page::normative();
    let (mut chapter, mut section) = (0, 0);
    for (line, heading) in page.headings().into_iter().skip(1) {
        let wanted = if heading.starts_with("## ") {
            (chapter, section) = (chapter + 1, 0);
            format!("## {chapter}. ")
        } else {
            section += 1;
            format!("### {chapter}.{section}. ")
        };
        let place = page.place(line);
        assert!(
            heading.starts_with(&wanted),
            "{place}: {heading:?} is not {wanted:?}"
        );
    }
    assert!(chapter > 10, "{chapter}");
}

#[test]
fn every_link_has_a_target() {
    let mut links = 0;
    for page in pages() {
        for (line, target) in page.links() {
            let place = page.place(line);
            if target.starts_with("https://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = if file.is_empty() {
                page.path.clone()
            } else {
                page.path.parent().unwrap().join(file)
            };
            assert!(path.exists(), "{place}: there is no {}", path.display());
            if !anchor.is_empty() {
                let anchors = Page::read(&path).anchors();
                assert!(anchors.contains(anchor), "{place}: no heading #{anchor}");
            }
            links += 1;
        }
    }
    assert!(links > 10, "{links}");
}

#[test]
fn lines_are_short_enough_to_read() {
    let wide = ["notation.md", "originals.md"];
    for page in pages()
        .iter()
        .filter(|page| !wide.contains(&page.name().as_str()))
    {
        for (line, number) in page.text.lines().zip(1..) {
            let length = line.chars().count();
            let fits = length <= 120 || line.starts_with('|');
            assert!(fits, "{}: {length} characters", page.place(number));
        }
    }
}

/// A keyword is only in a rule, or in quotes in its definition.
#[test]
fn keywords_are_only_in_rules_and_only_in_capitals() {
    let page = Page::normative();
    let sentences: String = rules::embedded()
        .unwrap()
        .iter()
        .map(|rule| rule.text.clone())
        .collect();
    for (number, line) in page.prose() {
        let unquoted: String = line.split('"').step_by(2).collect();
        let in_rule = !line.is_empty() && sentences.contains(line);
        for word in unquoted.split(|c: char| !c.is_ascii_alphabetic()) {
            let is_keyword = ["MUST", "SHOULD", "SHALL", "MAY"].contains(&word);
            let is_shadow = ["must", "should", "shall", "may"]
                .contains(&word.to_ascii_lowercase().as_str())
                && !is_keyword;
            let place = page.place(number);
            assert!(in_rule || !is_keyword, "{place}: {word} outside of a rule");
            assert!(
                !is_shadow,
                "{place}: {word}: write a rule with the keyword, or use another word"
            );
        }
    }
}

/// The folder of all pages.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec")
}

/// The folder of the revision that is judged.
fn revision() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(rules::FOLDER)
}

fn pages() -> Vec<Page> {
    let mut found = Vec::new();
    for folder in [folder(), revision()] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push(Page::read(&path));
            }
        }
    }
    assert!(found.len() >= 3, "{}", found.len());
    found
}

/// A Markdown file.
struct Page {
    path: PathBuf,
    text: String,
}

/// A block between fences.
struct Block {
    line: usize,
    kind: String,
    text: String,
}

impl Page {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path);
        Self {
            path: path.to_owned(),
            text: text.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        }
    }

    fn normative() -> Self {
        Self::read(&revision().join("netroxy.md"))
    }

    fn is_normative(&self) -> bool {
        self.name() == "netroxy.md"
    }

    fn name(&self) -> String {
        self.path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned()
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    fn blocks(&self) -> Vec<Block> {
        let mut found: Vec<Block> = Vec::new();
        let mut open = false;
        for (line, number) in self.text.lines().zip(1..) {
            match line.strip_prefix("```") {
                Some(_) if open => open = false,
                Some(kind) => {
                    open = true;
                    found.push(Block {
                        line: number,
                        kind: kind.to_owned(),
                        text: String::new(),
                    });
                }
                None if open => {
                    let block = found.last_mut().unwrap();
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                None => {}
            }
        }
        assert!(!open, "{}: a fence is not closed", self.name());
        found
    }

    /// The lines outside of fences, counted from 1.
    fn prose(&self) -> Vec<(usize, &str)> {
        let mut fenced = false;
        let outside = |(_, line): &(usize, &str)| {
            let fence = line.starts_with("```");
            fenced ^= fence;
            !fenced && !fence
        };
        (1..).zip(self.text.lines()).filter(outside).collect()
    }

    fn headings(&self) -> Vec<(usize, &str)> {
        let mut lines = self.prose();
        lines.retain(|(_, line)| line.starts_with('#'));
        lines
    }

    /// The names of headings in links: lower case, no punctuation, hyphens for blanks.
    fn anchors(&self) -> BTreeSet<String> {
        let headings = self.headings();
        let titles = headings
            .iter()
            .map(|(_, line)| line.trim_start_matches('#').trim());
        titles
            .map(|title| {
                let kept = title
                    .chars()
                    .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
                kept.collect::<String>().to_lowercase().replace(' ', "-")
            })
            .collect()
    }

    /// Targets of `[text](target)`, with their lines.
    fn links(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (number, line) in self.prose() {
            for part in line.split("](").skip(1) {
                let target = part.split(')').next().unwrap();
                found.push((number, target.to_owned()));
            }
        }
        found
    }
}
