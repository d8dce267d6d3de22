//! Good and bad codecs to judge.

use std::io::{self, BufRead as _, Write as _};
use std::process::ExitCode;
use std::thread;

use serde_json::{Value, json};

use crate::codec;

/// The argument that makes this program a codec; the next argument names the codec.
pub(crate) const FLAG: &str = "--codec";

/// The vector at which some codecs fail.
pub(crate) const TRAP: u64 = 2;

/// Is a codec until the input ends.
pub(crate) fn play(kind: &str, arguments: &[String]) -> ExitCode {
    if kind == "good" {
        return codec::main().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    if let Some(path) = arguments.first() {
        std::fs::write(path, std::process::id().to_string()).unwrap();
    }
    let mut held = Vec::new();
    for line in io::stdin().lock().lines() {
        let question: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let trapped = question["id"] == TRAP;
        match kind {
            "dies" if trapped => return ExitCode::from(7),
            "hangs" if trapped => sleep(),
            "silent" => sleep(),
            "unflushed" => held.push(good(&question)),
            "floods" if trapped => flood(),
            "rubbish" if trapped => say(&"what?"),
            "chatty" if trapped => {
                say(&"{}\n{}");
            }
            "always-open" => say(&json!({"messages": [["SRQ"]], "consumed": 4, "state": "open"})),
            "always-invalid" => say(&json!({"messages": [], "consumed": 0, "state": "invalid"})),
            "unsupported" => say(&json!({ "unsupported": true })),
            "echo" => say(&question),
            _ => say(&differently(kind, question)),
        }
    }
    held.iter().for_each(|answer| say(answer));
    ExitCode::SUCCESS
}

/// The good answer to a misread question.
fn differently(kind: &str, mut question: Value) -> Value {
    let chunks: Vec<String> = question["chunks"]
        .as_array()
        .map(|all| {
            all.iter()
                .map(|chunk| chunk.as_str().unwrap().to_owned())
                .collect()
        })
        .unwrap_or_default();
    let whole = chunks.concat();
    match kind {
        "client-only" if question["from"] == "server" => return json!({ "unsupported": true }),
        // Skips the line.
        "lenient" if whole == "58595a0a5352510a" => {
            return json!({"messages": [["SRQ"]], "consumed": 8, "state": "open"});
        }
        // Treats the end of the stream as the end of a line.
        "ends-lines" if question["end"] == true && !whole.is_empty() => {
            question["chunks"] = json!([whole + "0a"]);
        }
        // Treats each read as a separate stream.
        "no-memory" if chunks.len() > 1 => question["chunks"] = json!([chunks.last()]),
        // Accepts what a good codec refuses.
        "deaf" if question["op"] == "encode" => {
            let lines = question["message"].as_array().unwrap();
            let line = |line: &Value| format!("{}\n", line.as_str().unwrap());
            let text: String = lines.iter().map(line).collect();
            let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
            return json!({ "hex": hex });
        }
        "wrong-id" => {
            let mut answer = good(&question);
            answer["id"] = json!(TRAP + 1_000_000);
            return answer;
        }
        _ => {}
    }
    good(&question)
}

fn good(question: &Value) -> Value {
    codec::answer(question).unwrap_or_else(|why| json!({ "error": why }))
}

fn say(what: &dyn std::fmt::Display) {
    let mut out = io::stdout().lock();
    writeln!(out, "{what}").and_then(|()| out.flush()).unwrap();
}

fn sleep() {
    loop {
        thread::park();
    }
}

fn flood() {
    let mut out = io::stdout().lock();
    while out.write_all(&[b'x'; 1 << 16]).is_ok() {}
}
