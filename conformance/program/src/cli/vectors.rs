//! `vectors`: lists the test vectors, and judges a codec by them.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use clap::{Args, ColorChoice, Subcommand};
use netroxy_judge::again::Again;
use netroxy_judge::vectors::{HELP, Judged, NotReady, Options, run as play};
use netroxy_specification::rules::Rule;
use netroxy_specification::vectors::{self as specified, Vector};

use super::arguments::time_scale;
use super::complaint::Complaint;
use super::exit::{
    EXIT_FAILURE, EXIT_HARNESS, EXIT_INTERRUPTED, EXIT_LOOKED_UP, EXIT_NOT_READY, EXIT_NOTHING,
};
use super::signals::stop_on_interrupt;
use crate::pattern::Pattern;
use crate::report::is_coloured_here;
use crate::vectors::{self, Codec, Look, Report};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the vectors
    #[command(after_help = EXIT_LOOKED_UP)]
    List {
        /// Print JSON with the whole content of their files
        #[arg(long)]
        json: bool,
    },
    /// Judge a codec that answers questions, one a line
    #[command(after_help = EXIT_CODES, after_long_help = HELP)]
    Run(Run),
}

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Numbers of vectors, or their rules, areas of rules or flags, also as patterns with `*`; without any, all vectors
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Count as failed what is allowed but not recommended
    #[arg(long)]
    strict: bool,
    /// Show every vector, also those that passed
    #[arg(short, long)]
    verbose: bool,
    /// Show only failures and the last line
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Use colours: on a terminal (auto), always or never
    #[arg(long, value_name = "WHEN", default_value = "auto", value_enum)]
    color: ColorChoice,
    /// Multiply the deadline of an answer, for slow machines [default: 1]
    #[arg(long, value_name = "X", value_parser = time_scale)]
    time_scale: Option<f64>,
    /// The program to judge, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(super) const EXIT_CODES: &str = "Exit codes: 0 nothing unexpected, 1 a vector failed, 2 wrong usage, 3 the codec \
cannot be started or does not tell right from wrong, 4 no vector was selected or all were skipped, 5 the suite itself \
failed, 130 interrupted.";

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(5);

pub(super) async fn execute(command: Command, rules: &[Rule]) -> Result<u8, Complaint> {
    match command {
        Command::List { json } => list(json),
        Command::Run(run) => judge(run, rules).await,
    }
}

pub(super) fn list(json: bool) -> Result<u8, Complaint> {
    vectors::list(&all()?, json);
    Ok(0)
}

async fn judge(run: Run, rules: &[Rule]) -> Result<u8, Complaint> {
    let vectors = select(&run.ids)?;
    let words = run.command.iter();
    let words: Vec<String> = words
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    let codec = Codec {
        again: again(&run),
        words,
    };
    let shown = codec.words.join(" ");
    let look = Look {
        verbose: run.verbose,
        quiet: run.quiet,
        colour: is_coloured_here(run.color),
    };
    let mut report = Report::new(rules, codec, run.strict, look);
    let options = Options {
        command: run.command,
        deadline: DEADLINE.mul_f64(run.time_scale.unwrap_or(1.0)),
    };
    let stop = stop_on_interrupt();
    let begun = Instant::now();
    report.begin(vectors.len());
    let each = |vector: &Vector, judged: &Judged| report.judged(vector, judged);
    play(&vectors, &options, &stop, each)
        .await
        .map_err(|error| not_ready(&shown, &error))?;
    let totals = report.end(vectors.len(), begun.elapsed());
    Ok(match () {
        () if stop.is_cancelled() => EXIT_INTERRUPTED,
        () if totals.failed > 0 => EXIT_FAILURE,
        // A run that judged nothing must not pass.
        () if totals.passed == 0 => EXIT_NOTHING,
        () => 0,
    })
}

/// The same command without the ids of vectors and the codec.
fn again(run: &Run) -> Again {
    let mut again = Again::new(["vectors", "run"]);
    if run.strict {
        again = again.word("--strict");
    }
    if let Some(scale) = run.time_scale {
        again = again.flag("--time-scale", &scale.to_string());
    }
    again
}

fn all() -> Result<Vec<Vector>, Complaint> {
    specified::embedded().map_err(|error| Complaint::new(EXIT_HARNESS, error.to_string()))
}

fn select(ids: &[String]) -> Result<Vec<Vector>, Complaint> {
    let mut vectors = all()?;
    let wants = |id: &String, vector: &Vector| {
        let pattern = Pattern::new(id);
        id.parse() == Ok(vector.id)
            || vector.rules.iter().any(|rule| pattern.rule(rule))
            || vector.flags.contains(id)
    };
    if let Some(id) = ids
        .iter()
        .find(|id| !vectors.iter().any(|vector| wants(id, vector)))
    {
        let complaint = Complaint::new(EXIT_NOTHING, format!("`{id}` matches no vector"));
        return Err(complaint.hint("`netroxy-conformance vectors list --json` shows them all"));
    }
    vectors.retain(|vector| ids.is_empty() || ids.iter().any(|id| wants(id, vector)));
    Ok(vectors)
}

fn not_ready(codec: &str, error: &NotReady) -> Complaint {
    let hint = match error {
        NotReady::Shortage(why) => return Complaint::new(EXIT_HARNESS, why.clone()),
        NotReady::Start(_) => "give the program and its arguments after `--`",
        NotReady::Dishonest { .. } | NotReady::Nothing => {
            "`netroxy-conformance vectors run --help` describes the questions and answers"
        }
    };
    Complaint::new(EXIT_NOT_READY, format!("{codec}: not ready: {error}")).hint(hint)
}
