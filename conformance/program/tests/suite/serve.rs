//! The pages of `serve` over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::serving::Serving;
use super::suite;

const CASE: &str = "server/auth/good-login";

/// It expects an answer that no server sends, and its texts contain markup.
const SLY: &str = "title    <script>alert(1)</script>\nrole     server\nrules    auth.ok-reply\n\n\
    ctl   connect server\nctl   > ATH \"<script>alert(2)</script>\" $username $password\n\
    ctl   < ARS false                         [auth.ok-reply]\n";

/// Status, head and body.
type Answer = (u16, String, String);

impl Serving {
    fn send(&self, head: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        write!(stream, "{head}\r\nConnection: close\r\n\r\n{body}").unwrap();
        stream
    }

    fn ask(&self, head: &str, body: &str) -> Answer {
        let mut answer = String::new();
        self.send(head, body).read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}", self.host), "")
    }

    fn page(&self, path: &str) -> String {
        let (status, head, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {head}\n{body}");
        body
    }

    /// Sends the form that plays a case; `more` are lines of the head.
    fn play(&self, form: &str, more: &str) -> Answer {
        let (host, length) = (&self.host, form.len());
        let kind = "application/x-www-form-urlencoded";
        let head = format!(
            "POST /play HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: {length}{more}"
        );
        self.ask(&head, form)
    }

    /// The events of a play until its end.
    fn events(&self, path: &str, last: &str) -> Vec<String> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}{last}", self.host);
        let lines = BufReader::new(self.send(&head, "")).lines();
        let data = lines.map_while(|line| line.ok().filter(|line| line != "event: over"));
        data.filter_map(|line| line.strip_prefix("data: ").map(str::to_owned))
            .collect()
    }

    /// Ends the program by a signal, and returns its exit code.
    fn end(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

/// The text between two texts.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = text
        .split_once(begin)
        .unwrap_or_else(|| panic!("no {begin} in {text}"));
    rest.split_once(end).unwrap().0
}

/// A run that passes, runs in which a case fails, and a file that is not a report.
fn reports(folder: &Path) {
    let run = |arguments: &[&str]| {
        let (code, out, err) = suite(folder, &[&["run", "server"], arguments].concat());
        assert!(code < 2, "{out}{err}");
    };
    run(&[CASE, "server/map", "--report=json:good.json"]);
    run(&[
        "--sut=broken-server:mrs-twice",
        CASE,
        "server/map",
        "--report=json:bad.json",
    ]);
    std::fs::write(folder.join("sly.case"), SLY).unwrap();
    run(&["--case-file=sly.case", "--report=json:sly.json"]);
    std::fs::write(
        folder.join("none.json"),
        "{\"format\": \"<script>alert(3)</script>\"}",
    )
    .unwrap();
    std::fs::write(folder.join("secret.txt"), "secret").unwrap();
}

#[test]
fn the_runs_of_a_folder_are_pages_and_a_case_is_played_on_request() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    reports(folder);
    let server = Serving::start(folder, &["--sut=broken-server:mrs-twice"]);

    let (_, head, index) = server.get("/");
    for part in [
        "good.json",
        "bad.json",
        "sly.json",
        "none.json",
        "reference-server",
    ] {
        assert!(index.contains(part), "{part}: {index}");
    }
    for line in [
        "content-security-policy: default-src 'none'; style-src 'self'; script-src 'self';",
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "cache-control: no-store",
    ] {
        assert!(head.contains(line), "{line}: {head}");
    }
    for path in ["/", "/runs/sly.json", "/cases/sly", "/runs/none.json"] {
        let (_, _, body) = server.get(path);
        assert!(!body.contains("<script>alert"), "{path}: {body}");
        assert!(
            body.contains("&lt;script&gt;alert") || path == "/cases/sly",
            "{path}: {body}"
        );
    }
    let run = server.page("/runs/bad.json");
    assert!(
        run.contains("<section id=\"broken\">") && run.contains("/cases/server/map/"),
        "{run}"
    );
    let matrix = server.page("/matrix");
    let row = between(&matrix, "/rules/map.one-reply", "</tr>");
    assert!(row.contains("✕ broken") && row.contains("✓ kept"), "{row}");
    let rule = server.page("/rules/map.one-reply");
    assert!(
        rule.contains("/runs/bad.json#map.one-reply") && rule.contains("server/map/"),
        "{rule}"
    );
    assert!(server.page("/rules").contains("/rules/map.one-reply"));
    assert!(server.page("/cases").contains(CASE));
    let (_, head, spec) = server.get("/spec");
    assert!(
        spec.contains("id=\"map.one-reply\"") && !head.contains("script-src"),
        "{head}"
    );
    assert!(server.page("/style.css").contains("table.sides"));

    let case = format!("/cases/{CASE}");
    let page = server.page(&case);
    let sides = between(&page, "<form class=\"two\"", "</form>");
    let places = sides.split("name=\"left\" value=\"").skip(1);
    let places: Vec<&str> = places.map(|rest| rest.split('"').next().unwrap()).collect();
    let of = |run: &str| {
        let found = places.iter().find(|place| place.starts_with(run));
        *found.unwrap_or_else(|| panic!("{run}: {sides}"))
    };
    let (left, right) = (of("good.json/"), of("bad.json/"));
    let both = server.page(&format!("/compare?left={left}&right={right}"));
    assert!(
        both.contains("broken-server:mrs-twice") && both.contains("<td class=\"actor\">ctl</td>"),
        "{both}"
    );

    let token = between(&page, "name=\"token\" value=\"", "\"");
    let form =
        |subject: &str| format!("token={token}&case={CASE}&transport=plain&subject={subject}");
    let (status, head, _) = server.play(&form("reference-server"), "");
    assert_eq!(status, 303, "{head}");
    assert!(head.contains("location: /plays/1"), "{head}");
    let heard = server.events("/plays/1/events", "");
    assert!(
        heard[0].contains("\"actor\":\"ctl\"") && heard[0].contains("connect server"),
        "{heard:?}"
    );
    assert!(
        heard
            .iter()
            .any(|line| line.contains("\"arrow\":\"←\"") && line.contains("ARS true")),
        "{heard:?}"
    );
    let rest = server.events("/plays/1/events", "\r\nLast-Event-ID: 0");
    assert_eq!(
        rest,
        heard[1..],
        "it continues after the last event of the browser"
    );
    let (status, head, _) = server.get("/plays/1");
    assert!(
        status == 303 && head.contains("location: /runs/play-1"),
        "{head}"
    );
    assert!(server.page("/runs/play-1").contains("<b>1</b> passed"));
    assert!(server.page(&case).contains("play-1/0"));

    // A peer with a bug breaks its rule here as in a run.
    let broken = format!(
        "token={token}&case=server/map/good&transport=plain&subject=broken-server:mrs-twice"
    );
    let (status, _, body) = server.play(&broken, "");
    assert_eq!(status, 303, "{body}");
    assert!(
        server
            .events("/plays/2/events", "")
            .iter()
            .any(|line| line.contains("\"broken\":true"))
    );
    assert!(server.page("/runs/play-2").contains("<b>1</b> failed"));
    assert_eq!(server.end(), Some(0));
}

