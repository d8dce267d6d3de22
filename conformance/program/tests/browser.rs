//! The pages of `serve` in a headless Chromium.
//!
//! `NETROXY_SCREENSHOTS` names a folder for pictures of them.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

use std::fs;
use std::path::Path;
use std::process::Command;

#[path = "../../../netroxy-server/tests/browser/devtools.rs"]
mod devtools;
use devtools::Browser;
#[path = "suite/serving.rs"]
mod serving;
use serving::Serving;

const PROGRAM: &str = env!("CARGO_BIN_EXE_netroxy-conformance");

/// A server that answers each MAP twice.
const BROKEN: &str = "broken-server:mrs-twice";
const CASE: &str = "server/map/good";
/// A case that takes seconds, so that the page can follow it.
const SLOW: &str = "server/auth/deadline";

/// A case whose texts would be markup if the pages did not escape them.
const SLY: &str = "title    <img src=x onerror=\"document.title='taken'\">\nrole     server\nrules    auth.ok-reply\n\n\
    ctl   connect server\nctl   > ATH \"<img src=x onerror=document.title='taken'>\" $username $password\n\
    ctl   < ARS false                         [auth.ok-reply]\n";

fn report(folder: &Path, name: &str, arguments: &[&str]) {
    let output = Command::new(PROGRAM)
        .args(["run", "server", "--report", &format!("json:{name}.json")])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.code().unwrap() < 2, "{output:?}");
}

/// The address of the page that is shown.
fn path(browser: &mut Browser) -> String {
    let path = browser.eval("location.pathname");
    path.as_str().unwrap().to_owned()
}

/// Goes to an element with the key Tab.
#[track_caller]
fn tab_to(browser: &mut Browser, element: &str) {
    let there = format!("document.activeElement === {element}");
    for _ in 0..400 {
        if browser.eval(&there) == true {
            return;
        }
        browser.press("Tab");
    }
    panic!("{element} is not reached by the key Tab");
}

/// The link with a text.
fn link(text: &str) -> String {
    format!("[...document.querySelectorAll('a')].find((a) => a.textContent === {text:?})")
}

/// The button with a text.
fn button(text: &str) -> String {
    link(text).replace("'a'", "'button'")
}

/// How many cases of a report are shown.
const SHOWN: &str = "[...document.querySelectorAll('details.case')].filter((one) => one.offsetParent !== null).length";
const LOADED: &str = "document.readyState === 'complete'";

#[ignore = "needs Chromium; .ci/run runs it"]
#[test]
fn reports_are_compared_and_a_case_is_played_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    report(folder, "mine", &["server/map", "--sut", BROKEN]);
    report(folder, "theirs", &["server/map"]);
    fs::write(folder.join("sly.case"), SLY).unwrap();
    report(folder, "sly", &["--case-file", "sly.case"]);
    let serving = Serving::start(folder, &["--sut", BROKEN]);
    let mut browser = Browser::start();
    let browser = &mut browser;

    // The runs, and the report of one of them.
    browser.go(&format!("http://{}/", serving.host));
    browser.wait("document.querySelectorAll('table.runs tbody tr').length === 3");
    browser.look_everywhere("serve-runs");
    tab_to(browser, &link("mine.json"));
    browser.press("Enter");
    browser.wait("location.pathname === '/runs/mine.json' && !!document.querySelector('#broken')");
    browser.wait("document.body.innerText.includes('map.one-reply')");
    browser.look_everywhere("serve-report");
    browser.wait(LOADED);
    let cases = browser.eval(SHOWN).as_u64().unwrap();
    tab_to(browser, "document.querySelector('input[name=text]')");
    browser.type_text("map.one-reply");
    browser.wait(&format!("(({SHOWN}) > 0) && (({SHOWN}) < {cases})"));

    // The standing of the rule with both programs, its sentence, and its case.
    browser.go(&format!("http://{}/matrix", serving.host));
    browser.wait(
        "[...document.querySelectorAll('table.standings tbody tr')].some((row) => \
         row.textContent.includes('map.one-reply') && row.textContent.includes('broken') && row.textContent.includes('kept'))",
    );
    browser.look_everywhere("serve-matrix");
    tab_to(browser, &link("map.one-reply"));
    browser.press("Enter");
    browser.wait(
        "location.pathname === '/rules/map.one-reply' && document.body.innerText.includes('MUST')",
    );
    browser.wait(&format!("document.body.innerText.includes({CASE:?})"));

    // Two transcripts side by side.
    browser.go(&format!("http://{}/cases/{CASE}", serving.host));
    browser.wait(&format!("{LOADED} && !!document.querySelector('form.two')"));
    browser.look_everywhere("serve-case");
    tab_to(browser, &button("Show the two side by side"));
    browser.press("Enter");
    browser.wait("location.pathname === '/compare' && !!document.querySelector('table.sides')");
    browser.wait(&format!(
        "document.body.innerText.includes({BROKEN:?}) && document.body.innerText.includes('reference-server')"
    ));
    let differing = "[...document.querySelectorAll('table.sides tr')].some((row) => \
        row.className !== '' && getComputedStyle(row.lastElementChild).backgroundColor !== \
        getComputedStyle(document.body).backgroundColor)";
    browser.wait(differing);
    browser.look_everywhere("serve-sides");

    // Plays a case against the broken server, by keyboard; its result is a page.
    browser.go(&format!("http://{}/cases/{CASE}", serving.host));
    browser.wait(&format!(
        "{LOADED} && !!document.querySelector('form.play')"
    ));
    browser.eval(&format!(
        "document.querySelector('select[name=subject]').value = {BROKEN:?}"
    ));
    tab_to(browser, &button("Play it now"));
    browser.press("Enter");
    browser.wait("location.pathname.startsWith('/runs/play-')");
    browser.wait(
        "document.body.innerText.includes('1 failed') && !!document.querySelector('#broken')",
    );

    // A slow case appears step by step, and then its result.
    browser.go(&format!("http://{}/cases/{SLOW}", serving.host));
    browser.wait(&format!(
        "{LOADED} && !!document.querySelector('form.play')"
    ));
    tab_to(browser, &button("Play it now"));
    browser.press("Enter");
    browser.wait("location.pathname.startsWith('/plays/') && document.querySelectorAll('ol.wire li').length > 0");
    browser.wait("document.querySelector('ol.wire').innerText.includes('connect server')");
    assert!(path(browser).starts_with("/plays/"), "it still runs");
    browser.look_everywhere("serve-play");
    browser.wait("location.pathname.startsWith('/runs/play-')");
    browser.wait("document.body.innerText.includes('1 passed')");

    // The texts of a report are not markup.
    browser.go(&format!("http://{}/runs/sly.json", serving.host));
    browser.wait("document.body.innerText.includes('<img src=x')");
    assert_ne!(browser.eval("document.title"), "taken");
    assert_eq!(browser.eval("document.querySelectorAll('img').length"), 0);
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}
