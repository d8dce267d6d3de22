//! Wrong flags and files: the error names the place, what was expected and what to do, and nothing starts.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

/// The exit code and standard error; standard output must be empty.
fn error(folder: &TempDir, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_netroxy-conformance"))
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert_eq!(out, "", "{arguments:?} has started something");
    let err = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), err)
}

fn assert_errors(table: &[(&[&str], i32, &[&str])], folder: &TempDir) {
    for (arguments, code, parts) in table {
        let (found, err) = error(folder, arguments);
        assert_eq!(found, *code, "{arguments:?}: {err}");
        assert!(err.starts_with("error: "), "{arguments:?}: {err}");
        for part in *parts {
            assert!(
                err.contains(part),
                "{arguments:?}: `{part}` is not in\n{err}"
            );
        }
    }
}

#[test]
fn wrong_flags_are_errors() {
    let folder = TempDir::new().unwrap();
    let user = ["--user", "u", "--pass", "p"];
    let at = |address| [&["run", "server", "--addr", address][..], &user].concat();
    for (address, why) in [
        ("127.0.0.1", "the port is missing"),
        (":10000", "the host is missing"),
        ("127.0.0.1:", "`` is not a port, a number from 1 to 65535"),
        ("127.0.0.1:0", "`0` is not a port"),
        ("127.0.0.1:99999", "`99999` is not a port"),
        (
            "no.such.host.invalid:1",
            "`no.such.host.invalid` cannot be found",
        ),
    ] {
        let (code, err) = error(&folder, &at(address));
        let told = format!("error: `{address}` is not HOST:PORT: {why}");
        assert!(code == 2 && err.starts_with(&told), "{err}");
        assert!(err.contains("hint: for example 127.0.0.1:10000"), "{err}");
    }
    assert_errors(
        &[
            (
                &["run", "server", "-j", "0"],
                2,
                &["invalid value '0' for '--jobs <N>': 0 is not in 1.."],
            ),
            (
                &["run", "server", "--server", "go-server"],
                2,
                &[
                    "--server is for the role pair, but the command judges a server",
                    "hint: use --sut go-server",
                ],
            ),
            (
                &["run", "client", "--client", "my.json"],
                2,
                &[
                    "--client is for the role pair, but the command judges a client",
                    "hint: use --sut my.json",
                ],
            ),
            (
                &["run", "pair", "--sut", "go-server"],
                2,
                &[
                    "a pair is two programs",
                    "hint: name them by --server FILE and --client FILE",
                ],
            ),
            (
                &["sut", "check", "--sut", "go-server", "--repeat", "2"],
                2,
                &["unexpected argument '--repeat'"],
            ),
            (&["run", "server", "--seed", "7"], 2, &["--shuffle"]),
            (
                &["run", "server", "--shuffle", "--seed", "0xg"],
                2,
                &["a number below 2^64, decimal or with 0x"],
            ),
            (
                &["run", "server", "--repeat", "0"],
                2,
                &["0 is not in 1..=10000"],
            ),
            (&["--shuffle", "run", "server"], 2, &["cannot be used with"]),
            (
                &["run", "server", "--profile", "lose"],
                2,
                &["possible values: wire, hardened"],
            ),
            (
                &["run", "server", "--sut", "go-sever"],
                2,
                &[
                    "go-sever: cannot read it: ",
                    "hint: did you mean `go-server`",
                ],
            ),
            (
                &["run", "server", "--baseline", "none.json"],
                2,
                &["none.json: cannot read it", "baseline write"],
            ),
            (
                &["baseline", "check", "--sut", "reference-server"],
                2,
                &[
                    "reference-server.baseline.json: cannot read it",
                    "baseline write",
                ],
            ),
        ],
        &folder,
    );
}

