//! Placeholders: `{{name}}`, `{{name:int}}`, `{{name:bool}}`. The types give generated JSON its numbers and booleans.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The placeholder for the file with the certificate that a client has to trust. Without one it is null in JSON and
/// empty in text.
pub(crate) const CA_FILE: &str = "ca_file";

/// The values of placeholders.
#[derive(Debug, Clone, Default)]
pub(crate) struct Vars {
    /// For all places.
    pub(crate) common: BTreeMap<&'static str, Value>,
    /// For the inside of `{"each": "mapping", "item": ...}`, one entry for each mapping.
    pub(crate) mappings: Vec<BTreeMap<&'static str, Value>>,
}

/// A text that cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Such as `tls.port`.
    pub(crate) path: String,
    /// The string with the error, to find its position.
    pub(crate) text: String,
    /// What is wrong with it.
    pub(crate) message: String,
}

/// Fills in a JSON value.
pub(crate) fn render(value: &Value, vars: &Vars) -> Result<Value, Misfit> {
    at(value, vars, &vars.common, "")
}

/// Fills in a text; the types are checked, then written as text.
pub(crate) fn render_text(text: &str, vars: &Vars) -> Result<String, Misfit> {
    interpolate(text, &vars.common, "")
}

fn at(
    value: &Value,
    vars: &Vars,
    scope: &BTreeMap<&'static str, Value>,
    path: &str,
) -> Result<Value, Misfit> {
    match value {
        Value::String(text) => match whole(text) {
            Some(name) => lookup(name, scope, text, path),
            None => interpolate(text, scope, path).map(Value::String),
        },
        Value::Array(items) => {
            let filled = items
                .iter()
                .enumerate()
                .map(|(index, item)| at(item, vars, scope, &format!("{path}[{index}]")));
            filled.collect::<Result<_, _>>().map(Value::Array)
        }
        Value::Object(fields) => match (fields.get("each"), fields.get("item"), fields.len()) {
            (Some(Value::String(each)), Some(item), 2) => for_each(each, item, vars, path),
            _ => object(fields, vars, scope, path),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
    }
}

fn object(
    fields: &Map<String, Value>,
    vars: &Vars,
    scope: &BTreeMap<&'static str, Value>,
    path: &str,
) -> Result<Value, Misfit> {
    let dot = if path.is_empty() { "" } else { "." };
    let filled = fields.iter().map(|(key, item)| {
        Ok((
            key.clone(),
            at(item, vars, scope, &format!("{path}{dot}{key}"))?,
        ))
    });
    filled.collect::<Result<_, _>>().map(Value::Object)
}

fn for_each(each: &str, item: &Value, vars: &Vars, path: &str) -> Result<Value, Misfit> {
    if each != "mapping" {
        let message = format!("cannot repeat for each `{each}`: only `mapping` is known");
        return Err(Misfit {
            path: format!("{path}.each"),
            text: each.to_owned(),
            message,
        });
    }
    let filled = vars.mappings.iter().map(|mapping| {
        let mut scope = vars.common.clone();
        scope.extend(mapping.clone());
        at(item, vars, &scope, &format!("{path}.item"))
    });
    filled.collect::<Result<_, _>>().map(Value::Array)
}

/// The inside of a text that is exactly one placeholder.
fn whole(text: &str) -> Option<&str> {
    let name = text.strip_prefix("{{")?.strip_suffix("}}")?;
    (!name.contains("{{") && !name.contains("}}")).then_some(name)
}

fn interpolate(
    text: &str,
    scope: &BTreeMap<&'static str, Value>,
    path: &str,
) -> Result<String, Misfit> {
    let Some(pieces) = cut(text) else {
        return Err(Misfit {
            path: path.to_owned(),
            text: text.to_owned(),
            message: "`{{` without `}}`".to_owned(),
        });
    };
    let mut out = String::new();
    for piece in pieces {
        match piece {
            Cut::Text(text) => out.push_str(text),
            Cut::Placeholder(name) => match lookup(name, scope, text, path)? {
                Value::String(value) => out.push_str(&value),
                Value::Null => {}
                value => out.push_str(&value.to_string()),
            },
        }
    }
    Ok(out)
}

/// A piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut<'a> {
    Text(&'a str),
    /// The inside of `{{...}}`.
    Placeholder(&'a str),
}

/// A text cut at its placeholders; `None` when one has no end.
pub(super) fn cut(text: &str) -> Option<Vec<Cut<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, more)) = rest.split_once("{{") {
        let (name, after) = more.split_once("}}")?;
        pieces.extend([Cut::Text(before), Cut::Placeholder(name)]);
        rest = after;
    }
    pieces.push(Cut::Text(rest));
    Some(pieces)
}

/// The value of the inside of a placeholder.
pub(super) fn lookup(
    inside: &str,
    scope: &BTreeMap<&'static str, Value>,
    text: &str,
    path: &str,
) -> Result<Value, Misfit> {
    let misfit = |message| Misfit {
        path: path.to_owned(),
        text: text.to_owned(),
        message,
    };
    let (name, kind) = inside.split_once(':').unwrap_or((inside, "text"));
    let Some(value) = scope.get(name) else {
        let known: Vec<&str> = scope.keys().copied().collect();
        return Err(misfit(format!(
            "no placeholder is called `{name}`; here are {}",
            known.join(", ")
        )));
    };
    match (kind, value) {
        ("text", Value::String(_) | Value::Null)
        | ("int", Value::Number(_))
        | ("bool", Value::Bool(_)) => Ok(value.clone()),
        ("text", value) => Ok(Value::String(value.to_string())),
        ("int" | "bool", _) => Err(misfit(format!("`{name}` is no {kind}"))),
        _ => Err(misfit(format!(
            "`{kind}` is no type; there are int and bool"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_the_types_of_placeholders() {
        let common = BTreeMap::from([("port", Value::from(7)), ("user", Value::from("u"))]);
        let mappings = vec![BTreeMap::from([("open", Value::from(true))])];
        let vars = Vars { common, mappings };
        let source = serde_json::json!({"p": "{{port:int}}", "a": "{{user}}@{{port}}",
            "m": {"each": "mapping", "item": {"o": "{{open:bool}}"}}});
        let filled = serde_json::json!({"p": 7, "a": "u@7", "m": [{"o": true}]});
        assert_eq!(render(&source, &vars), Ok(filled));
        let wrong = render(&serde_json::json!({"a": {"b": ["{{pot:int}}"]}}), &vars).unwrap_err();
        assert_eq!(wrong.path, "a.b[0]");
        assert!(wrong.message.contains("`pot`"), "{wrong:?}");
        assert!(render(&serde_json::json!("{{user:int}}"), &vars).is_err());
    }
}
