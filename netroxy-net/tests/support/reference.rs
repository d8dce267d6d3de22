//! Compares the pages for operators with the programs. The tests of both programs include this file by its path.
//!
//! `docs/configuration.md` has a table for each place of a configuration file in which keys stand. A comment before the
//! table names the place. The default of a key is JSON in backticks, or begins with one of the words of [`Default`].

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use netroxy_net::config_file::{ConfigError, Key};
use serde_json::Value;

/// The result of reading a file: a text of everything that is compared, and the warnings.
pub(crate) type Read = Result<(String, Vec<String>), ConfigError>;

/// One place of a file in which keys stand.
pub(crate) struct Place<'a> {
    /// The table's name on the page.
    pub(crate) table: &'a str,
    /// A whole file that has the place.
    pub(crate) file: &'a str,
    /// The place in that file, as a JSON pointer.
    pub(crate) at: &'a str,
    /// Pairs of keys that exclude each other. The first one replaces the second one.
    pub(crate) exclusive: &'a [(&'a str, &'a str)],
}

/// A row of a table of keys.
struct Row {
    key: String,
    /// The least and the greatest number, where the table says "1 to 3600".
    bounds: Option<(i64, i64)>,
    default: Default,
    example: Value,
}

enum Default {
    /// The key is required.
    Required,
    /// The key is read and has no effect.
    Ignored,
    /// The value that counts without the key.
    Same(Value),
    /// Described in words.
    Words,
}

/// Compares all places of a file with their tables. A table and the list after it hold exactly the keys that the
/// program takes at this place, the examples are valid, and the defaults are those of the program.
#[track_caller]
pub(crate) fn agree(known: &[Key], places: &[Place<'_>], load: impl Fn(&Value) -> Read) {
    let page = page();
    let mut found = BTreeSet::new();
    for place in places {
        let rows = rows(&page, place.table);
        let keys: BTreeSet<_> = rows.iter().map(|row| row.key.clone()).collect();
        assert_eq!(keys.len(), rows.len(), "{}: a key twice", place.table);
        let meanings = meanings(&page, place.table);
        assert_eq!(keys, meanings, "{}: table and list differ", place.table);
        for key in known {
            let taken = place.takes(key, &load);
            assert_eq!(
                taken,
                keys.contains(key.name),
                "{}: does the place take {}?",
                place.table,
                key.name
            );
        }
        for row in &rows {
            place.agrees(row, &load);
        }
        found.extend(keys);
    }
    let known: BTreeSet<_> = known.iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(found, known);
}

impl Place<'_> {
    /// Whether the program takes a key at this place.
    fn takes(&self, key: &Key, load: impl Fn(&Value) -> Read) -> bool {
        let sample = serde_json::from_str(key.sample).unwrap();
        let warnings = match load(&self.with(key.name, Some(&sample))) {
            Ok((_, warnings)) | Err(ConfigError::Wrong { warnings, .. }) => warnings,
            Err(error) => panic!("{error}"),
        };
        warnings.iter().all(|warning| !is_unknown(warning))
    }

    /// The file with a key, or without it.
    fn with(&self, key: &str, value: Option<&Value>) -> Value {
        let mut file: Value = serde_json::from_str(self.file).unwrap();
        let members = file.pointer_mut(self.at).unwrap().as_object_mut().unwrap();
        members.remove(key);
        if let Some(value) = value {
            members.insert(key.to_owned(), value.clone());
            let others = self.exclusive.iter().filter(|(one, _)| *one == key);
            others.for_each(|(_, other)| drop(members.remove(*other)));
        }
        file
    }

    #[track_caller]
    fn agrees(&self, row: &Row, load: impl Fn(&Value) -> Read) {
        let at = format!("{}: {}", self.table, row.key);
        let read = |value: Option<&Value>| {
            let file = self.with(&row.key, value);
            load(&file).map_err(|error| format!("{at}: {}", error.report()))
        };
        let view = |value: Option<&Value>| {
            let (view, warnings) = read(value).unwrap();
            let unknown = warnings.iter().find(|warning| is_unknown(warning));
            assert_eq!(unknown, None, "{at}");
            view
        };
        if let Some((least, greatest)) = row.bounds {
            for (number, is_valid) in [
                (least - 1, false),
                (least, true),
                (greatest, true),
                (greatest + 1, false),
            ] {
                let is_taken = read(Some(&number.into())).is_ok();
                assert_eq!(is_taken, is_valid, "{at}: {number}");
            }
        }
        let example = view(Some(&row.example));
        match &row.default {
            Default::Required => {
                let error = read(None).unwrap_err();
                assert!(error.contains(&row.key), "{error}");
                assert!(error.contains("missing"), "{error}");
            }
            Default::Ignored => assert_eq!(example, view(None), "{at} changes something"),
            Default::Same(default) => {
                assert_eq!(view(Some(default)), view(None), "{at}: the default");
                assert_ne!(example, view(None), "{at}: the example changes nothing");
            }
            Default::Words => assert_ne!(example, view(None), "{at}: the example changes nothing"),
        }
    }
}

