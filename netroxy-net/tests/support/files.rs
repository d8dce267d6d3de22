//! The files that a program has written to a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The contents of each file of a folder, by its name.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    });
    entries.collect()
}
