//! Runs every file of the fuzzing corpora through the body of its target.

use std::path::PathBuf;
use std::{fs, panic};

use netroxy_proto::fuzzing::{self, TARGETS};
use netroxy_proto::{client, server};

#[test]
fn every_corpus_file_keeps_its_property() {
    let mut broken = Vec::new();
    for (target, body) in TARGETS {
        for (file, input) in corpus(target) {
            if panic::catch_unwind(|| body(&input)).is_err() {
                broken.push(file);
            }
        }
    }
    assert!(
        broken.is_empty(),
        "these files break their property: {broken:#?}"
    );
}

#[test]
fn the_corpora_of_the_machines_take_every_row_of_their_tables() {
    let inputs = corpus("server_machine");
    let taken: Vec<_> = inputs
        .iter()
        .flat_map(|(_, input)| fuzzing::server_rows(input))
        .collect();
    for row in server::table::TABLE {
        assert!(
            taken.contains(&row),
            "no file of server_machine takes {row:?}"
        );
    }
    let inputs = corpus("client_machine");
    let taken: Vec<_> = inputs
        .iter()
        .flat_map(|(_, input)| fuzzing::client_rows(input))
        .collect();
    for row in client::table::TABLE {
        assert!(
            taken.contains(&row),
            "no file of client_machine takes {row:?}"
        );
    }
}

#[test]
fn every_corpus_folder_has_a_target() {
    for entry in fs::read_dir(fuzz().join("corpus")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            TARGETS.iter().any(|(target, _)| *target == name),
            "no target runs fuzz/corpus/{name}"
        );
    }
}

#[test]
fn every_target_runs_the_body_of_its_name() {
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    for (target, _) in TARGETS {
        let path = format!("fuzz_targets/{target}.rs");
        assert!(manifest.contains(&format!("name = \"{target}\"\npath = \"{path}\"")));
        let source = fs::read_to_string(fuzz().join(path)).unwrap();
        assert!(source.contains(&format!("fuzzing::{target}(input)")));
    }
}

/// The files of a target's corpus and their contents; there is one at least.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = fuzz().join("corpus").join(target);
    let entries = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("corpus of {target}: {}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "corpus of {target} is empty");
    let read = |file: PathBuf| {
        let input = fs::read(&file).unwrap();
        (file, input)
    };
    files.into_iter().map(read).collect()
}

fn fuzz() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz"))
}