#[test]
fn requests_for_other_hosts_paths_or_with_a_wrong_token_are_refused() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("secret.txt"), "secret").unwrap();
    let server = Serving::start(folder, &[]);
    let port = server.host.rsplit_once(':').unwrap().1;
    assert!(
        server
            .page("/")
            .contains("There is no report in this folder yet.")
    );
    let localhost = format!("GET / HTTP/1.1\r\nHost: localhost:{port}");
    assert_eq!(server.ask(&localhost, "").0, 200);
    for host in ["example.org", "127.0.0.1", &format!("example.org:{port}")] {
        let (status, head, body) = server.ask(&format!("GET / HTTP/1.1\r\nHost: {host}"), "");
        assert!(
            status == 403 && !body.contains("no report in this folder"),
            "{host}: {body}"
        );
        assert!(head.contains("content-security-policy: "), "{head}");
    }
    for path in [
        "/runs/secret.txt",
        "/runs/..%2fsecret.txt",
        "/runs/%2e%2e/x.json",
        "/secret.txt",
        "/cases/none",
        "/rules/none",
        "/plays/1",
        "/plays/1/events",
    ] {
        let (status, _, body) = server.get(path);
        assert!(
            status == 404 && !body.contains("secret.txt"),
            "{path}: {status} {body}"
        );
    }
    assert_eq!(server.get("/compare").0, 400);
    assert_eq!(server.get("/compare?left=a/0&right=b/0").0, 404);
    assert_eq!(server.get("/play").0, 405);

    let page = server.page(&format!("/cases/{CASE}"));
    let token = between(&page, "name=\"token\" value=\"", "\"");
    let form = |token: &str, case: &str, over: &str, subject: &str| {
        format!("token={token}&case={case}&transport={over}&subject={subject}")
    };
    let good = form(token, CASE, "plain", "reference-server");
    let wrong = "0".repeat(32);
    for (form, more, code) in [
        (form(&wrong, CASE, "plain", "reference-server"), "", 403),
        (form("", CASE, "plain", "reference-server"), "", 403),
        (good.clone(), "\r\nOrigin: http://example.org", 403),
        (good.clone(), "\r\nOrigin: null", 403),
        (form(token, "none", "plain", "reference-server"), "", 404),
        (form(token, CASE, "pigeon", "reference-server"), "", 400),
        (form(token, CASE, "plain", "reference-client"), "", 400),
        (form(token, CASE, "plain", "go-server"), "", 400),
        ("token=x".to_owned(), "", 400),
        (format!("{good}&more={}", "x".repeat(5000)), "", 400),
    ] {
        let (status, _, body) = server.play(&form, more);
        assert_eq!(status, code, "{form} {more}: {body}");
    }
    // Nothing was played.
    assert_eq!(server.get("/plays/1").0, 404);
    let origin = format!("\r\nOrigin: http://{}", server.host);
    assert_eq!(server.play(&good, &origin).0, 303);
    // It is played now, and ends with the program.
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_folder_address_or_manifest_that_cannot_be_used_is_an_error() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    for (arguments, told) in [
        (&["none"][..], "none is not a folder\nhint: "),
        (
            &[".", "--listen", "0.0.0.0:8400"],
            "0.0.0.0 stands for every address of this machine\nhint: name one address",
        ),
        (
            &[".", "--listen", "192.0.2.1:8400"],
            "other machines can reach 192.0.2.1, and there is no login\nhint: ",
        ),
        (
            &[".", "--listen", "192.0.2.1:8400", "--allow-remote"],
            "cannot listen on 192.0.2.1:8400: ",
        ),
        (
            &[".", "--listen", "8400"],
            "invalid value '8400' for '--listen <ADDR:PORT>'",
        ),
        (&[".", "--sut", "none.json"], "none.json: cannot read it"),
        (
            &[".", "--sut", "reference-server"],
            "two programs have the name reference-server\nhint: ",
        ),
    ] {
        let (code, out, err) = suite(folder, &[&["serve"], arguments].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.contains(told), "{arguments:?}: {err}");
    }
}