#[test]
fn a_selection_that_matches_nothing_is_an_error_with_a_hint() {
    let folder = TempDir::new().unwrap();
    assert_errors(
        &[
            (
                &["run", "server", "server/auth/god-login"],
                4,
                &[
                    "no server case or rule matches `server/auth/god-login`",
                    "did you mean `server/auth/good-login`",
                ],
            ),
            (
                &["run", "server", "tunnel.early-date"],
                4,
                &["did you mean `tunnel.early-data`"],
            ),
            (
                &["run", "server", "server/auth/good-login@tsl"],
                4,
                &["there is no transport `tsl`", "hint: use @plain or @tls"],
            ),
            (
                &["run", "server", "xyzzy"],
                4,
                &["`netroxy-conformance list cases` shows them all"],
            ),
            (
                &["run", "server", "auth.client-first"],
                4,
                &[
                    "auth.client-first binds clients",
                    "hint: netroxy-conformance run client auth.client-first",
                ],
            ),
            (
                &["run", "client", "server/auth/good-login@tls"],
                4,
                &[
                    "`server/auth/good-login@tls` is judged with the role server, not client",
                    "hint: netroxy-conformance run server server/auth/good-login@tls",
                ],
            ),
            (
                &["run", "server", "tls.early-data-refused"],
                4,
                &[
                    "tls.early-data-refused is not judged: a server that",
                    "hint: `netroxy-conformance explain tls.early-data-refused` shows it",
                ],
            ),
            (
                &["explain", "tunnel.half-closed"],
                4,
                &["did you mean `tunnel.half-close`"],
            ),
        ],
        &folder,
    );
}

#[test]
fn a_file_that_is_not_text_is_an_error() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("latin1", b"{\n  \"name\": \"caf\xe9\"\n}");
    write("empty", b"");
    write("huge", &vec![b' '; (1 << 20) + 1]);
    fs::create_dir(folder.path().join("folder")).unwrap();
    for (file, parts) in [
        (
            "latin1",
            &[
                "latin1:2:15: byte 0xe9 is no UTF-8",
                "hint: it has to be a text file in UTF-8",
            ][..],
        ),
        ("empty", &["empty:1:1: it is empty", "hint: "]),
        ("huge", &["huge: it is longer than 1 MiB", "hint: "]),
        (
            "folder",
            &[
                "folder: cannot read it: it is a directory",
                "hint: name a file in it",
            ],
        ),
        ("nothing", &["nothing: cannot read it: "]),
        ("/dev/zero", &["/dev/zero: it is longer than 1 MiB"]),
    ] {
        assert_errors(
            &[
                (&["run", "server", "--sut", file], 2, parts),
                (&["run", "server", "--case-file", file], 2, parts),
                (&["run", "server", "--baseline", file], 2, parts),
                (&["format", "--check", file], 2, parts),
            ],
            &folder,
        );
    }
}

#[test]
fn a_wrong_case_file_is_an_error() {
    let folder = TempDir::new().unwrap();
    let head = "title    x\nrole     server\nrules    auth.first\n";
    let body = "\nctl   connect server\nctl   < closed  [auth.first]\n";
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("good.case", &format!("{head}{body}"));
    write("crlf.case", &format!("{head}{body}").replace('\n', "\r\n"));
    write(
        "rule.case",
        &format!("{head}{body}").replace("auth.first", "auth.frist"),
    );
    write(
        "client.case",
        &format!("{head}{body}")
            .replace("role     server", "role     client")
            .replace("connect server", "accept"),
    );
    write("sub.case", &format!("{head}twin     god-login\n{body}"));
    let run = |file| ["run", "server", "--case-file", file];
    assert_errors(
        &[
            (
                &run("crlf.case"),
                2,
                &["crlf.case:1:11: a CR: lines end with LF alone"],
            ),
            (
                &run("rule.case"),
                2,
                &[
                    "rule.case:3:10: `auth.frist` is no rule",
                    "hint: did you mean `auth.first`",
                ],
            ),
            (
                &run("client.case"),
                2,
                &[
                    "client.case:2:10: this case judges a client, not a server",
                    "hint: netroxy-conformance run client",
                ],
            ),
            (
                &run("sub.case"),
                2,
                &["sub.case:4:10: there is no case `god-login`"],
            ),
            (
                &[
                    "run",
                    "server",
                    "--case-file",
                    "good.case",
                    "--case-file",
                    "good.case",
                ],
                2,
                &[
                    "good.case and good.case have the same name `good`",
                    "hint: name each case file once",
                ],
            ),
        ],
        &folder,
    );
}

