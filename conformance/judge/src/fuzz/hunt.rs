//! Plays sessions against a program, and makes of what goes wrong findings that can be read and replayed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use std::{fmt, io};

use netroxy_specification::notation::ast::{Side, Transport};
use netroxy_specification::notation::{self};
use netroxy_specification::rules::Rule;
use tokio_util::sync::CancellationToken;

use super::Plan;
use super::act::Kind;
use super::beside::Beside;
use super::finding::{Catch, Key, truncated};
use super::leak::{Burst, TURNS, growth};
use super::shrink::shrink;
use super::stage::{Played, Stage};
use crate::run::{Job, Options};
use crate::sut::Subject;
use crate::times::Tempo;
use crate::verdict::{Judged, Verdict};
use crate::wire::Tls;

/// Where findings are saved, and how they are shown.
pub trait Shelf: fmt::Debug + Send + Sync {
    /// Where a file of this name is saved, as people read it.
    fn path(&self, name: &str) -> PathBuf;

    /// Saves a finding as a file of this name.
    ///
    /// # Errors
    /// Why it could not be written.
    fn save(&self, name: &str, text: &str) -> io::Result<()>;

    /// What a report says about a session that has failed.
    fn report(&self, job: &Job, judged: &Judged, options: Options) -> String;
}

/// What is hunted for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Who is judged.
    pub side: Side,
    /// What its connections are.
    pub transport: Transport,
    /// The first seed; the next sessions have the next ones.
    pub seed: u64,
    /// So many sessions, and no others than those of the next seeds.
    pub runs: Option<u64>,
    /// When no further session starts.
    pub time: Option<Duration>,
    /// How many sessions are played at a time.
    pub jobs: usize,
    /// Rules beyond those of the wire profile count too.
    pub hardened: bool,
    /// What is allowed but not recommended counts too.
    pub strict: bool,
    /// Where findings are saved.
    pub out: Arc<dyn Shelf>,
    /// Every deadline is multiplied by it.
    pub time_scale: f64,
}

/// A hunt that goes on.
#[derive(Debug)]
pub struct Hunt<'a> {
    stage: Arc<Stage>,
    rules: &'a [Rule],
    known: Vec<(Key, u64)>,
    /// What ends in findings that are known.
    culprits: BTreeSet<Kind>,
    hunted: Hunted,
    /// The first case that could not be saved, and why.
    unsaved: OnceLock<String>,
}

/// What a hunt has come to.
#[derive(Debug, Clone, Default)]
pub struct Hunted {
    /// Sessions that were played, those that made findings small not counted.
    pub sessions: u64,
    /// The steps of these sessions.
    pub steps: u64,
    /// What was found and reproduced 3 of 3.
    pub findings: u64,
    /// What was seen once and did not come 3 times of 3 again.
    pub elusive: u64,
    /// Sessions in which something was wrong.
    pub failed: u64,
    /// Things that the program keeps, or needs more and more of.
    pub leaks: u64,
    /// Sessions that the suite could not play.
    pub unplayed: u64,
    /// How long it took.
    pub took: Duration,
    /// Why the suite could not do its part, if that has happened.
    pub harness: Option<String>,
    /// The first case that could not be saved, and why.
    pub unsaved: Option<String>,
    /// Somebody has stopped it.
    pub interrupted: bool,
}

/// What a hunt is at.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// New sessions are played.
    Hunting(&'a Hunted),
    /// What was found is played again and made small: which of them, and how many there are.
    Shrinking(usize, usize),
    /// The program is asked for the same thing many times.
    Leaks,
}

impl fmt::Display for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hunting(hunted) => write!(
                f,
                "{} sessions, {} steps, something wrong in {}",
                hunted.sessions, hunted.steps, hunted.failed
            ),
            Self::Shrinking(at, of) => write!(f, "playing finding {at} of {of} again"),
            Self::Leaks => f.write_str("looking for leaks"),
        }
    }
}

