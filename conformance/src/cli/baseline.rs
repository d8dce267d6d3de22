//! `baseline`: writes down what is known to fail, and compares with it.

use std::fs;
use std::sync::Arc;

use super::run::Profile;
use super::select::all;
use super::session::{Conduct, Done, Round, judge_all};
use super::{
    Complaint, EXIT_HARNESS, EXIT_NOT_READY, EXIT_USAGE, Output, Pace, input_complaint,
    manifest_complaint,
};
use crate::baseline::{Baseline, List, ProfileName, Refusal, update, usual_place};
use crate::manifest::Manifest;
use crate::notation::ast::Role;
use crate::report::listing;
use crate::rules::Rule;
use crate::sut::Subject;
use crate::verdict::Verdict;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Judge a program by every case, and write down what fails
    Write {
        /// Manifest file, or the name of a built-in one
        #[arg(long, value_name = "FILE")]
        sut: String,
        /// Which rules count
        #[arg(long, value_enum, default_value = "wire")]
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
            let conduct = conduct(pace, output)?;
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
        } => check(rules, &sut, baseline, pace, conduct(pace, output)?).await,
    }
}

/// Reads a baseline.
pub(super) fn load(file: &str) -> Result<Baseline, Complaint> {
    Baseline::load(file).map_err(input_complaint)
}

/// A baseline of another role or profile says nothing about a run.
pub(super) fn fits(
    baseline: &Baseline,
    subject: &Subject,
    hardened: bool,
) -> Result<(), Complaint> {
    let (file, list) = (&baseline.file, &baseline.list);
    let (role, profile) = (Role::from(list.role), ProfileName::new(hardened));
    if role != subject.role() {
        let message = format!(
            "{file} is about a {role}, and a {} is judged",
            subject.role()
        );
        return Err(Complaint::new(EXIT_USAGE, message));
    }
    if list.profile != profile {
        let (theirs, ours) = (list.profile.name(), profile.name());
        let message = format!("{file} is about profile {theirs}, and {ours} is judged");
        return Err(Complaint::new(EXIT_USAGE, message).hint(format!("--profile {theirs}")));
    }
    Ok(())
}

async fn write(
    rules: &[Rule],
    sut: &str,
    hardened: bool,
    out: Option<String>,
    pace: Pace,
    conduct: Conduct,
) -> Result<u8, Complaint> {
    let manifest = Manifest::load(sut).map_err(manifest_complaint)?;
    let (role, name) = (manifest.role, manifest.name.clone());
    let out = out.unwrap_or_else(|| format!("{name}.baseline.json"));
    let old = match std::path::Path::new(&out).exists() {
        true => Some(Baseline::load(&out).map_err(input_complaint)?),
        false => None,
    };
    let done = judge(rules, manifest, hardened, pace, conduct).await?;
    let mut list = List::new(&name, role, ProfileName::new(hardened));
    let judged = done.results.iter().map(|(_, judged)| judged);
    let old = old.as_ref().map(|old| &old.list);
    update(&mut list, old, judged, &done.summary).map_err(|refusal| refused(&refusal, &done))?;
    let cannot = |error: &dyn std::fmt::Display| {
        Complaint::new(EXIT_HARNESS, format!("cannot write {out}: {error}"))
    };
    let text = list.text().map_err(|error| cannot(&error))?;
    fs::write(&out, text).map_err(|error| cannot(&error))?;
    let baseline = Baseline { file: out, list };
    Ok(listing::baseline_written(&baseline))
}

async fn check(
    rules: &[Rule],
    sut: &str,
    baseline: Option<String>,
    pace: Pace,
    conduct: Conduct,
) -> Result<u8, Complaint> {
    let manifest = Manifest::load(sut).map_err(manifest_complaint)?;
    let baseline = load(&baseline.unwrap_or_else(|| usual_place(&manifest.name)))?;
    let hardened = baseline.list.profile == ProfileName::Hardened;
    fits(&baseline, &Subject::Started(manifest.clone()), hardened)?;
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
        full: true,
    };
    judge_all(rules, vec![round], pace.options(hardened), conduct).await
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