/// The cases are correct by the grammar, but no peer could satisfy them, or their marks are wrong.
#[test]
fn a_case_without_a_meaning_is_an_error() {
    let folder = TempDir::new().unwrap();
    let head =
        "title    x\nrole     server\nrules    auth.first auth.ok-reply\n\nctl   connect server\n";
    let tail = "ctl   < ARS true _ _  [auth.ok-reply]\nctl   < closed  [auth.first]\n";
    for (steps, parts) in [
        (
            "ctl   < ARX true _ _\n",
            &[
                "own.case:6:9: `ARX` is no word of v0.3",
                "hint: `netroxy-conformance spec html`",
            ][..],
        ),
        (
            "ctl   > ATH \"e$name\" $foo x\n",
            &["own.case:6:22: nothing is called $foo here"],
        ),
        (
            "ctl   < one of\n        silence           nonstrict\n        MRS $port            pass\n",
            &["own.case:8:9: `MRS` has 2 fields here, not 1"],
        ),
        (
            "repeat 2\n  user  connect $port4\n\n",
            &["own.case:7:17: nothing is called $port4"],
        ),
        (
            "ctl   < SRS  in 5s..3s\n",
            &["own.case:6:17: the bounds are empty"],
        ),
        (
            "ctl   > MAP 1 _ true\n",
            &["own.case:6:15: a sent message needs values, not `_` or `?name`"],
        ),
        (
            "ctl   ignore FOO\n",
            &["own.case:6:14: `FOO` is no word of v0.3"],
        ),
        (
            "ctl   >> \"a\" \"b\"*99999999\n",
            &["own.case:6:14: more than 64 MiB at once"],
        ),
    ] {
        fs::write(
            folder.path().join("own.case"),
            format!("{head}{steps}{tail}"),
        )
        .unwrap();
        let run = ["run", "server", "--case-file", "own.case"];
        assert_errors(&[(&run, 2, parts)], &folder);
    }
    for (from, to, parts) in [
        (
            "[auth.ok-reply]",
            "[auth.ok-replyy]",
            [
                "own.case:6:24: `auth.ok-replyy` is no rule",
                "hint: did you mean `auth.ok-reply`",
            ],
        ),
        (
            "[auth.first]",
            "[auth.first auth.once]",
            [
                "own.case:7:29: `auth.once` marks a step, and `rules` does not list it",
                "hint: add it to line 3",
            ],
        ),
        (
            " auth.ok-reply\n",
            " auth.ok-replyy\n",
            [
                "own.case:3:21: `auth.ok-replyy` is no rule",
                "hint: did you mean `auth.ok-reply`",
            ],
        ),
        (
            "[auth.ok-reply]",
            "",
            [
                "own.case:3:21: no step is marked [auth.ok-reply]",
                "hint: mark the step that judges it",
            ],
        ),
    ] {
        let text = format!("{head}{tail}");
        assert!(text.contains(from), "{from}");
        fs::write(folder.path().join("own.case"), text.replace(from, to)).unwrap();
        let run = ["run", "server", "--case-file", "own.case"];
        assert_errors(&[(&run, 2, &parts)], &folder);
    }
}

#[test]
fn a_wrong_manifest_is_an_error() {
    let folder = TempDir::new().unwrap();
    for (text, parts) in [
        ("[1]", &["sut.json:1:1: expected an object"][..]),
        (
            "{\n\"name\": \"x\",\n\"name\": \"y\"}",
            &["sut.json:3:6: the key `name` is there twice"],
        ),
        (
            "{\"name\":\"x\",\"role\":\"server\",\"launch\":{\"embedded\":\"server\",\"files\":{\"a\":{\"json\":{\n\"b\":1,\"b\":2}}}}}",
            &["sut.json:2:9: launch.files.a.json: the key `b` is there twice"],
        ),
        (
            "{\"name\":\"x\",\"role\":\"server\",\"launch\":{\"embedded\":\"server\",\"files\":{\"a\":{\"text\":\"{{tls}}\"}}}}",
            &[
                "sut.json:1:",
                "launch.files.a",
                "no placeholder is called `tls`; here are host, pass, port",
            ],
        ),
        (
            "{\"name\":\"x\",\"role\":\"server\",\"launch\":{\"embedded\":\"server\"}} x",
            &[
                "sut.json:1:",
                "trailing characters",
                "hint: `netroxy-conformance sut schema` prints the format",
            ],
        ),
        (
            "{\"name\":\"x\",\"role\":\"server\",\"launch\":{\"command\":[\"env\",\n\"{{prot}}\"]}}",
            &[
                "sut.json:2:1: launch.command[1]: no placeholder is called `prot`; here are host, pass, port",
            ],
        ),
        (
            "{\"name\":\"x\",\"role\":\"proxy\"}",
            &[
                "sut.json:1:",
                "role",
                "unknown variant `proxy`, expected `server` or `client`",
            ],
        ),
    ] {
        fs::write(folder.path().join("sut.json"), text).unwrap();
        let run = ["run", "server", "--sut", "sut.json"];
        assert_errors(&[(&run, 2, parts)], &folder);
    }
}

