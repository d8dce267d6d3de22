//! `netroxy-server` as a program: flags, files, exit codes, messages.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const BASE: &str = r#""ip": "127.0.0.1", "username": "u", "password": "p", "timeout": 30"#;

/// An account whose password is "secret".
const HASHED: &str = r#"{"timeout": 30, "username": "u", "passwordHash": "$argon2id$v=19$m=19456,t=2,p=1$lWvvIO4VWfESFhNlnV6mHA$G066FZhnkqo3t95/N+4mSpwFmxPBgkFvDaKjr67k+YY"}"#;

fn run(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netroxy-server"));
    command.current_dir(dir).args(args).output().unwrap()
}

/// Runs the program with a configuration, which must fail with this exit code and message.
#[track_caller]
fn refused(config: &str, code: i32, message: &str) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("server_config.json"), config).unwrap();
    fs::write(dir.path().join("bad.pem"), "nothing").unwrap();
    let output = run(dir.path(), &[]);
    let text = String::from_utf8(output.stderr).unwrap();
    let error = text
        .lines()
        .find(|line| line.starts_with("error: "))
        .unwrap_or_default();
    assert_eq!(error, format!("error: {message}"));
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}

fn with(more: &str) -> String {
    format!("{{{BASE},\n{more}}}")
}