fn is_unknown(warning: &str) -> bool {
    warning.contains(": unknown key ")
}

fn rows(page: &str, table: &str) -> Vec<Row> {
    let rows = cells(page, &format!("<!-- keys: {table} -->"));
    let row = |cells: Vec<&str>| {
        let [key, kind, default, example] = cells[..] else {
            panic!("{table}: {cells:?} are not four cells");
        };
        let json = |text: &str| {
            let value = serde_json::from_str(text);
            value.unwrap_or_else(|error| panic!("{table}: {key}: {text}: {error}"))
        };
        let code = |cell: &str| Some(cell.strip_prefix('`')?.strip_suffix('`')?.to_owned());
        Row {
            key: code(key).unwrap_or_else(|| panic!("{table}: {key}")),
            bounds: bounds(kind),
            default: match code(default) {
                Some(text) => Default::Same(json(&text)),
                None if default.starts_with("required") => Default::Required,
                None if default == "ignored" => Default::Ignored,
                None => Default::Words,
            },
            example: json(&match code(example) {
                Some(text) => text,
                None if example == "below" => {
                    let key = code(key).unwrap_or_default();
                    below(page, table, &key).unwrap_or_else(|| panic!("{table}: {key}"))
                }
                None => panic!("{table}: {key}: {example}"),
            }),
        }
    };
    rows.into_iter().map(row).collect()
}

/// The keys whose meaning stands in the list after a table: "* `ip`, `port`: the server".
fn meanings(page: &str, table: &str) -> BTreeSet<String> {
    let section = section(page, &format!("<!-- keys: {table} -->"));
    let items = section.lines().filter_map(|line| line.strip_prefix("* "));
    let heads = items.filter_map(|item| item.split_once(": "));
    heads.flat_map(|(head, _)| ticked(head)).collect()
}

/// The numbers around the word "to".
fn bounds(kind: &str) -> Option<(i64, i64)> {
    let (before, after) = kind.split_once(" to ")?;
    let least = before.rsplit(' ').next()?.parse().ok()?;
    let greatest = after.split([' ', ',']).next()?.parse().ok()?;
    Some((least, greatest))
}

/// An example that is too long for the table. It is a line of its own in the list after the table.
fn below(page: &str, table: &str, key: &str) -> Option<String> {
    let section = section(page, &format!("<!-- keys: {table} -->"));
    let mut lines = section.lines();
    lines.find(|line| {
        let head = line
            .strip_prefix("* ")
            .and_then(|item| item.split_once(": "));
        head.is_some_and(|(head, _)| ticked(head).iter().any(|ticked| ticked == key))
    })?;
    let item = lines.take_while(|line| !line.starts_with("* "));
    let mut codes = item.filter_map(|line| line.trim().strip_prefix('`')?.strip_suffix('`'));
    codes.next().map(str::to_owned)
}

/// Checks that a program, `server` or `client`, reads all whole files of the pages and of `examples/`, and ignores no key
/// of them. `load` reads a file and returns its warnings.
pub(crate) fn read_whole_files(
    program: &str,
    load: impl Fn(&Path) -> Result<Vec<String>, ConfigError>,
) {
    let folder = tempfile::tempdir().unwrap();
    put_certificates(folder.path());
    let path = folder.path().join(format!("{program}_config.json"));
    let (files, full) = (whole_files(program), format!("{program}_full.json"));
    assert!(files.iter().any(|(name, _)| *name == full));
    for (name, text) in files {
        fs::write(&path, text).unwrap();
        let warnings = load(&path).unwrap_or_else(|error| panic!("{name}: {}", error.report()));
        let all = warnings.join("\n");
        assert!(!all.contains("ignored"), "{name}: {all}");
    }
}

