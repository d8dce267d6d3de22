//! Clients that are wrong in every way: what they do not do, they must not pass.
//!
//! The fake is this very test program: the manifest starts it again with one test selected, and the environment
//! tells it how to behave.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// How the fake behaves.
const MANNERS: &str = "NETROXY_FAKE_CLIENT";

/// Not a test, but the fake: it does nothing unless it has been started as one.
#[test]
fn fake() {
    if let Ok(manners) = std::env::var(MANNERS) {
        behave(&manners);
    }
}

fn behave(manners: &str) {
    let (polite, manners) = match manners.strip_prefix("polite ") {
        Some(manners) => (true, manners),
        None => (false, manners),
    };
    let config = std::fs::read_to_string("client_config.json").unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    loop {
        sleep(Duration::from_millis(5));
        if manners == "absent" {
            continue;
        }
        let Ok(stream) = TcpStream::connect(config["address"].as_str().unwrap()) else {
            continue;
        };
        let config = config.clone();
        let manners = manners.to_owned();
        // One at a time: what comes after the end of a connection is a new attempt.
        std::thread::spawn(move || converse(stream, polite, &manners, &config))
            .join()
            .unwrap();
    }
}

fn converse(mut stream: TcpStream, polite: bool, manners: &str, config: &Value) {
    let text = |key: &str| config[key].as_str().unwrap().to_owned();
    if polite {
        let login = format!("ATH\nfake\n{}\n{}\n", text("user"), text("pass"));
        let _ = stream.write_all(login.as_bytes());
    }
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut next = move || lines.next().and_then(Result::ok);
    match manners {
        "slam" => drop(next),
        "mute" => while next().is_some() {},
        // Neither reads nor closes nor connects again.
        "deaf" => loop {
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
        // Takes part in everything that it can do without a data connection.
        "eager" => {
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
        _ => panic!("unknown manners {manners}"),
    }
    let _ = stream.flush();
    let _ = stream.take_error();
    let _ = (&stream).take(0).read(&mut []);
}

/// The exit code, the verdicts by case, and the output.
fn judge(manners: &str) -> (i32, BTreeMap<String, String>, String) {
    judge_by(manners, &[])
}

fn judge_by(manners: &str, ids: &[&str]) -> (i32, BTreeMap<String, String>, String) {
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
        .env(MANNERS, manners)
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
    for (manners, why) in [
        ("absent", "it has not connected within 1.2 s"),
        ("slam", "expected ctl   < ATH"),
        ("mute", "got nothing"),
        ("noise", "expected ctl   < ATH"),
        ("echo", "got nothing"),
    ] {
        let (code, verdicts, text) = judge(manners);
        assert_eq!(code, 3, "{manners}: {text}");
        assert!(text.contains(why), "{manners}: {text}");
        assert!(verdicts.is_empty(), "{manners}: {text}");
    }
}

#[test]
fn one_that_logs_in_and_closes_passes_nothing() {
    let (code, verdicts, text) = judge("polite slam");
    assert_eq!((code, good(&verdicts)), (1, vec![]), "{text}");
}

#[test]
fn one_that_logs_in_and_then_does_nothing_passes_nothing() {
    let (code, verdicts, text) = judge("polite mute");
    assert_eq!((code, good(&verdicts)), (1, vec![]), "{text}");
}

#[test]
fn one_that_stops_for_good_hangs() {
    let (code, verdicts, text) = judge_by("polite deaf", &["client/auth/refused@plain"]);
    let hang = BTreeMap::from([("client/auth/refused".to_owned(), "hang".to_owned())]);
    assert_eq!((code, verdicts), (1, hang), "{text}");
    let told = "it hangs: it neither closed nor connected again in ";
    let seconds = text
        .split_once(told)
        .map(|(_, rest)| rest.split_once(" s ").unwrap().0);
    let seconds: f64 = seconds.unwrap_or_else(|| panic!("{text}")).parse().unwrap();
    // A fifth of 15 s by the time scale, and more where the machine is busy.
    assert!((3.0..15.0).contains(&seconds), "{text}");
}

#[test]
fn one_that_logs_in_and_makes_noise_passes_nothing() {
    let (code, verdicts, text) = judge("polite noise");
    assert_eq!((code, good(&verdicts)), (1, vec![]), "{text}");
}

#[test]
fn one_that_logs_in_and_echoes_passes_nothing() {
    let (code, verdicts, text) = judge("polite echo");
    assert_eq!((code, good(&verdicts)), (1, vec![]), "{text}");
}

/// It asks for its mappings and keeps the connection alive, and never opens a tunnel: it passes what is about that.
#[test]
fn one_that_only_maps_and_keeps_alive_passes_only_what_asks_for_that() {
    let (code, verdicts, text) = judge("polite eager");
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