#[test]
fn a_wrong_configuration_gives_one_message_with_its_place() {
    let file = "server_config.json";
    refused("", 2, &format!("{file}:1:1: the file is empty"));
    refused(
        "{}",
        2,
        &format!("{file}: clients cannot connect: neither port nor tls is given"),
    );
    refused(
        &with(r#""port": 0"#),
        2,
        &format!("{file}:2:9: port: expected a port number from 1 to 65535, but it is 0"),
    );
    refused(
        r#"{"port": 1, "username": "u", "password": 12345678, "timeout": 30}"#,
        2,
        &format!("{file}:1:42: password: expected a string, in quotes"),
    );
    refused(
        r#"{"port": 1, "username": "a\nb", "password": "p", "timeout": 30}"#,
        2,
        &format!("{file}:1:25: username: must not contain a line feed"),
    );
    refused(
        r#"{"port": 1, "username": "u", "password": "p", "timeout": 0}"#,
        2,
        &format!("{file}:1:58: timeout: expected whole seconds from 1 to 9223372036, but it is 0"),
    );
    refused(
        &format!("{{{BASE}}}"),
        2,
        &format!("{file}: clients cannot connect: neither port nor tls is given"),
    );
    refused(
        &with(r#""tls": {"enabled": true, "port": 1}"#),
        2,
        &format!(
            "{file}:2:8: tls.ca: missing: TLS is enabled and needs the certificate's PEM file"
        ),
    );
    refused(
        &with(r#""tls": {"enabled": true, "port": 1, "ca": "bad.pem", "key": "bad.pem"}"#),
        2,
        &format!("{file}:2:43: tls.ca: bad.pem holds no certificate in PEM form"),
    );
}

#[test]
fn check_config_reports_all_problems_and_starts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let check = |config: &str, more: &[&str]| {
        fs::write(dir.path().join("server_config.json"), config).unwrap();
        let output = run(dir.path(), &[&["check-config"], more].concat());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        (code, text(output.stdout), text(output.stderr))
    };
    let (code, out, err) = check(r#"{"port": 0, "timeout": "x", "usrname": "u"}"#, &[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(
        err,
        "error: server_config.json:1:1: username: missing\n\
         hint: \"usrname\" in line 1 looks like it: did you mean \"username\"?\n\
         error: server_config.json:1:1: password: missing\n\
         hint: add it, for example \"password\": \"secret\"\n\
         error: server_config.json:1:10: port: expected a port number from 1 to 65535, but it is 0\n\
         error: server_config.json:1:24: timeout: expected whole seconds from 1 to 9223372036, but \
         it is a string\n\
         warning: server_config.json:1:29: unknown key usrname: ignored; did you mean \
         \"username\"?\n"
    );

    let fine = HASHED.replace('}', r#", "port": 10000}"#);
    let (code, out, err) = check(&fine, &["--strict"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out, "server_config.json: no problem found\n");

    let strange = HASHED.replace(
        '}',
        r#", "port": 10000,
"colour": 1}"#,
    );
    let warning = "warning: server_config.json:2:1: unknown key colour: ignored\n";
    let (code, out, err) = check(&strange, &["server_config.json"]);
    assert_eq!((code, err.as_str()), (0, warning));
    assert_eq!(out, "server_config.json: no error found\n");
    let (code, out, err) = check(&strange, &["--strict"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(
        err,
        format!("{warning}error: with --strict, warnings are errors\n")
    );

    let lonely = with(r#""tls": {"enabled": true}, "colour": 1"#);
    let (code, _, err) = check(&lonely, &[]);
    assert_eq!(code, 2);
    for told in [
        "tls.port: missing",
        "tls.ca: missing",
        "tls.key: missing",
        "key colour",
    ] {
        assert!(err.contains(told), "{err}");
    }

    let (code, out, err) = check(&fine, &["other.json"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("hint: name the file"), "{err}");
}

#[test]
fn a_missing_configuration_gives_one_message_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["--config", "other.json"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: cannot read the configuration file other.json\n  \
           because: No such file or directory (os error 2)\n\
         hint: name the file with --config PATH, or start in the folder that holds it\n"
    );
}

#[test]
fn a_wrong_flag_gives_one_message() {
    for args in [
        &["--nonsense"][..],
        &["--log", "loud"],
        &["surplus"],
        &["gen-cert", "--host"],
        &["check-config", "--loose"],
    ] {
        let output = run(Path::new("."), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            String::from_utf8(output.stderr)
                .unwrap()
                .starts_with("error: "),
            "{args:?}"
        );
    }
}

#[test]
fn a_busy_port_gives_one_message_with_the_port() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    refused(
        &with(&format!(r#""port": {port}"#)),
        1,
        &format!("cannot listen on 127.0.0.1, port {port}"),
    );
}

#[test]
fn gen_cert_makes_files_that_the_server_accepts_and_keeps_old_ones() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(
        dir.path(),
        &["gen-cert", "--host", "example.org", "--host", "192.0.2.1"],
    );
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("example.org, 192.0.2.1"), "{text}");
    assert!(text.contains("\"fingerprint\": \""), "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(dir.path().join("priv.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    let key = fs::read(dir.path().join("priv.key")).unwrap();
    let again = run(dir.path(), &["gen-cert"]);
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(fs::read(dir.path().join("priv.key")).unwrap(), key);
    assert!(run(dir.path(), &["gen-cert", "--force"]).status.success());
    assert_ne!(fs::read(dir.path().join("priv.key")).unwrap(), key);

    // The server reads its certificate, and then fails because the port is in use.
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let tls =
        format!(r#""tls": {{"enabled": true, "port": {port}, "ca": "ca.pem", "key": "priv.key"}}"#);
    fs::write(dir.path().join("server_config.json"), with(&tls)).unwrap();
    assert_eq!(run(dir.path(), &[]).status.code(), Some(1));

    // A new key is private even if the old one was not, and a refused run writes neither file.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let key = dir.path().join("priv.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(run(dir.path(), &["gen-cert", "--force"]).status.success());
        assert_eq!(
            fs::metadata(&key).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    fs::remove_file(dir.path().join("priv.key")).unwrap();
    assert_eq!(run(dir.path(), &["gen-cert"]).status.code(), Some(2));
    assert!(!dir.path().join("priv.key").exists());
}

#[test]
fn gen_cert_refuses_invalid_hosts_and_files_that_it_cannot_replace() {
    let dir = tempfile::tempdir().unwrap();
    for (host, hint) in [
        (
            "\u{e9}",
            "hint: --host takes one DNS name or IP address, an international name in its ASCII form: xn--9ca\n",
        ),
        (
            "a,b",
            "hint: --host takes one DNS name or IP address, and may be repeated: --host a --host b\n",
        ),
        (
            "https://x/",
            "hint: --host takes one DNS name or IP address, not a URL: x\n",
        ),
        (
            "",
            "hint: --host takes one DNS name or IP address; without --host it is localhost\n",
        ),
    ] {
        let output = run(dir.path(), &["gen-cert", "--host", host]);
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            text.starts_with("error: --host ") && text.ends_with(hint),
            "{text}"
        );
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

    fs::create_dir(dir.path().join("ca.pem")).unwrap();
    fs::write(dir.path().join("priv.key"), "old").unwrap();
    let output = run(dir.path(), &["gen-cert", "--force"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: cannot write ./ca.pem: it is a folder\nhint: --out DIR writes elsewhere\n"
    );
    assert_eq!(fs::read(dir.path().join("priv.key")).unwrap(), b"old");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn gen_cert_accepts_an_address_in_brackets() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["gen-cert", "--host", "[::1]"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("priv.key for ::1\n"), "{text}");
}
