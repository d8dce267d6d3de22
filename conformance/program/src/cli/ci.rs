//! Tests that the commands in the templates for CI servers are commands of this program.

use std::collections::BTreeSet;

use clap::Parser as _;
use serde_json::Value;

use super::Arguments;

/// The files, and how many commands of this program each of them has.
const YAML: [(&str, &str, usize); 4] = [
    ("action.yml", include_str!("../../../../action.yml"), 1),
    (
        "github.yml",
        include_str!("../../../../docs/ci/github.yml"),
        2,
    ),
    (
        "github-action.yml",
        include_str!("../../../../docs/ci/github-action.yml"),
        0,
    ),
    (
        "gitlab.yml",
        include_str!("../../../../docs/ci/gitlab.yml"),
        2,
    ),
];

const README: &str = include_str!("../../../../docs/ci/README.md");

/// Sample values of variables. A command with another variable fails the test.
const SAMPLES: [(&str, &str); 8] = [
    ("ARGUMENTS", "--profile hardened --baseline go-server"),
    ("BASELINE", "ci/my-server.baseline.json"),
    ("CI_NODE_INDEX", "2"),
    ("CI_NODE_TOTAL", "3"),
    ("PARTS", "3"),
    ("PART", "2"),
    ("REPORTS", "conformance"),
    ("SUT", "ci/my-server.json"),
];

fn yaml(name: &str, text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The lines of all scripts in a file.
fn scripts(value: &Value, lines: &mut Vec<String>) {
    let add = |script: &Value, lines: &mut Vec<String>| {
        let text = script.as_str().unwrap_or_default();
        lines.extend(text.lines().map(|line| line.trim().to_owned()));
    };
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("run", Value::String(_)) => add(value, lines),
                    ("script", Value::Array(all)) => all.iter().for_each(|one| add(one, lines)),
                    _ => scripts(value, lines),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|one| scripts(one, lines)),
        _ => {}
    }
}

/// The arguments of a command of this program, split as a shell does.
fn words(line: &str) -> Option<Vec<String>> {
    let mut line = line.to_owned();
    for (name, value) in SAMPLES {
        line = line
            .replace(&format!("${{{name}}}"), value)
            .replace(&format!("${name}"), value);
    }
    let mut words = shlex::split(&line)?;
    let program = words.first()?.trim_start_matches("./") == "netroxy-conformance";
    program.then(|| words.split_off(1))
}

fn assert_parses(name: &str, words: &[String]) {
    assert!(
        !words.iter().any(|word| word.contains('$')),
        "{name}: {words:?}"
    );
    let program = std::iter::once("netroxy-conformance".to_owned());
    let parsed = Arguments::try_parse_from(program.chain(words.iter().cloned()));
    if let Err(error) = parsed {
        panic!("{name}: {words:?}\n{error}");
    }
}

#[test]
fn every_command_of_the_templates_is_one_of_this_program() {
    for (name, text, count) in YAML {
        let mut lines = Vec::new();
        scripts(&yaml(name, text), &mut lines);
        // The shell would run a value from outside that is inserted into a script.
        assert!(
            !lines.iter().any(|line| line.contains("${{")),
            "{name}: {lines:?}"
        );
        let commands: Vec<_> = lines.iter().filter_map(|line| words(line)).collect();
        assert_eq!(commands.len(), count, "{name}: {lines:?}");
        commands
            .iter()
            .for_each(|command| assert_parses(name, command));
    }
    let spans = README.split('`').skip(1).step_by(2);
    let lines = README.lines().map(str::trim).chain(spans);
    let commands: Vec<_> = lines
        .filter_map(words)
        .filter(|words| !words.is_empty())
        .collect();
    assert!(commands.len() >= 3, "{commands:?}");
    commands
        .iter()
        .for_each(|command| assert_parses("README.md", command));
}

#[test]
fn the_action_takes_what_its_template_gives() {
    let (action, template) = (yaml(YAML[0].0, YAML[0].1), yaml(YAML[2].0, YAML[2].1));
    let keys = |value: &Value| -> BTreeSet<String> {
        let fields = value.as_object().unwrap();
        fields.keys().cloned().collect()
    };
    let steps = template["jobs"]["judge"]["steps"].as_array().unwrap();
    let given = steps.iter().find_map(|step| step.get("with")).unwrap();
    let taken = keys(&action["inputs"]);
    assert!(keys(given).is_subset(&taken), "{given} {taken:?}");
    let needed = |input: &&String| action["inputs"][*input]["required"] == true;
    let needed: Vec<&String> = taken.iter().filter(needed).collect();
    assert!(
        needed.iter().all(|input| given.get(*input).is_some()),
        "{needed:?}"
    );
    let arguments = given["arguments"].as_str().unwrap();
    let line = format!(
        "netroxy-conformance run --sut {} {arguments}",
        given["sut"].as_str().unwrap()
    );
    assert_parses("github-action.yml", &words(&line).unwrap());
}
