//! Fake clients with completely wrong behaviour: they must pass no case, except cases that expect that behaviour.
//!
//! The fake is this test program: the manifest starts it with one test selected, and an environment variable sets its
//! behaviour.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// The environment variable with the behaviour of the fake.
const BEHAVIOUR: &str = "NETROXY_FAKE_CLIENT";

/// Not a test, but the fake: it does nothing unless the variable is set.
#[test]
fn fake() {
    if let Ok(behaviour) = std::env::var(BEHAVIOUR) {
        behave(&behaviour);
    }
}

fn behave(behaviour: &str) {
    let (logs_in, behaviour) = match behaviour.strip_prefix("logs in, ") {
        Some(behaviour) => (true, behaviour),
        None => (false, behaviour),
    };
    let config = std::fs::read_to_string("client_config.json").unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    loop {
        sleep(Duration::from_millis(5));
        if behaviour == "absent" {
            continue;
        }
        let Ok(stream) = TcpStream::connect(config["address"].as_str().unwrap()) else {
            continue;
        };
        let config = config.clone();
        let behaviour = behaviour.to_owned();
        // One connection at a time: after its end the client reconnects.
        std::thread::spawn(move || converse(stream, logs_in, &behaviour, &config))
            .join()
            .unwrap();
    }
}

fn converse(mut stream: TcpStream, logs_in: bool, behaviour: &str, config: &Value) {
    let text = |key: &str| config[key].as_str().unwrap().to_owned();
    if logs_in {
        let login = format!("ATH\nfake\n{}\n{}\n", text("user"), text("pass"));
        let _ = stream.write_all(login.as_bytes());
    }
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut next = move || lines.next().and_then(Result::ok);
    match behaviour {
        "close" => drop(next),
        "mute" => while next().is_some() {},
        // Neither reads nor closes nor reconnects.
        "stop" => loop {
            sleep(Duration::from_secs(1000));
        },
        "noise" => {
            let _ = stream.write_all(&[0x9b, 0x0a, 0xff, 0x00, 0x41, 0x0a, 0x54]);
            while next().is_some() {}
        }
        "echo" => {
            while let Some(line) = next() {
                let _ = stream.write_all(format!("{line}\n").as_bytes());
            }
        }
        // Does everything that needs no data connection.
        "map" => {
            while let Some(line) = next() {
                if line != "ARS" || next().as_deref() != Some("true") {
                    continue;
                }
                for mapping in config["mappings"].as_array().unwrap() {
                    let mapping = mapping.as_str().unwrap();
                    let _ = stream.write_all(format!("MAP\n{mapping}\n").as_bytes());
                }
                for _ in 0..60 {
                    let _ = stream.write_all(b"SRQ\n");
                    sleep(Duration::from_millis(300));
                }
            }
        }
        _ => panic!("unknown behaviour {behaviour}"),
    }
    let _ = stream.flush();
    let _ = stream.take_error();
    let _ = (&stream).take(0).read(&mut []);
}

/// The exit code, the verdicts by case, and the output.
fn judge(behaviour: &str) -> (i32, BTreeMap<String, String>, String) {
    judge_by(behaviour, &[])
}

