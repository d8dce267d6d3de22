//! Finds all problems of a file in one run.
//!
//! serde stops at the first error. So the file is read in rounds: the error of a round is noted, a valid sample
//! replaces the wrong value, and the next round reads the file again.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::key::{Key, Step, nearest, sample};
use super::words;

/// The largest number of rounds, and so of problems.
const ROUNDS: usize = 100;

/// The result of reading a file.
#[derive(Debug)]
pub(super) struct Checked<T> {
    /// The value. If there are faults, samples are in the places of wrong values, or the value is missing.
    pub(super) value: Option<T>,
    pub(super) faults: Vec<Fault>,
    /// Keys that do not exist.
    pub(super) unknown: BTreeSet<Vec<Step>>,
    /// Whether the search stopped early, so that there may be more faults.
    pub(super) cut_short: bool,
}

/// One problem.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The path of the value, also if the value is missing.
    pub(super) path: Vec<Step>,
    pub(super) kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A wrong value: the text says what is wrong and what is allowed.
    Wrong(String),
    /// A required key is missing. `misspelt` is an unknown key next to it with a similar name.
    Missing { misspelt: Option<String> },
}

/// Reads the tree as a `T`.
pub(super) fn check<T: DeserializeOwned>(mut tree: Value, known: &[Key]) -> Checked<T> {
    let mut checked = Checked {
        value: None,
        faults: Vec::new(),
        unknown: BTreeSet::new(),
        cut_short: false,
    };
    // In how many rounds each path was wrong.
    let mut seen: BTreeMap<Vec<Step>, u32> = BTreeMap::new();
    lists_for_objects(&mut tree, &mut Vec::new(), known, &mut checked.faults);
    for fault in &checked.faults {
        seen.insert(fault.path.clone(), 1);
    }
    for _ in 0..ROUNDS {
        let mut track = serde_path_to_error::Track::new();
        let tracked = serde_path_to_error::Deserializer::new(&tree, &mut track);
        let read = serde_ignored::deserialize(tracked, |path| {
            checked.unknown.insert(ignored(&path));
        });
        let error: serde_json::Error = match read {
            Ok(value) => {
                checked.value = Some(value);
                return checked;
            }
            Err(error) => error,
        };
        let mut path = tracked_path(&track.path());
        let message = error.to_string();
        let missing = message
            .strip_prefix("missing field `")
            .and_then(|rest| rest.strip_suffix('`'));
        if let Some(name) = missing {
            path.push(Step::Key(name.to_owned()));
        }
        let times = seen.entry(path.clone()).or_default();
        *times += 1;
        let stand_in = sample(known, &path);
        let goes_on = match *times {
            1 => {
                let kind = match missing {
                    Some(name) => Kind::Missing {
                        misspelt: misspelt(&tree, &path, name, known),
                    },
                    None => Kind::Wrong(words::wrong(
                        &message,
                        find(&tree, &path),
                        stand_in.as_ref(),
                    )),
                };
                checked.faults.push(Fault {
                    path: path.clone(),
                    kind,
                });
                match stand_in {
                    Some(value) => put(&mut tree, &path, value),
                    None => remove(&mut tree, &path),
                }
            }
            // The sample does not fit here: the key has another meaning at another place.
            2 => remove(&mut tree, &path),
            _ => false,
        };
        if !goes_on {
            break;
        }
    }
    checked.cut_short = true;
    checked
}

/// Replaces lists that stand in the place of objects: serde would read them as the members in order.
fn lists_for_objects(
    value: &mut Value,
    path: &mut Vec<Step>,
    known: &[Key],
    faults: &mut Vec<Fault>,
) {
    if faults.len() >= ROUNDS {
        return;
    }
    if value.is_array()
        && let Some(stand_in @ Value::Object(_)) = sample(known, path)
    {
        let message = words::wrong("invalid type", Some(value), Some(&stand_in));
        faults.push(Fault {
            path: path.clone(),
            kind: Kind::Wrong(message),
        });
        *value = stand_in;
        return;
    }
    let children: &mut dyn Iterator<Item = (Step, &mut Value)> = match value {
        Value::Object(members) => &mut members
            .iter_mut()
            .filter(|(name, _)| known.iter().any(|key| key.name == *name))
            .map(|(name, value)| (Step::Key(name.clone()), value)),
        Value::Array(items) => &mut items
            .iter_mut()
            .enumerate()
            .map(|(index, value)| (Step::Item(index), value)),
        _ => return,
    };
    for (step, child) in children {
        path.push(step);
        lists_for_objects(child, path, known, faults);
        path.pop();
    }
}

fn tracked_path(path: &serde_path_to_error::Path) -> Vec<Step> {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Step::Item(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn ignored(path: &serde_ignored::Path<'_>) -> Vec<Step> {
    use serde_ignored::Path;
    let (parent, step) = match path {
        Path::Root => return Vec::new(),
        Path::Seq { parent, index } => (parent, Some(Step::Item(*index))),
        Path::Map { parent, key } => (parent, Some(Step::Key(key.clone()))),
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => (parent, None),
    };
    let mut steps = ignored(parent);
    steps.extend(step);
    steps
}

/// The unknown key next to a missing one whose name is most similar.
fn misspelt(tree: &Value, path: &[Step], name: &str, known: &[Key]) -> Option<String> {
    let (_, parent) = path.split_last()?;
    let members = find(tree, parent)?.as_object()?;
    let strange = members
        .keys()
        .map(String::as_str)
        .filter(|key| known.iter().all(|known| known.name != *key));
    nearest(name, strange).map(str::to_owned)
}

fn find<'a>(tree: &'a Value, path: &[Step]) -> Option<&'a Value> {
    path.iter().try_fold(tree, |value, step| match step {
        Step::Key(name) => value.get(name),
        Step::Item(index) => value.get(index),
    })
}

fn find_mut<'a>(tree: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    path.iter().try_fold(tree, |value, step| match step {
        Step::Key(name) => value.get_mut(name),
        Step::Item(index) => value.get_mut(index),
    })
}

/// Puts a value at a path. The result is whether the path exists.
fn put(tree: &mut Value, path: &[Step], value: Value) -> bool {
    let Some((step, parent)) = path.split_last() else {
        return false;
    };
    match (step, find_mut(tree, parent)) {
        (Step::Key(name), Some(Value::Object(members))) => {
            members.insert(name.clone(), value);
            true
        }
        (Step::Item(index), Some(Value::Array(items))) => match items.get_mut(*index) {
            Some(item) => {
                *item = value;
                true
            }
            None => false,
        },
        _ => false,
    }
}

/// Removes a member of an object. The result is whether there was one. An item of a list is not removed, because the
/// numbers of the items after it would change.
fn remove(tree: &mut Value, path: &[Step]) -> bool {
    match path.split_last() {
        Some((Step::Key(name), parent)) => find_mut(tree, parent)
            .and_then(Value::as_object_mut)
            .is_some_and(|members| members.remove(name).is_some()),
        _ => false,
    }
}
