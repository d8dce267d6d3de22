//! Runs the body of each fuzz target with every input of its corpus.

use std::path::PathBuf;
use std::{fs, panic};

use netroxy_judge::fuzzing::TARGETS;

#[test]
fn every_corpus_file_keeps_the_property_of_its_target() {
    let mut broken = Vec::new();
    for (target, body) in TARGETS {
        let folder = suite().join("corpus").join(target);
        let entries = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("corpus of {target}: {}: {error}", folder.display()));
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "corpus of {target} is empty");
        for file in files {
            let input = fs::read(&file).unwrap();
            if panic::catch_unwind(|| body(&input)).is_err() {
                broken.push(file);
            }
        }
    }
    assert!(broken.is_empty(), "broken by {broken:#?}");
}

#[test]
fn every_corpus_folder_has_a_target() {
    for entry in fs::read_dir(suite().join("corpus")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            TARGETS.iter().any(|(target, _)| *target == name),
            "no target has the corpus fuzz/suite/corpus/{name}"
        );
    }
}

#[test]
fn every_target_runs_the_body_of_its_name() {
    let manifest = fs::read_to_string(suite().join("Cargo.toml")).unwrap();
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    for (target, _) in TARGETS {
        let path = format!("fuzz_targets/{target}.rs");
        assert!(manifest.contains(&format!("name = \"{target}\"\npath = \"{path}\"")));
        let source = fs::read_to_string(suite().join(path)).unwrap();
        assert!(source.contains(&format!("fuzzing::{target}(input)")));
    }
}

#[test]
fn every_embedded_case_and_manifest_keeps_the_property_of_its_target() {
    for entry in netroxy_specification::catalog::embedded().unwrap().values() {
        netroxy_judge::fuzzing::notation(entry.text.as_bytes());
    }
    for (_, text) in netroxy_judge::manifest::BUILT_IN {
        netroxy_judge::fuzzing::manifest(text.as_bytes());
    }
}

/// The crate of the targets.
fn suite() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/suite"))
}
