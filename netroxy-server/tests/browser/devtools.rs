//! A headless Chromium, driven by the DevTools protocol over two pipes. Each JSON message is followed by a zero
//! byte.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The longest wait for an event. A test that waits longer fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    to: File,
    from: Receiver<Value>,
    session: String,
    last_id: u64,
    /// Exceptions of the page and errors in the browser's log.
    pub(crate) complaints: Vec<String>,
    _folder: TempDir,
}

impl Browser {
    /// Starts the program of the variable `CHROMIUM`, or `chromium`.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [to, from] = ["to", "from"].map(|name| folder.path().join(name));
        let made = Command::new("mkfifo").args([&to, &from]).status().unwrap();
        assert!(made.success());
        let program = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
        let child = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<to 4>from"#, &program])
            .args([
                "--headless",
                "--remote-debugging-pipe",
                "--no-first-run",
                "--disable-gpu",
            ])
            // Tests may run as root, in a container with little shared memory.
            .args([
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
            ])
            .arg(format!(
                "--user-data-dir={}",
                folder.path().join("profile").display()
            ))
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // In the order in which the shell opens them.
        let to = OpenOptions::new().write(true).open(to).unwrap();
        let from = read(&from);
        let mut browser = Self {
            child,
            to,
            from,
            session: String::new(),
            last_id: 0,
            complaints: Vec::new(),
            _folder: folder,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach);
        attached["sessionId"]
            .as_str()
            .unwrap()
            .clone_into(&mut browser.session);
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Calls a method and waits for its result.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.ask(method, params);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Calls a method and waits for its result or its error.
    #[expect(clippy::unwrap_in_result, reason = "the result is that of the browser")]
    fn ask(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.last_id += 1;
        let mut message = json!({"id": self.last_id, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        loop {
            let received = self.from.recv_timeout(PATIENCE);
            let received = received
                .unwrap_or_else(|error| panic!("{method}: {error}: is chromium installed?"));
            if received["id"] == self.last_id {
                return match &received["error"] {
                    Value::Null => Ok(received["result"].clone()),
                    error => Err(error.clone()),
                };
            }
            let is_error = received["method"] == "Runtime.exceptionThrown"
                || (received["method"] == "Log.entryAdded"
                    && received["params"]["entry"]["level"] == "error");
            if is_error {
                self.complaints.push(received["params"].to_string());
            }
        }
    }

    pub(crate) fn go(&mut self, url: &str) {
        let result = self.call("Page.navigate", json!({"url": url}));
        assert!(result["errorText"].is_null(), "{result}");
    }

    /// The value of an expression in the page.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let value = self.evaluate(expression);
        value.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The same, or the browser's error: an expression has no value while another page replaces this one.
    fn evaluate(&mut self, expression: &str) -> Result<Value, Value> {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.ask("Runtime.evaluate", params)?;
        Ok(result["result"]["value"].clone())
    }

    /// Waits until an expression is true. It may throw until then, and have no value, while the page loads.
    #[track_caller]
    pub(crate) fn wait(&mut self, expression: &str) {
        let start = Instant::now();
        while self.evaluate(expression) != Ok(true.into()) {
            if start.elapsed() > PATIENCE {
                let page = self.eval("document.body.innerText");
                panic!("{expression} does not become true; the text of the page: {page}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Presses a key: `Tab`, `Enter`, `ArrowDown` or a space.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, number, text) = match key {
            "Tab" => ("Tab", 9, ""),
            "Enter" => ("Enter", 13, "\r"),
            "ArrowDown" => ("ArrowDown", 40, ""),
            " " => ("Space", 32, " "),
            _ => panic!("{key} is an unknown key"),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let params = json!({
                "type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number, "text": text
            });
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// Sets the width of the page and the preferred color scheme.
    fn set_screen(&mut self, width: u32, dark: bool) {
        let mobile = width < 600;
        let metrics =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": mobile});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Shows the page on wide and narrow screens, light and dark, and checks that nothing is wider than the screen.
    /// `NETROXY_SCREENSHOTS` names a folder for screenshots, which are called `NAME-WIDTH-SCHEME.png`.
    pub(crate) fn look_everywhere(&mut self, name: &str) {
        let folder = std::env::var_os("NETROXY_SCREENSHOTS").map(PathBuf::from);
        for width in [1280, 390] {
            for dark in [false, true] {
                self.set_screen(width, dark);
                self.wait(&format!(
                    "innerWidth === {width} && document.documentElement.scrollWidth <= {width}"
                ));
                let scheme = if dark { "dark" } else { "light" };
                if let Some(folder) = &folder {
                    self.screenshot(&folder.join(format!("{name}-{width}-{scheme}.png")));
                }
            }
        }
        self.set_screen(1280, false);
    }

    /// Writes a screenshot of the whole page as PNG.
    fn screenshot(&mut self, path: &Path) {
        let params = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.call("Page.captureScreenshot", params);
        std::fs::write(path, decode(picture["data"].as_str().unwrap())).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends by itself; it is killed if that takes too long.
        let _ = self
            .to
            .write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let start = Instant::now();
        while let Ok(None) = self.child.try_wait()
            && start.elapsed() < PATIENCE
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads messages in a thread of its own, so that a wait for the browser can time out.
fn read(path: &Path) -> Receiver<Value> {
    let (sender, receiver) = channel();
    let pipe = File::open(path).unwrap();
    std::thread::spawn(move || {
        for message in BufReader::new(pipe).split(0) {
            let Ok(bytes) = message else { return };
            let Ok(message) = serde_json::from_slice(&bytes) else {
                return;
            };
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Decodes valid Base64.
fn decode(text: &str) -> Vec<u8> {
    let digits = text.bytes().filter_map(|byte| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    });
    let digits: Vec<_> = digits.map(u32::from).collect();
    let mut bytes = Vec::new();
    for four in digits.chunks(4) {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
        let [_, three @ ..] = bits.to_be_bytes();
        bytes.extend_from_slice(&three[..four.len() - 1]);
    }
    bytes
}