impl<'a> Hunt<'a> {
    /// Nothing has been played yet.
    pub fn new(
        wanted: Wanted,
        subject: Arc<Subject>,
        rules: &'a [Rule],
        tls: &Tls,
        tempo: Tempo,
        stop: CancellationToken,
    ) -> Self {
        let stage = Stage {
            wanted,
            subject,
            tls: tls.clone(),
            tempo,
            stop,
            begun: Instant::now(),
        };
        Self {
            stage: Arc::new(stage),
            rules,
            known: Vec::new(),
            culprits: BTreeSet::new(),
            hunted: Hunted::default(),
            unsaved: OnceLock::new(),
        }
    }

    /// Hunts until time or sessions are used up; `say` gets each finding as text, `progress` how far it is.
    pub async fn run(
        mut self,
        mut say: impl FnMut(&str),
        mut progress: impl FnMut(Progress<'_>),
    ) -> Hunted {
        let mut next = self.stage.wanted.seed;
        let mut caught: Vec<Vec<Catch>> = Vec::new();
        let mut long = Beside::default();
        progress(Progress::Hunting(&self.hunted));
        loop {
            let plans = self.choose(&mut next);
            let over = plans.is_empty() || self.stage.stop.is_cancelled();
            let (slow, quick): (Vec<Plan>, Vec<Plan>) =
                plans.into_iter().partition(|plan| plan.long);
            long.play(&self.stage, slow);
            let played = self.stage.play(&quick).await;
            for (plan, played) in quick.into_iter().zip(played) {
                self.note(plan, played, &mut caught, &mut say);
            }
            self.hunted.took = self.stage.begun.elapsed();
            progress(Progress::Hunting(&self.hunted));
            // The machine does not bear any number of them.
            let most = if over {
                0
            } else {
                BESIDE * self.stage.wanted.jobs
            };
            while let Some(some) = long.done(most).await {
                match some {
                    Ok(some) => {
                        for (plan, played) in some {
                            self.note(plan, played, &mut caught, &mut say);
                        }
                    }
                    Err(why) => self.hunted.harness = Some(why),
                }
                self.hunted.took = self.stage.begun.elapsed();
                progress(Progress::Hunting(&self.hunted));
            }
            if over {
                break;
            }
        }
        say("\n");
        let mut rest = caught.iter();
        let mut at = 0;
        // Most of the time is spent waiting for what does not come.
        while let Some(first) = rest.next() {
            progress(Progress::Shrinking(at + 1, caught.len()));
            at += 3;
            let (second, third) = (rest.next(), rest.next());
            let each = tokio::join!(
                self.find_any(Some(first)),
                self.find_any(second),
                self.find_any(third)
            );
            for (text, reproduced) in [each.0, each.1, each.2].into_iter().flatten() {
                self.hunted.findings += u64::from(reproduced);
                self.hunted.elusive += u64::from(!reproduced);
                say(&text);
            }
        }
        if self.stage.wanted.runs.is_none() {
            progress(Progress::Leaks);
            self.leaks(&mut say).await;
        }
        self.hunted.took = self.stage.begun.elapsed();
        self.hunted.interrupted = self.stage.stop.is_cancelled();
        self.hunted.unsaved = self.unsaved.take();
        for (key, times) in self.known.iter().filter(|(_, times)| *times > 1) {
            say(&format!("seen {times} times: {key}\n"));
        }
        self.hunted
    }

    /// What has come of a session, if it has not been interrupted.
    fn note(
        &mut self,
        plan: Plan,
        played: Option<Played>,
        caught: &mut Vec<Vec<Catch>>,
        say: &mut impl FnMut(&str),
    ) {
        let Some(Played {
            judged,
            steps,
            after,
        }) = played
        else {
            return;
        };
        self.hunted.sessions += 1;
        self.hunted.steps += steps;
        if matches!(judged.verdict, Verdict::Harness | Verdict::NotReady) {
            self.hunted.harness = judged.reason.map(|reason| reason.to_string());
            self.hunted.unplayed += 1;
            return;
        }
        let Some(key) = Key::of(&judged, &self.stage.wanted, self.rules) else {
            return;
        };
        self.hunted.failed += 1;
        let catch = Catch {
            plan: truncated(plan, &judged),
            key,
            judged,
            after,
            sessions: self.hunted.sessions,
        };
        if let Some(at) = self.known.iter().position(|(known, _)| *known == catch.key) {
            self.known[at].1 += 1;
            // One of them may come again more surely than another.
            if caught[at].len() < 3 {
                caught[at].push(catch);
            }
        } else {
            say(&format!("      {catch}\n"));
            // What comes to this act again would most likely end there too.
            self.culprits.extend(catch.culprit());
            self.known.push((catch.key.clone(), 1));
            caught.push(vec![catch]);
        }
    }

    /// The next sessions. When findings are known, most sessions that lead to them again are passed over.
    fn choose(&self, next: &mut u64) -> Vec<Plan> {
        let mut plans = Vec::new();
        let over = self
            .stage
            .wanted
            .time
            .is_some_and(|time| self.stage.begun.elapsed() >= time);
        let mut tries = 0;
        while plans.len() < self.stage.wanted.jobs && !over {
            if self
                .stage
                .wanted
                .runs
                .is_some_and(|runs| next.wrapping_sub(self.stage.wanted.seed) >= runs)
            {
                break;
            }
            let plan = Plan::of(self.stage.wanted.side, *next);
            *next = next.wrapping_add(1);
            tries += 1;
            let known = plan
                .acts
                .iter()
                .any(|act| self.culprits.contains(&act.kind));
            // What a number of sessions is asked for is exactly these.
            let passed_over = known && !next.is_multiple_of(8);
            if self.stage.wanted.runs.is_some() || !passed_over || tries > 4000 {
                plans.push(plan);
            }
        }
        plans
    }

    /// The first of some catches of one kind that can be reproduced, else the last of them.
    async fn find_any(&self, catches: Option<&Vec<Catch>>) -> Option<(String, bool)> {
        let mut found = None;
        for catch in catches? {
            let (text, reproduced) = self.find(catch).await;
            found = Some((text, reproduced));
            if reproduced {
                break;
            }
        }
        found
    }

    /// Reproduces, shrinks, saves; what is to be said about it, and whether it came 3 times of 3.
    async fn find(&self, catch: &Catch) -> (String, bool) {
        let Catch {
            plan,
            key,
            judged,
            after,
            sessions,
        } = catch;
        let found = format!(
            "found after {:.1} s and {sessions} sessions, seed {}",
            after.as_secs_f64(),
            plan.seed
        );
        if self.stage.stop.is_cancelled() {
            let text = self.save(plan, key, judged);
            return (
                format!("{text}           {found}, not reproduced: interrupted\n\n"),
                false,
            );
        }
        // What crashes may be a race: it need not come each time.
        let tries = match key.verdict {
            Verdict::Crash => TRIES,
            _ => 1,
        };
        let (again, plays) = self.shown(&vec![plan.clone(); 3], key, tries).await;
        let seen = again.iter().filter(|shown| shown.is_some()).count();
        if seen < 3 {
            let text = self.save(plan, key, judged);
            return (
                format!(
                    "{text}           {found}, came {seen} times in {plays} plays: not reproducible\n\n"
                ),
                false,
            );
        }
        let fewer = if plays > 3 { tries / 2 } else { 1 };
        let small = shrink(plan.clone(), async |plans: &[Plan]| {
            let (shown, _) = self.shown(plans, key, fewer).await;
            shown.iter().map(Option::is_some).collect()
        })
        .await;
        let (last, played) = self.shown(&vec![small.clone(); 3], key, tries).await;
        let (small, judged, plays) = match last.into_iter().collect::<Option<Vec<_>>>() {
            Some(three) => {
                let first = three.into_iter().next();
                (&small, first.unwrap_or_else(|| judged.clone()), played)
            }
            // It was small by chance.
            None => (plan, judged.clone(), plays),
        };
        let text = self.save(small, key, &judged);
        let (acts, before) = (small.acts.len(), Plan::of(plan.side, plan.seed).acts.len());
        (
            format!(
                "{text}           {found}, reproduced 3 times in {plays} plays, {acts} of {before} acts\n\n"
            ),
            true,
        )
    }

    /// Looks for what a program keeps, or needs more and more of.
    async fn leaks(&mut self, say: &mut impl FnMut(&str)) {
        for burst in Burst::all(self.stage.wanted.side) {
            let jobs = TURNS.map(|turns| {
                let case = self
                    .stage
                    .case(&burst.text(turns), burst.name.to_owned(), "");
                case.map(|entry| self.stage.job(entry))
            });
            let [Some(few), Some(many)] = jobs else {
                continue;
            };
            let file = format!("{}-leak-{}.case", self.stage.wanted.side, burst.name);
            let path = self.stage.wanted.out.path(&file);
            let text = many.entry.text.clone();
            let looked = self
                .stage
                .stop
                .run_until_cancelled(growth([few, many], &self.stage.tls));
            let Some(Some(found)) = looked.await else {
                continue;
            };
            let Some(first) = found.first() else { continue };
            self.hunted.findings += 1;
            self.hunted.leaks += 1;
            let saved = self.stage.wanted.out.save(&file, &text);
            let also: String = found[1..].iter().map(|one| format!("; {one}")).collect();
            say(&format!("      LEAK {}: {first}{also}\n", burst.name));
            for line in text.lines().skip_while(|line| !line.is_empty()).skip(1) {
                say(&format!("             {line}\n"));
            }
            say(&match saved {
                Ok(()) => format!("           saved     {}\n\n", path.display()),
                Err(error) => {
                    let why = format!("{}: {error}", path.display());
                    let text = format!("           cannot be saved: {why}\n\n");
                    self.unsaved.get_or_init(|| why);
                    text
                }
            });
        }
    }

    /// The results of those plans that show the same, each played up to so many times until it does; and how many
    /// plays that took.
    async fn shown(&self, plans: &[Plan], key: &Key, tries: usize) -> (Vec<Option<Judged>>, usize) {
        let shows = |judged: &Judged| {
            Key::of(judged, &self.stage.wanted, self.rules).is_some_and(|found| key.shows(&found))
        };
        let mut shown: Vec<Option<Judged>> = plans.iter().map(|_| None).collect();
        let mut plays = 0;
        for _ in 0..tries {
            let missing: Vec<usize> = (0..plans.len()).filter(|at| shown[*at].is_none()).collect();
            if missing.is_empty() {
                break;
            }
            plays += missing.len();
            // A race needs the cores for itself.
            let together = if tries > 1 { 1 } else { missing.len() };
            for some in missing.chunks(together) {
                let wanted: Vec<Plan> = some.iter().map(|at| plans[*at].clone()).collect();
                for (at, played) in some.iter().zip(self.stage.play(&wanted).await) {
                    shown[*at] = played.map(|one| one.judged).filter(shows);
                }
            }
        }
        (shown, plays)
    }

    /// Writes the case file, and tells what it shows.
    fn save(&self, plan: &Plan, key: &Key, judged: &Judged) -> String {
        let rule = match key.rule.as_str() {
            "" => "no-rule".to_owned(),
            rule => rule.replace('.', "-"),
        };
        let kind = match key.verdict {
            Verdict::Crash => "crash-",
            Verdict::Hang => "hang-",
            _ => "",
        };
        let name = format!("{}-{kind}{rule}-{}.case", self.stage.wanted.side, plan.seed);
        let path = self.stage.wanted.out.path(&name);
        let file = path.to_string_lossy().into_owned();
        let Some(mut entry) = self.stage.entry(plan, rule, &file) else {
            return String::new();
        };
        // Findings of several hunts are the same when they say the same.
        entry.case.title.comment = Some(key.to_string());
        entry.text = notation::print(&entry.case);
        let saved = self.stage.wanted.out.save(&name, &entry.text);
        let job = self.stage.job(entry);
        let judged = Judged {
            id: job.entry.id.clone(),
            file,
            ..judged.clone()
        };
        let out = &self.stage.wanted.out;
        let text = out.report(&job, &judged, self.stage.options());
        match saved {
            Ok(()) => text,
            Err(error) => {
                let why = format!("{}: {error}", path.display());
                let text = format!("{text}           cannot be saved: {why}\n");
                self.unsaved.get_or_init(|| why);
                text
            }
        }
    }
}

/// How many long sessions are played beside the others, for each of those.
const BESIDE: usize = 3;

/// How often a crash is tried for until it comes again.
const TRIES: usize = 8;
