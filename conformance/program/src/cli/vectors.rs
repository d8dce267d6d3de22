//! The commands about test vectors.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use clap::{Args, ColorChoice, Subcommand};
use netroxy_judge::again::Again;
use netroxy_judge::vectors::{HELP, Judged, NotReady, Options, run as play};
use netroxy_specification::rules::Rule;
use netroxy_specification::vectors::{self as specified, Vector};

use super::pattern::Pattern;
use super::signals::stop_on_interrupt;
use super::{
    Complaint, EXIT_FAILURE, EXIT_HARNESS, EXIT_INTERRUPTED, EXIT_LOOKED_UP, EXIT_NOT_READY,
    EXIT_NOTHING, time_scale,
};
use crate::report::is_coloured_here;
use crate::vectors::{self, Codec, Look, Report};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the vectors
    #[command(after_help = EXIT_LOOKED_UP)]
    List {
        /// As JSON, with everything that their files say
        #[arg(long)]
        json: bool,
    },
    /// Judge a codec that answers questions, one a line
    #[command(after_help = EXIT_CODES, after_long_help = HELP)]
    Run(Run),
}

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Numbers of vectors, or rules, areas of rules or flags that they have, patterns with `*` as well; all when there
    /// are none
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Fail also what is allowed but not recommended
    #[arg(long)]
    strict: bool,
    /// Show every vector, not only those that are no plain pass
    #[arg(short, long)]
    verbose: bool,
    /// Show only failures and the last line
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Colours: on a terminal, always or never
    #[arg(long, value_name = "WHEN", default_value = "auto", value_enum)]
    color: ColorChoice,
    /// Multiply the deadline of an answer, for slow machines [default: 1]
    #[arg(long, value_name = "X", value_parser = time_scale)]
    time_scale: Option<f64>,
    /// The program that is judged and its arguments
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
        // Nothing has been judged, so nothing can be said to be in order.
        () if totals.passed == 0 => EXIT_NOTHING,
        () => 0,
    })
}

/// The same command without the vectors and the codec.
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
    specified::embedded().map_err(|error| Complaint::new(EXIT_HARNESS, error))
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
        NotReady::Start(_) => "behind `--` stand the program and its arguments",
        NotReady::Dishonest { .. } | NotReady::Nothing => {
            "`netroxy-conformance vectors run --help` tells what is asked and how to answer"
        }
    };
    Complaint::new(EXIT_NOT_READY, format!("{codec}: not ready: {error}")).hint(hint)
}
