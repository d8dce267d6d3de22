//! `baseline`: writes down what is known to fail, and compares with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use netroxy_judge::input::Part;
use netroxy_judge::manifest::Manifest;
use netroxy_judge::sut::Subject;
use netroxy_judge::verdict::Verdict;
use netroxy_specification::notation::ast::Role;
use netroxy_specification::rules::Rule;

use super::run::Profile;
use super::select::all;
use super::session::{Conduct, Done, Round, judge_all};
use super::{
    Complaint, EXIT_CODES, EXIT_HARNESS, EXIT_LOOKED_UP, EXIT_NOT_READY, Output, Pace,
    input_complaint, manifest_complaint, misplaced, unwritten,
};
use crate::baseline::{self, Baseline, List, ProfileName, Refusal, update, usual_place};
use crate::output::{Place, Readers};
use crate::peers;
use crate::report::{self, Last, last_line, listing};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Judge a program by every case, and write down what fails
    #[command(after_help = EXIT_CODES)]
    Write {
        /// Manifest file, or the name of a built-in one
        #[arg(long, value_name = "FILE")]
        sut: String,
        /// Which rules count
        #[arg(long, value_enum, default_value_t)]
        profile: Profile,
        /// Where to; reasons that are there already are kept [default: NAME.baseline.json]
        #[arg(long, value_name = "PATH")]
        out: Option<String>,
        #[command(flatten)]
        pace: Pace,
        #[command(flatten)]
        output: Output,
    },
    /// Judge a program by every case of a baseline's profile: any change is a failure
    #[command(after_help = EXIT_CODES)]
    Check {
        /// Manifest file, or the name of a built-in one
        #[arg(long, value_name = "FILE")]
        sut: String,
        /// A file, or the name of a built-in one [default: NAME.baseline.json, else the built-in one]
        #[arg(long, value_name = "PATH")]
        baseline: Option<String>,
        #[command(flatten)]
        pace: Pace,
        #[command(flatten)]
        output: Output,
    },
    /// Print the JSON Schema of baselines
    #[command(after_help = EXIT_LOOKED_UP)]
    Schema,
}

pub(super) async fn execute(command: Command, rules: &[Rule]) -> Result<u8, Complaint> {
    match command {
        Command::Write {
            sut,
            profile,
            out,
            pace,
            output,
        } => {
            let conduct = Conduct {
                last: Last::Later,
                ..conduct(pace, output)?
            };
            write(
                rules,
                &sut,
                profile == Profile::Hardened,
                out,
                pace,
                conduct,
            )
            .await
        }
        Command::Check {
            sut,
            baseline,
            pace,
            output,
        } => {
            let conduct = conduct(pace, output)?;
            Box::pin(check(rules, &sut, baseline, pace, conduct)).await
        }
        Command::Schema => {
            report::out(baseline::SCHEMA);
            Ok(0)
        }
    }
}

/// Reads a baseline and sees to it that it says something about this subject and, if one is given, this profile.
pub(super) fn load(
    file: &str,
    subject: &Subject,
    profile: Option<ProfileName>,
    rules: &[Rule],
) -> Result<Baseline, Complaint> {
    let baseline = Baseline::load(file).map_err(input_complaint)?;
    about(&baseline, subject)?;
    let theirs = baseline.list.profile;
    if let Some(ours) = profile.filter(|ours| *ours != theirs) {
        let (theirs, ours) = (theirs.name(), ours.name());
        let message = format!("it is about profile {theirs}, and {ours} is judged");
        let hint = format!("--profile {theirs}");
        return Err(misfit(&baseline, "profile", &message, &hint));
    }
    let role = subject.role();
    let runs: BTreeSet<String> = all()?
        .iter()
        .filter(|entry| entry.case.role.value == role)
        .flat_map(|entry| {
            let transports = entry.transports().into_iter();
            transports.map(|transport| entry.run_id(transport))
        })
        .collect();
    baseline.check(&runs, rules).map_err(input_complaint)?;
    Ok(baseline)
}

