//! Lists of known failures with reasons. A listed failure is expected; any other result fails the run.

mod built_in;
mod check;
mod compare;
mod file;
mod list;
mod seen;
mod write;

pub(crate) use built_in::{BUILT_IN, SCHEMA, usual_place};
pub(crate) use file::Baseline;
pub(crate) use list::{List, ProfileName};
pub(crate) use write::{Refusal, update};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::list::Entry;
    use super::*;

    #[test]
    fn built_in_lists_are_well_formed_and_give_every_reason() {
        for (name, _) in BUILT_IN {
            let baseline = Baseline::load(name).unwrap();
            assert_eq!(baseline.list.sut, name);
            let without: Vec<_> = baseline.list.without_reason().collect();
            assert_eq!(without, [] as [&Entry; 0], "{name}");
        }
    }

    #[test]
    fn the_schema_names_the_fields_that_are_read() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let (_, text) = BUILT_IN[0];
        let list: serde_json::Value = serde_json::from_str(text).unwrap();
        let keys = |value: &serde_json::Value| -> BTreeSet<String> {
            value.as_object().unwrap().keys().cloned().collect()
        };
        let entry = &schema["properties"]["entries"]["items"];
        assert_eq!(keys(&schema["properties"]), keys(&list));
        assert_eq!(keys(&entry["properties"]), keys(&list["entries"][0]));
        let verdicts: Vec<&str> = entry["properties"]["verdict"]["enum"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_str().unwrap())
            .collect();
        assert_eq!(verdicts, seen::VERDICTS.map(|(name, _)| name));
    }
}
