//! Translates the messages of serde into words of the configuration file.

use serde_json::Value;

use super::value::Given;

/// The message about a wrong value. `given` is the value in the file, `sample` a valid one.
pub(super) fn wrong(message: &str, given: Option<&Value>, sample: Option<&Value>) -> String {
    let about_kind = [
        "invalid type",
        "invalid value",
        "invalid length",
        "data did not match",
    ];
    let expected = message.rsplit_once(", expected ").map(|(_, after)| after);
    if message.starts_with("unknown variant")
        && let Some(expected) = expected
    {
        return format!("expected {expected}");
    }
    if !about_kind.iter().any(|start| message.starts_with(start)) {
        return message.to_owned();
    }
    let expected = match expected.unwrap_or_default() {
        "a boolean" => kind(&Value::Bool(true)),
        "a string" | "path string" | "a borrowed string" => kind(&Value::String(String::new())),
        "a sequence" => match sample {
            Some(list @ Value::Array(_)) => kind(list),
            _ => kind(&Value::Array(Vec::new())),
        },
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => {
            kind(&Value::from(0))
        }
        _ => sample.map_or_else(|| "another kind of value".to_owned(), kind),
    };
    match given {
        Some(given) => format!("expected {expected}, but it is {}", Given(given)),
        None => format!("expected {expected}"),
    }
}

/// The name of a kind of value, with the beginning of the sample as an example.
fn kind(sample: &Value) -> String {
    match sample {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "true or false".to_owned(),
        Value::Number(_) => "a whole number".to_owned(),
        Value::String(_) => "a string, in quotes".to_owned(),
        Value::Array(items) => match items.first() {
            Some(item @ Value::Object(_)) => format!("a list: [ {}, ... ]", object(item)),
            Some(item) => format!("a list: [ {item}, ... ]"),
            None => "a list: [ ... ]".to_owned(),
        },
        Value::Object(_) => format!("an object: {}", object(sample)),
    }
}

fn object(sample: &Value) -> String {
    let first = sample.as_object().and_then(|members| members.iter().next());
    match first {
        Some((name, value)) => format!("{{ \"{name}\": {value}, ... }}"),
        None => "{ ... }".to_owned(),
    }
}

/// The message and the hint for a text that is no JSON.
pub(super) fn malformed(message: &str, text: &str) -> (String, Option<&'static str>) {
    let (said, hint) = match message {
        _ if text.trim().is_empty() => ("the file is empty", Some("it must hold { ... }")),
        "EOF while parsing an object" => ("the file ends within an object", Some("add a }")),
        "EOF while parsing a list" => ("the file ends within a list", Some("add a ]")),
        "EOF while parsing a string" => ("the file ends within a string", Some("add a \"")),
        "EOF while parsing a value" => ("the file ends where a value is expected", None),
        "expected value" => ("expected a value", None),
        "expected ident" => ("expected true, false or null", None),
        "key must be a string" => ("expected a key, in quotes", None),
        "trailing comma" => ("no value follows this comma", Some("delete the comma")),
        "recursion limit exceeded" => (
            "expected at most 127 objects and arrays in each other",
            Some("no key needs more than three: is a closing bracket missing?"),
        ),
        "invalid escape" => (
            "a \\ in a string must be followed by one of \" \\ / b f n r t u",
            Some("write \\\\ for one \\"),
        ),
        message if message.starts_with("control character") => (
            "a string must end on its line and may not hold tabs",
            Some("is a closing \" missing?"),
        ),
        message => return (message.to_owned(), None),
    };
    (said.to_owned(), hint)
}
