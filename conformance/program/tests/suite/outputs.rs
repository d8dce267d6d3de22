//! Output files: complete or absent, with the right permissions, and checked before anything runs.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netroxy-conformance"));
    command.args(arguments);
    command
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs the program with a limit for the length of files, in blocks of 512 bytes. It has the effect of a full disk.
fn cramped(blocks: u32, arguments: &[&str]) -> Output {
    let script = format!("ulimit -f {blocks}; exec \"$@\"");
    Command::new("sh")
        .args([
            "-c",
            &script,
            "sh",
            env!("CARGO_BIN_EXE_netroxy-conformance"),
        ])
        .args(arguments)
        .output()
        .unwrap()
}

/// A recording of one case.
fn recorded(folder: &TempDir) -> String {
    let record = folder.path().join("recorded").display().to_string();
    let run = program(&[
        "run",
        "server",
        "server/auth/good-login@plain",
        "--record",
        &record,
    ]);
    let run = { run }.output().unwrap();
    assert_eq!(run.status.code(), Some(0), "{}", err(&run));
    format!("{record}/server/auth/good-login.recording")
}

fn mode(path: &str) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn count(folder: &Path) -> usize {
    folder.read_dir().unwrap().count()
}

#[test]
fn standard_output_to_a_full_disk_is_an_error_and_a_closed_pipe_is_none() {
    let commands: [&[&str]; 13] = [
        &["spec", "html"],
        &["list", "cases", "--json"],
        &["list", "rules"],
        &["list", "sut"],
        &["list", "vectors", "--json"],
        &["vectors", "list"],
        &["report", "schema"],
        &["sut", "schema"],
        &["baseline", "schema"],
        &["explain", "tunnel.half-close"],
        &["selftest", "--list"],
        &["--help"],
        &["run", "server", "server/auth/good-login@plain"],
    ];
    for command in commands {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ended = program(command).stdout(full).output().unwrap();
        let told = "error: cannot write to standard output: No space left on device";
        assert!(
            err(&ended).starts_with(told),
            "{command:?}: {}",
            err(&ended)
        );
        assert_eq!(ended.status.code(), Some(5), "{command:?}");
        let mut ended = program(command)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(ended.stdout.take());
        let ended = ended.wait_with_output().unwrap();
        assert_eq!(
            (ended.status.code(), err(&ended).as_str()),
            (Some(0), ""),
            "{command:?}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_written_keeps_its_old_content() {
    let folder = TempDir::new().unwrap();
    let recording = recorded(&folder);
    let place = TempDir::new().unwrap();
    let out = place.path().join("out").display().to_string();
    let (html, json) = (format!("html:{out}"), format!("json:{out}"));
    let one = "server/auth/good-login@plain";
    let commands: [&[&str]; 4] = [
        &["spec", "html", "--out", &out],
        &["export", &recording, "--pcap", &out],
        &["run", "server", one, "--report", &html],
        &["run", "server", one, "--report", &json],
    ];
    for command in commands {
        fs::write(&out, "older").unwrap();
        let ended = cramped(1, command);
        assert!(
            err(&ended).contains("File too large"),
            "{command:?}: {}",
            err(&ended)
        );
        assert!(err(&ended).contains("error: "), "{command:?}");
        assert_eq!(ended.status.code(), Some(5), "{command:?}");
        assert_eq!(fs::read(&out).unwrap(), b"older", "{command:?}");
        assert_eq!(count(place.path()), 1, "{command:?}");
        let ended = program(command).output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{command:?}: {}", err(&ended));
        assert!(fs::metadata(&out).unwrap().len() > 512, "{command:?}");
    }
}

#[test]
fn missing_recordings_are_counted() {
    let folder = TempDir::new().unwrap();
    let record = folder.path().join("r").display().to_string();
    let ended = cramped(
        8,
        &[
            "run",
            "server",
            "server/map/many",
            "server/map/hundred-answers",
            "--record",
            &record,
        ],
    );
    assert_eq!(ended.status.code(), Some(5), "{}", err(&ended));
    assert!(err(&ended).contains("File too large"), "{}", err(&ended));
    assert!(
        err(&ended).contains("1 more recording is missing"),
        "{}",
        err(&ended)
    );
}

#[test]
fn recordings_and_captures_are_readable_only_by_their_owner() {
    let folder = TempDir::new().unwrap();
    let recording = recorded(&folder);
    assert_eq!(mode(&recording), 0o600);
    fs::set_permissions(&recording, Permissions::from_mode(0o644)).unwrap();
    recorded(&folder);
    assert_eq!(mode(&recording), 0o600);
    let capture = folder.path().join("c").display().to_string();
    fs::write(&capture, "").unwrap();
    fs::set_permissions(&capture, Permissions::from_mode(0o666)).unwrap();
    let export = program(&["export", &recording, "--pcap", &capture]).output();
    assert_eq!(export.unwrap().status.code(), Some(0));
    assert_eq!(mode(&capture), 0o600);
}

#[test]
fn paths_and_names_are_checked_before_anything_runs() {
    let folder = TempDir::new().unwrap();
    let recording = recorded(&folder);
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let named = |name: &str| {
        format!(
            r#"{{"name":{name},"role":"server","launch":{{"command":["sh","-c","touch started"]}}}}"#
        )
    };
    let one = "server/auth/good-login";
    let nowhere = folder.path().join("no/where").display().to_string();
    let report = format!("json:{nowhere}");
    let good = write("good.json", &named(r#""good""#));
    let tap = ["tap", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:1"];
    let here = folder.path().display().to_string();
    let cases: [(&[&str], &str); 14] = [
        (
            &["run", "server", one, "--report", &report],
            "there is no folder",
        ),
        (
            &["run", "server", one, "--record", &good],
            "good.json is not a folder",
        ),
        (
            &["run", "server", one, "--record", "/proc/1/x"],
            "cannot write to /proc/1: ",
        ),
        (
            &["baseline", "write", "--sut", &good, "--out", &nowhere],
            "there is no folder",
        ),
        (
            &["baseline", "write", "--sut", &good, "--out", &here],
            "is a folder",
        ),
        (&["spec", "html", "--out", &nowhere], "there is no folder"),
        (
            &["export", &recording, "--pcap", &nowhere],
            "there is no folder",
        ),
        (
            &["export", &recording, "--pcap", &recording],
            "is the recording itself",
        ),
        (
            &["selftest", "srs-twice", "--write", &nowhere],
            "there is no folder",
        ),
        (
            &["fuzz", "server", "--runs", "1", "--out", &good],
            "good.json is not a folder",
        ),
        (
            &[&tap[..], &["--record", &nowhere]].concat(),
            "there is no folder",
        ),
        (&[&tap[..], &["--pcap", &here]].concat(), "is a folder"),
        (
            &[&tap[..], &["--pcap", &good, "--record", &good]].concat(),
            "--record and --pcap both name",
        ),
        (&["format", "/dev/full"], "/dev/full"),
    ];
    for (command, why) in cases {
        let ended = program(command).current_dir(&folder).output().unwrap();
        assert_eq!(ended.status.code(), Some(2), "{command:?}: {}", err(&ended));
        let told = err(&ended);
        assert!(
            told.starts_with("error: ") && told.contains(why),
            "{command:?}: {told}"
        );
        assert_eq!(ended.stdout, b"", "{command:?} has started something");
    }
    for (name, why) in [
        ("\"\"", "is empty"),
        ("\"a/b\"", "`a/b` is a path"),
        ("\"../out\"", "`../out` begins with a dot"),
        ("\".hidden\"", "`.hidden` begins with a dot"),
        ("\"a\\\\b\"", "is a path"),
        ("\"a\\nb\"", "holds a control character"),
        ("\" a\"", "begins or ends with a blank"),
        (
            &format!("\"{}\"", "a".repeat(129)),
            "is longer than 128 bytes",
        ),
    ] {
        let sut = write("bad.json", &named(name));
        let ended = program(&["baseline", "write", "--sut", &sut]);
        let ended = { ended }.current_dir(&folder).output().unwrap();
        assert_eq!(ended.status.code(), Some(2), "{name}: {}", err(&ended));
        let told = err(&ended);
        assert!(
            told.contains("bad.json:1:9: name: ") && told.contains(why),
            "{told}"
        );
    }
    assert!(!folder.path().join("started").exists());
}

#[test]
fn a_cut_recording_is_reported_as_cut() {
    let folder = TempDir::new().unwrap();
    let whole = recorded(&folder);
    let text = fs::read_to_string(&whole).unwrap();
    assert!(text.ends_with(" steps\n"), "{text}");
    let cut = folder.path().join("cut").display().to_string();
    let lines = text.lines().count();
    let before_end = text.len() - text.lines().last().unwrap().len() - 1;
    for (length, why) in [
        (before_end, "its last line is missing".to_owned()),
        (
            before_end - 4,
            format!("line {} is cut in its middle", lines - 1),
        ),
    ] {
        fs::write(&cut, &text[..length]).unwrap();
        let judged = program(&["replay", &cut]).output().unwrap();
        let said = String::from_utf8(judged.stdout).unwrap();
        let told = format!("replay: the recording is cut: {why}");
        assert!(said.contains(&told), "{said}");
        for command in [
            &["replay", &cut, "--case"][..],
            &["export", &cut, "--pcap", "/dev/null"],
        ] {
            let ended = program(command).output().unwrap();
            let told = format!("note: the recording is cut: {why}");
            assert!(err(&ended).contains(&told), "{}", err(&ended));
        }
    }
    let judged = program(&["replay", &whole]).output().unwrap();
    assert!(!String::from_utf8(judged.stdout).unwrap().contains("cut"));
}

#[test]
fn format_keeps_the_mode_of_a_case_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a.case").display().to_string();
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../spec/v0.3/cases/server/auth/good-login.case"
    );
    let mut text = String::new();
    File::open(source)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    fs::write(&file, text.replace("title    ", "title ")).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o604)).unwrap();
    let ended = program(&["format", &file]).output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", err(&ended));
    assert_eq!(
        (fs::read_to_string(&file).unwrap(), mode(&file)),
        (text, 0o604)
    );
    assert_eq!(count(folder.path()), 1);
}