/// Whole configuration files of one program, with the place of each: those of `examples/`, which
/// are called `server_*.json` and `client_*.json`, and the blocks of the pages that are marked with
/// `json server_config.json` or `json client_config.json`.
fn whole_files(program: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for path in files("examples", "json") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_named = ["server_", "client_"].iter().any(|p| name.starts_with(p));
        assert!(
            is_named,
            "the name of examples/{name} must begin with server_ or client_"
        );
        if name.starts_with(program) {
            all.push((name.to_owned(), fs::read_to_string(&path).unwrap()));
        }
    }
    let pages = files("docs", "md")
        .into_iter()
        .chain([root().join("README.md")]);
    for path in pages {
        let page = fs::read_to_string(&path).unwrap();
        let mark = format!("```json {program}_config.json\n");
        for block in page.split(&mark).skip(1) {
            let (block, _) = block.split_once("\n```").unwrap();
            all.push((path.display().to_string(), block.to_owned()));
        }
    }
    all
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    assert!(!paths.is_empty(), "{folder} has no .{extension}");
    paths
}

/// Copies certificates and keys to the names that the examples use.
pub(crate) fn put_certificates(folder: &Path) {
    let source = root().join("netroxy-net/tests/tls");
    for (name, from) in [
        ("ca.pem", "ec.pem"),
        ("priv.key", "ec-pkcs8.key"),
        ("www.pem", "ed25519.pem"),
        ("www.key", "ed25519.key"),
        ("clients.pem", "signed-ca.pem"),
        ("client.pem", "ec.pem"),
        ("client.key", "ec-pkcs8.key"),
    ] {
        fs::copy(source.join(from), folder.join(name)).unwrap();
    }
}

/// The flags and commands of a program on the page, in the form of [`netroxy_manual::flags`].
pub(crate) fn told_flags(program: &str) -> BTreeSet<(String, String)> {
    let page = page();
    let rows = cells(&page, &format!("<!-- flags: {program} -->"));
    let row = |cells: Vec<&str>| {
        let what = ticked(cells[0]).first().cloned().unwrap_or_default();
        // The name of the value is left out.
        let words = what.split(' ').filter(|word| {
            word.starts_with("--") || word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        });
        let flag = words.collect::<Vec<_>>().join(" ");
        (flag, ticked(cells[1]).first().cloned().unwrap_or_default())
    };
    rows.into_iter().map(row).collect()
}

/// The folder of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `docs/configuration.md`.
pub(crate) fn page() -> String {
    fs::read_to_string(root().join("docs/configuration.md")).unwrap()
}

/// The text from the comment that names a table to the next comment or heading.
fn section<'a>(page: &'a str, comment: &str) -> &'a str {
    let (_, rest) = page.split_once(comment).unwrap_or_else(|| {
        panic!("docs/configuration.md has no {comment}");
    });
    assert!(!rest.contains(comment), "{comment} stands there twice");
    let end = ["\n<!-- ", "\n#"].iter().filter_map(|end| rest.find(end));
    &rest[..end.min().unwrap_or(rest.len())]
}

/// The rows of the table after a comment, without the head, each as its cells.
pub(crate) fn cells<'a>(page: &'a str, comment: &str) -> Vec<Vec<&'a str>> {
    let lines = section(page, comment).lines();
    let rows = lines.filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows: Vec<Vec<_>> = rows.map(|row| row.split(" | ").collect()).collect();
    assert!(rows.len() > 1, "{comment}: no table");
    rows.into_iter().skip(1).collect()
}

/// The parts of a text in backticks.
fn ticked(text: &str) -> Vec<String> {
    let parts = text.split('`').enumerate();
    let inside = parts.filter(|(at, _)| at % 2 == 1);
    inside.map(|(_, part)| part.to_owned()).collect()
}