/// A baseline of another program says nothing about this one.
fn about(baseline: &Baseline, subject: &Subject) -> Result<(), Complaint> {
    let role = Role::from(baseline.list.role);
    if role != subject.role() {
        let message = format!("it is about a {role}, and a {} is judged", subject.role());
        let hint = "name the list of the program that is judged";
        return Err(misfit(baseline, "role", &message, hint));
    }
    let (theirs, ours) = (&baseline.list.sut, subject.name());
    // Nobody knows the name of a server that somebody else has started.
    if matches!(subject, Subject::Started(_)) && *theirs != ours {
        let message = format!("it is about `{theirs}`, and `{ours}` is judged");
        let hint = format!("judge {theirs}, or name a list about {ours}");
        return Err(misfit(baseline, "sut", &message, &hint));
    }
    Ok(())
}

fn misfit(baseline: &Baseline, key: &str, message: &str, hint: &str) -> Complaint {
    input_complaint(baseline.wrong(&[Part::Key(key)], message, hint))
}

async fn write(
    rules: &[Rule],
    sut: &str,
    hardened: bool,
    out: Option<String>,
    pace: Pace,
    conduct: Conduct,
) -> Result<u8, Complaint> {
    let manifest = peers::manifest(sut).map_err(manifest_complaint)?;
    let (role, name) = (manifest.role, manifest.name.clone());
    let out = out.unwrap_or_else(|| format!("{name}.baseline.json"));
    let path = std::path::Path::new(&out);
    let place = Place::find(path, Readers::Usual).map_err(|error| misplaced(&error))?;
    let old = match path.exists() {
        true => Some(Baseline::load(&out).map_err(input_complaint)?),
        false => None,
    };
    if let Some(old) = &old {
        about(old, &Subject::Started(manifest.clone()))?;
    }
    let done = judge(rules, manifest, hardened, pace, conduct).await?;
    let mut list = List::new(&name, role, ProfileName::new(hardened));
    let judged = done.results.iter().map(|(_, judged)| judged);
    let old = old.as_ref().map(|old| &old.list);
    let updated = update(&mut list, old, judged, &done.summary);
    updated.map_err(|refusal| {
        report::out(&last_line(done.totals));
        refused(&refusal, &done)
    })?;
    let text = list.text().map_err(|error| unwritten(&out, &error))?;
    let written = place.write(text.as_bytes());
    written.map_err(|error| unwritten(&out, &error))?;
    let code = listing::baseline_written(&out, &list);
    report::out(&last_line(done.totals));
    Ok(code)
}

async fn check(
    rules: &[Rule],
    sut: &str,
    baseline: Option<String>,
    pace: Pace,
    conduct: Conduct,
) -> Result<u8, Complaint> {
    let manifest = peers::manifest(sut).map_err(manifest_complaint)?;
    let file = baseline.unwrap_or_else(|| usual_place(&manifest.name));
    let subject = Subject::Started(manifest.clone());
    let baseline = load(&file, &subject, None, rules)?;
    let hardened = baseline.list.profile == ProfileName::Hardened;
    let conduct = Conduct {
        baseline: Some(baseline),
        ..conduct
    };
    Ok(judge(rules, manifest, hardened, pace, conduct).await?.code)
}

fn conduct(pace: Pace, output: Output) -> Result<Conduct, Complaint> {
    Ok(Conduct {
        order: pace.order()?,
        slowest: pace.slowest,
        output,
        ..Conduct::default()
    })
}

async fn judge(
    rules: &[Rule],
    manifest: Manifest,
    hardened: bool,
    pace: Pace,
    conduct: Conduct,
) -> Result<Done, Complaint> {
    let round = Round {
        entries: all()?,
        subject: Arc::new(Subject::Started(manifest)),
        wanted: Vec::new(),
    };
    let judged = judge_all(rules, vec![round], pace.options(hardened), conduct);
    Box::pin(judged).await
}

fn refused(refusal: &Refusal, done: &Done) -> Complaint {
    let not_ready = done
        .results
        .iter()
        .any(|(_, judged)| judged.verdict == Verdict::NotReady);
    let code = match refusal {
        Refusal::Partial => done.code,
        Refusal::Unjudged(..) if not_ready => EXIT_NOT_READY,
        Refusal::Unjudged(..) => EXIT_HARNESS,
    };
    Complaint::new(code, format!("no baseline was written: {refusal}"))
}