#[test]
fn a_wrong_baseline_is_an_error() {
    let folder = TempDir::new().unwrap();
    let entry = |more: &str| {
        format!(
            r#"{{"run":"server/auth/good-login","verdict":"fail","rules":["auth.first"],"expected":"","got":"","why":"so"{more}}}"#
        )
    };
    let list = |entries: &str| {
        format!(
            "{{\"format\":\"netroxy-baseline-1\",\"sut\":\"reference-server\",\"role\":\"server\",\"spec\":\"0.3\",\"profile\":\"wire\",\"entries\":[\n{entries}]}}"
        )
    };
    let other = list("").replace("baseline-1", "baseline-2");
    let twice = list(&format!("{},\n{}", entry(""), entry("")));
    for (text, parts) in [
        (
            list(&entry(",\"color\":1")),
            &[
                "known.json:2:",
                "entries[0].color: unknown field `color`",
                "hint: `netroxy-conformance baseline schema` prints the format",
            ][..],
        ),
        (
            list(&entry("").replace("fail", "failed")),
            &[
                "known.json:2:",
                "entries[0].verdict: unknown variant `failed`",
            ],
        ),
        (
            list(&entry("").replace("\"so\"", "\" \"")),
            &[
                "known.json:2:102: entries[0].why: the reason why `server/auth/good-login` fails is missing",
                "hint: `baseline write` leaves it empty",
            ],
        ),
        (
            twice,
            &[
                "known.json:3:8: entries[1].run: `server/auth/good-login` is listed twice",
                "hint: remove one of the entries",
            ],
        ),
        (
            list(&entry("").replace("auth/good-login", "auth/god-login")),
            &[
                "known.json:2:8: entries[0].run: no case of this role is called `server/auth/god-login`",
                "hint: did you mean `server/auth/good-login`",
            ],
        ),
        (
            list(&entry("").replace("server/auth/good-login", "client/auth/login")),
            &["entries[0].run: no case of this role is called `client/auth/login`"],
        ),
        (
            list(&entry("").replace("auth.first", "auth.frist")),
            &[
                "known.json:2:59: entries[0].rules[0]: there is no rule `auth.frist`",
                "hint: did you mean `auth.first`",
            ],
        ),
        (
            list("").replace("reference-server", "go-server"),
            &[
                "known.json:1:38: sut: it is about `go-server`, but the run judges `reference-server`",
                "hint: judge go-server, or give a baseline about reference-server",
            ],
        ),
        (
            list("").replace("wire", "hardened"),
            &[
                "profile: it is about profile hardened, but the run judges profile wire",
                "hint: --profile hardened",
            ],
        ),
        (
            other,
            &[
                "known.json:1:",
                "format: unknown variant `netroxy-baseline-2`",
            ],
        ),
        (
            list("").replace("0.3", "0.4"),
            &["spec: unknown variant `0.4`, expected `0.3`"],
        ),
        (
            "{".to_owned(),
            &["known.json:1:1: EOF while parsing an object"],
        ),
    ] {
        fs::write(folder.path().join("known.json"), &text).unwrap();
        let run = ["run", "server", "--baseline", "known.json"];
        assert_errors(&[(&run, 2, parts)], &folder);
    }
}
