//! `baseline`: writes lists of known failures, and compares programs with them.

use std::collections::BTreeSet;
use std::sync::Arc;

use netroxy_judge::input::Part;
use netroxy_judge::manifest::Manifest;
use netroxy_judge::sut::Subject;
use netroxy_judge::verdict::Verdict;
use netroxy_specification::notation::ast::Role;
use netroxy_specification::rules::Rule;

use super::arguments::{Pace, Profile};
use super::complaint::{
    Complaint, input_complaint, manifest_complaint, place_complaint, write_complaint,
};
use super::exit::{EXIT_CODES, EXIT_HARNESS, EXIT_LOOKED_UP, EXIT_NOT_READY};
use super::judging::{Done, RunFlags, Selection, judge_all};
use super::output::Output;
use super::select::all;
use crate::baseline::{self, Baseline, List, ProfileName, Refusal, update, usual_place};
use crate::output::{Place, Readers};
use crate::peers;
use crate::report::{self, Last, last_line, listing};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Judge a program by every case, and write a list of the failures
    #[command(after_help = EXIT_CODES)]
    Write {
        /// Manifest file, or the name of a built-in one
        #[arg(long, value_name = "FILE")]
        sut: String,
        /// Which rules count
        #[arg(long, value_enum, default_value_t)]
        profile: Profile,
        /// The file to write; the reasons that it already has are kept [default: NAME.baseline.json]
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
            let flags = RunFlags {
                last: Last::Later,
                ..flags(pace, output)?
            };
            write(rules, &sut, profile == Profile::Hardened, out, pace, flags).await
        }
        Command::Check {
            sut,
            baseline,
            pace,
            output,
        } => {
            let flags = flags(pace, output)?;
            Box::pin(check(rules, &sut, baseline, pace, flags)).await
        }
        Command::Schema => {
            report::out(baseline::SCHEMA);
            Ok(0)
        }
    }
}

/// Reads a baseline, and checks that it is about this subject and, if one is given, this profile.
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
        let message = format!("it is about profile {theirs}, but the run judges profile {ours}");
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

/// Checks that a baseline is about this program.
fn about(baseline: &Baseline, subject: &Subject) -> Result<(), Complaint> {
    let role = Role::from(baseline.list.role);
    if role != subject.role() {
        let message = format!(
            "it is about a {role}, but the run judges a {}",
            subject.role()
        );
        let hint = "give the baseline of the judged program";
        return Err(misfit(baseline, "role", &message, hint));
    }
    let (theirs, ours) = (&baseline.list.sut, subject.name());
    // A server that runs already has no manifest, so its name is unknown.
    if matches!(subject, Subject::Started(_)) && *theirs != ours {
        let message = format!("it is about `{theirs}`, but the run judges `{ours}`");
        let hint = format!("judge {theirs}, or give a baseline about {ours}");
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
    flags: RunFlags,
) -> Result<u8, Complaint> {
    let manifest = peers::manifest(sut).map_err(manifest_complaint)?;
    let (role, name) = (manifest.role, manifest.name.clone());
    let out = out.unwrap_or_else(|| format!("{name}.baseline.json"));
    let path = std::path::Path::new(&out);
    let place = Place::find(path, Readers::Usual).map_err(|error| place_complaint(&error))?;
    let old = match path.exists() {
        true => Some(Baseline::load(&out).map_err(input_complaint)?),
        false => None,
    };
    if let Some(old) = &old {
        about(old, &Subject::Started(manifest.clone()))?;
    }
    let done = judge(rules, manifest, hardened, pace, flags).await?;
    let mut list = List::new(&name, role, ProfileName::new(hardened));
    let judged = done.results.iter().map(|(_, judged)| judged);
    let old = old.as_ref().map(|old| &old.list);
    let updated = update(&mut list, old, judged, &done.summary);
    updated.map_err(|refusal| {
        report::out(&last_line(done.totals));
        refused(&refusal, &done)
    })?;
    let text = list.text().map_err(|error| write_complaint(&out, &error))?;
    let written = place.write(text.as_bytes());
    written.map_err(|error| write_complaint(&out, &error))?;
    let code = listing::baseline_written(&out, &list);
    report::out(&last_line(done.totals));
    Ok(code)
}

async fn check(
    rules: &[Rule],
    sut: &str,
    baseline: Option<String>,
    pace: Pace,
    flags: RunFlags,
) -> Result<u8, Complaint> {
    let manifest = peers::manifest(sut).map_err(manifest_complaint)?;
    let file = baseline.unwrap_or_else(|| usual_place(&manifest.name));
    let subject = Subject::Started(manifest.clone());
    let baseline = load(&file, &subject, None, rules)?;
    let hardened = baseline.list.profile == ProfileName::Hardened;
    let flags = RunFlags {
        baseline: Some(baseline),
        ..flags
    };
    Ok(judge(rules, manifest, hardened, pace, flags).await?.code)
}

fn flags(pace: Pace, output: Output) -> Result<RunFlags, Complaint> {
    Ok(RunFlags {
        order: pace.order()?,
        slowest: pace.slowest,
        output,
        ..RunFlags::default()
    })
}

async fn judge(
    rules: &[Rule],
    manifest: Manifest,
    hardened: bool,
    pace: Pace,
    flags: RunFlags,
) -> Result<Done, Complaint> {
    let selection = Selection {
        entries: all()?,
        subject: Arc::new(Subject::Started(manifest)),
        wanted: Vec::new(),
    };
    let judged = judge_all(rules, vec![selection], pace.options(hardened), flags);
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
