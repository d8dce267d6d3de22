//! Compares results with a baseline.

use netroxy_judge::verdict::{Judged, Listed, RunNote, Verdict};

use super::file::Baseline;
use super::list::Entry;
use super::seen::Seen;

/// Compares each result with a baseline.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison<'a> {
    baseline: &'a Baseline,
}

impl Baseline {
    /// A comparison of results with this baseline.
    pub(crate) fn comparison(&self) -> Comparison<'_> {
        Comparison { baseline: self }
    }
}

impl<'a> Comparison<'a> {
    /// Changes the verdict of a listed failure, or notes how the result differs from the list.
    pub(crate) fn judge(self, judged: &mut Judged) {
        let run = judged.id.split('#').next().unwrap_or_default();
        let listed: Vec<&Entry> = self.listed(run).collect();
        let Some(first) = listed.first() else {
            if judged.verdict == Verdict::Nonstrict {
                judged.notes.push(RunNote::Baseline(
                    "the baseline does not list it".to_owned(),
                ));
            }
            return;
        };
        let seen = Seen::of(judged);
        let alike = listed
            .iter()
            .find(|entry| Some(&entry.seen) == seen.as_ref());
        let entry = alike.unwrap_or(first);
        judged.listed = Some(Listed {
            got: entry.seen.got.clone(),
            why: entry.why.clone(),
        });
        match (alike, judged.verdict) {
            (Some(_), _) => judged.verdict = Verdict::KnownFailing,
            (None, Verdict::Pass) if entry.sometimes => {}
            (None, Verdict::Pass | Verdict::Skip) => {
                let skipped = judged.verdict == Verdict::Skip;
                let how = if skipped { "is skipped" } else { "passes" };
                judged.verdict = Verdict::UnexpectedPass;
                judged.notes.push(RunNote::Baseline(format!(
                    "listed as {}, and it {how}: remove its entry from {}",
                    entry.seen.verdict.name(),
                    self.baseline.file
                )));
            }
            (None, verdict) => {
                let now = seen.map_or_else(String::new, |seen| difference(&entry.seen, &seen));
                judged.notes.push(RunNote::Baseline(format!(
                    "not as listed in {}{now}",
                    self.baseline.file
                )));
                // A change fails the run, even if nonstrict behaviour does not.
                if verdict == Verdict::Nonstrict {
                    judged.verdict = Verdict::UnexpectedPass;
                }
            }
        }
    }

    fn listed(self, run: &str) -> impl Iterator<Item = &'a Entry> {
        let entries = self.baseline.list.entries.iter();
        entries.filter(move |entry| entry.run == run)
    }
}

/// The listed and the new text of each field that differs.
fn difference(listed: &Seen, now: &Seen) -> String {
    let mut text = String::new();
    let pairs = [
        ("verdict", listed.verdict.name(), now.verdict.name()),
        ("rules", &listed.rules.join(" "), &now.rules.join(" ")),
        ("expected", &listed.expected, &now.expected),
        ("got", &listed.got, &now.got),
    ];
    for (what, listed, now) in pairs.into_iter().filter(|(_, listed, now)| listed != now) {
        text.push_str(&format!(
            "\n  listed {what}  {listed}\n  now    {what}  {now}"
        ));
    }
    text
}
