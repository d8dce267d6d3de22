//! The list of vectors.

use netroxy_specification::vectors::{Task, Vector};
use serde_json::{Value, json};

use crate::report::out;

/// Every vector: one a line, or as JSON with the whole content of its file.
pub(crate) fn list(vectors: &[Vector], as_json: bool) {
    if as_json {
        let all: Vec<Value> = vectors.iter().map(whole).collect();
        out(&format!("{:#}\n", Value::Array(all)));
        return;
    }
    for vector in vectors {
        let (id, op, from) = (vector.id, op(vector), json!(vector.from));
        let from = from.as_str().unwrap_or_default();
        let result = vector.source["result"].as_str().unwrap_or_default();
        out(&format!(
            "{id:>4}  {op} {from}  {result:10}  {}\n",
            vector.comment
        ));
    }
}

fn op(vector: &Vector) -> &'static str {
    match vector.task {
        Task::Decode { .. } => "decode",
        Task::Encode { .. } => "encode",
    }
}

fn whole(vector: &Vector) -> Value {
    let mut whole = vector.source.clone();
    if let Value::Object(members) = &mut whole {
        members.insert("op".to_owned(), op(vector).into());
        members.insert("from".to_owned(), json!(vector.from));
        members.insert("file".to_owned(), vector.file.clone().into());
    }
    whole
}
