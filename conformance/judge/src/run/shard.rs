//! Parts of a run that can be played separately, for example each on a machine of its own.

use std::cmp::Reverse;
use std::fmt;

use netroxy_specification::notation;
use ring::digest::{Context, SHA256};

use super::job::Job;
use super::order::length;
use crate::skip::Skip;

/// One of several parts of a run that take about equally long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Counted from 1.
    pub number: u16,
    /// How many parts there are.
    pub of: u16,
}

/// A text that does not name a part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("K/N, such as 2/5: N from 1 to {MOST}, and K from 1 to N")]
pub struct NotAShard;

impl Shard {
    /// Reads `K/N`, such as `2/5`.
    ///
    /// # Errors
    /// What is expected.
    pub fn parse(text: &str) -> Result<Self, NotAShard> {
        let wrong = || NotAShard;
        // A sign is no digit, although a number may have one.
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse::<u16>().map_err(|_| wrong()),
            false => Err(wrong()),
        };
        let (first, second) = text.split_once('/').ok_or_else(wrong)?;
        let (number, of) = (number(first)?, number(second)?);
        match (1..=MOST).contains(&of) && (1..=of).contains(&number) {
            true => Ok(Self { number, of }),
            false => Err(wrong()),
        }
    }

    /// The jobs of this part. Jobs are distributed from the longest to the shortest, one to each part in a round, and
    /// in reverse order of the parts in every second round. So the parts differ by at most one job, and by at most the
    /// length of the longest job. Skipped jobs are distributed last, so that every part has jobs to play. The order of
    /// `jobs` does not matter.
    pub fn part(self, jobs: Vec<Job>) -> Vec<Job> {
        let key = |at: &usize| {
            let job = &jobs[*at];
            let skipped = job.skip.is_some();
            (skipped, Reverse(length(job)), job.subject.name(), job.id())
        };
        let mut dealt: Vec<usize> = (0..jobs.len()).collect();
        dealt.sort_by_cached_key(key);
        let mut own = vec![false; jobs.len()];
        for (place, at) in dealt.into_iter().enumerate() {
            own[at] = self.gets(place);
        }
        let all = jobs.into_iter().zip(own);
        all.filter_map(|(job, own)| own.then_some(job)).collect()
    }

    /// The first seed and the number of sessions of this part, for a fuzzing run that begins with `seed` and has `runs`
    /// sessions. Without `runs` the first seeds of two parts are `2^45` apart, so that their seeds never overlap.
    pub fn seeds(self, seed: u64, runs: Option<u64>) -> (u64, Option<u64>) {
        let before = u64::from(self.number) - 1;
        let Some(runs) = runs else {
            return (seed.wrapping_add(before << APART), None);
        };
        let of = u128::from(self.of);
        let edge = |part: u64| {
            // The result is at most `runs`.
            u64::try_from(u128::from(runs) * u128::from(part) / of).unwrap_or(runs)
        };
        let (from, to) = (edge(before), edge(before + 1));
        (seed.wrapping_add(from), Some(to - from))
    }

    /// Whether this part gets the job at this place of the sorted jobs.
    fn gets(self, place: usize) -> bool {
        let (of, own) = (usize::from(self.of), usize::from(self.number) - 1);
        let (round, seat) = (place / of, place % of);
        match round % 2 {
            0 => seat == own,
            _ => seat == of - 1 - own,
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// A digest of all that decides the verdicts of a run: the steps of the cases and twins, the reasons of skipped jobs,
/// how long `still` is, and `more`. Two parts belong to the same run only if their fingerprints are equal.
pub fn fingerprint(jobs: &[Job], more: &str) -> String {
    let mut lines: Vec<[String; 6]> = jobs.iter().map(line).collect();
    lines.sort();
    let mut context = Context::new(&SHA256);
    // The length before each text makes the sequence of texts unambiguous.
    let mut add = |text: &str| {
        context.update(&text.len().to_le_bytes());
        context.update(text.as_bytes());
    };
    lines.iter().flatten().for_each(|text| add(text));
    add(more);
    let digest = context.finish();
    let bytes = digest.as_ref().iter().take(BYTES);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

fn line(job: &Job) -> [String; 6] {
    let twin = job.entry.twin.as_ref();
    [
        job.subject.name(),
        job.id(),
        job.entry.text.clone(),
        twin.map_or_else(String::new, |(_, twin)| notation::print(twin)),
        job.skip.as_ref().map_or_else(String::new, Skip::to_string),
        job.still.as_millis().to_string(),
    ]
}

/// How many parts a run may have. A run has not many more cases.
const MOST: u16 = 1000;

/// The first seeds of two parts are two to this power apart: a year of sessions at a million a second.
const APART: u32 = 45;

/// The length of a fingerprint. It detects mistakes, not attacks.
const BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use netroxy_specification::notation::ast::Side;
    use netroxy_specification::{catalog, rules};

    use super::*;
    use crate::peers;
    use crate::run::{Options, plan};
    use crate::sut::Subject;

    fn jobs(hardened: bool) -> Vec<Job> {
        let entries = catalog::embedded().unwrap();
        let entries: Vec<_> = entries.into_values().map(Arc::new).collect();
        let subject = Subject::Started(peers::reference(Side::Server).unwrap());
        let options = Options {
            hardened,
            jobs: 200,
            time_scale: 1.0,
            still: None,
        };
        let rules = rules::embedded().unwrap();
        plan(&entries, &Arc::new(subject), &rules, options)
    }

    fn part(number: u16, of: u16, jobs: Vec<Job>) -> Vec<Job> {
        Shard { number, of }.part(jobs)
    }

    #[test]
    fn every_job_is_in_one_part_and_the_parts_take_about_equally_long() {
        let all = jobs(false);
        let cost = |jobs: &[Job]| -> u64 {
            let played = jobs.iter().filter(|job| job.skip.is_none());
            played.map(length).sum()
        };
        let longest = all.iter().map(length).max().unwrap();
        for of in [1, 2, 3, 5, 16] {
            let parts: Vec<_> = (1..=of).map(|one| part(one, of, all.clone())).collect();
            let ids: BTreeSet<String> = parts.iter().flatten().map(Job::id).collect();
            let count: usize = parts.iter().map(Vec::len).sum();
            assert_eq!((ids.len(), count), (all.len(), all.len()), "{of}");
            let (most, least) = (
                parts.iter().map(Vec::len).max(),
                parts.iter().map(Vec::len).min(),
            );
            assert!(
                most.unwrap() - least.unwrap() <= 1,
                "{of}: {most:?} {least:?}"
            );
            let costs: Vec<u64> = parts.iter().map(|part| cost(part)).collect();
            let (most, least) = (costs.iter().max().unwrap(), costs.iter().min().unwrap());
            assert!(most - least <= longest, "{of}: {costs:?}, {longest}");
            let played = |jobs: &Vec<Job>| jobs.iter().any(|job| job.skip.is_none());
            assert!(parts.iter().all(played), "{of}");
        }
    }

    #[test]
    fn the_order_of_the_jobs_changes_neither_parts_nor_fingerprint() {
        let all = jobs(false);
        let ids =
            |jobs: Vec<Job>| -> BTreeSet<String> { part(2, 3, jobs).iter().map(Job::id).collect() };
        let mut turned = all.clone();
        turned.reverse();
        assert_eq!(fingerprint(&all, "x"), fingerprint(&turned, "x"));
        assert_eq!(ids(all), ids(turned));
    }

    #[test]
    fn a_fingerprint_changes_with_all_that_changes_verdicts() {
        let (all, wire) = (jobs(true), jobs(false));
        let mut seen = BTreeSet::from([
            fingerprint(&all, ""),
            fingerprint(&wire, ""),
            fingerprint(&all, "a baseline"),
            fingerprint(&all[1..], ""),
        ]);
        let mut longer = all.clone();
        longer[0].still *= 2;
        seen.insert(fingerprint(&longer, ""));
        let mut other = all;
        let entry = Arc::make_mut(&mut other[0].entry);
        entry.text.push_str("# one more line\n");
        seen.insert(fingerprint(&other, ""));
        assert_eq!(seen.len(), 6);
        assert!(seen.iter().all(|one| one.len() == 2 * BYTES));
    }

    #[test]
    fn the_parts_of_a_fuzzing_run_have_its_seeds_without_gaps() {
        for (runs, of) in [(10, 3), (3, 5), (1, 1), (u64::MAX, 1000)] {
            let mut next = u64::MAX - 2;
            for number in 1..=of {
                let (seed, own) = Shard { number, of }.seeds(u64::MAX - 2, Some(runs));
                assert_eq!(seed, next);
                next = next.wrapping_add(own.unwrap());
            }
            assert_eq!(next, (u64::MAX - 2).wrapping_add(runs));
        }
        let open = |number| Shard { number, of: 1000 }.seeds(7, None);
        assert_eq!(open(1), (7, None));
        assert!(open(1000).0 > open(999).0 && open(2).0 > 1 << 44);
    }

    #[test]
    fn a_part_is_written_as_two_numbers() {
        let read = Shard::parse("2/5").unwrap();
        assert_eq!(
            (read.number, read.of, read.to_string().as_str()),
            (2, 5, "2/5")
        );
        assert!(Shard::parse("1000/1000").is_ok());
        for wrong in [
            "", "2", "0/5", "6/5", "1/0", "/", "1/", "+1/5", "1/-5", "a/b", "1/1001", "1/2/3",
        ] {
            assert!(Shard::parse(wrong).is_err(), "{wrong}");
        }
    }
}