fn judge_by(behaviour: &str, ids: &[&str]) -> (i32, BTreeMap<String, String>, String) {
    let folder = TempDir::new().unwrap();
    let manifest = folder.path().join("fake.json");
    let report = folder.path().join("report.json");
    let own = std::env::current_exe().unwrap();
    let text = json!({
        "name": "fake", "role": "client", "transports": ["plain"],
        "launch": {
            "command": [own, "--exact", "clients::fake", "--nocapture"],
            "files": { "client_config.json": { "json": {
                "address": "{{host}}:{{port}}", "user": "{{user}}", "pass": "{{pass}}",
                "mappings": { "each": "mapping",
                    "item": "{{remote_port}}\n{{target_host}}:{{target_port}}\n{{open}}" },
            } } },
        },
    });
    std::fs::write(&manifest, text.to_string()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_netroxy-conformance"))
        .env(BEHAVIOUR, behaviour)
        .args(["run", "client", "--profile", "hardened", "-j", "64"])
        .args(["--time-scale", "0.2", "--sut", manifest.to_str().unwrap()])
        .args(["--report", &format!("json:{}", report.display())])
        .args(ids)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let verdicts = std::fs::read_to_string(report).map_or_else(
        |_| BTreeMap::new(),
        |report| {
            let report: Value = serde_json::from_str(&report).unwrap();
            let results = report["results"].as_array().unwrap().iter();
            let pair = |key: &str, one: &Value| one[key].as_str().unwrap().to_owned();
            results
                .map(|one| (pair("id", one), pair("verdict", one)))
                .collect()
        },
    );
    (output.status.code().unwrap(), verdicts, text)
}

/// The cases that were run and not failed.
fn good(verdicts: &BTreeMap<String, String>) -> Vec<&str> {
    assert!(verdicts.len() > 50, "{}", verdicts.len());
    verdicts
        .iter()
        .filter(|(_, verdict)| matches!(verdict.as_str(), "pass" | "nonstrict"))
        .map(|(id, _)| id.as_str())
        .collect()
}

#[test]
fn a_client_that_does_not_log_in_is_not_judged() {
    for (behaviour, why) in [
        ("absent", "it has not connected within 1.2 s"),
        ("close", "expected ctl   < ATH"),
        ("mute", "got nothing"),
        ("noise", "expected ctl   < ATH"),
        ("echo", "got nothing"),
    ] {
        let (code, verdicts, text) = judge(behaviour);
        assert_eq!(code, 3, "{behaviour}: {text}");
        assert!(text.contains(why), "{behaviour}: {text}");
        assert!(verdicts.is_empty(), "{behaviour}: {text}");
    }
}

#[test]
fn a_client_that_logs_in_and_closes_passes_nothing() {
    let (code, verdicts, text) = judge("logs in, close");
    assert_eq!((code, good(&verdicts)), (1, vec![]), "{text}");
}

#[test]
fn a_client_that_logs_in_and_then_does_nothing_passes_nothing() {
    let (code, verdicts, text) = judge("logs in, mute");
    assert_eq!((code, good(&verdicts)), (1, vec![]), "{text}");
}

#[test]
fn a_client_that_stops_after_its_login_has_the_verdict_hang() {
    let (code, verdicts, text) = judge_by("logs in, stop", &["client/auth/refused@plain"]);
    let hang = BTreeMap::from([("client/auth/refused".to_owned(), "hang".to_owned())]);
    assert_eq!((code, verdicts), (1, hang), "{text}");
    let told = "it hangs: it neither closed nor connected again in ";
    let seconds = text
        .split_once(told)
        .map(|(_, rest)| rest.split_once(" s ").unwrap().0);
    let seconds: f64 = seconds.unwrap_or_else(|| panic!("{text}")).parse().unwrap();
    // A fifth of 15 s because of the time scale, and more on a busy machine.
    assert!((3.0..15.0).contains(&seconds), "{text}");
}

#[test]
fn a_client_that_logs_in_and_sends_noise_passes_nothing() {
    let (code, verdicts, text) = judge("logs in, noise");
    assert_eq!((code, good(&verdicts)), (1, vec![]), "{text}");
}

#[test]
fn a_client_that_logs_in_and_echoes_passes_nothing() {
    let (code, verdicts, text) = judge("logs in, echo");
    assert_eq!((code, good(&verdicts)), (1, vec![]), "{text}");
}

/// It requests its mappings and keeps the connection alive, but never opens a tunnel.
#[test]
fn a_client_without_tunnels_passes_only_cases_without_tunnels() {
    let (code, verdicts, text) = judge("logs in, map");
    assert_eq!(
        (code, good(&verdicts)),
        (
            1,
            vec![
                "client/auth/late-answer",
                "client/auth/slow-answer",
                "client/auth/timeout-shortest",
                "client/frame/sender-whole",
                "client/keepalive/interval",
                "client/keepalive/stays",
                "client/life/closed-four-times",
                "client/life/refused-four-times",
                "client/life/reset-before-login",
                "client/map/all-refused",
                "client/map/none",
                "client/map/order",
            ]
        ),
        "{text}"
    );
}
