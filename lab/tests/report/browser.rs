// SPDX-License-Identifier: MIT OR Apache-2.0
//! A Chromium without a window, told what to do over its debugging pipe (Chrome DevTools Protocol).
//!
//! Keys are pressed as a keyboard would press them, and the page is asked with scripts of the test's own, which its
//! Content Security Policy does not bind.

use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

/// Nothing that a browser is asked takes as long as this, on the slowest of hosts; a bound, not a measurement.
const PATIENCE: Duration = Duration::from_secs(900);

/// A window: width, height, and whether it is dark.
#[derive(Clone, Copy, Debug)]
pub struct Window(pub u32, pub u32, pub bool);

pub const DESK: Window = Window(1280, 900, false);
pub const DESK_DARK: Window = Window(1280, 900, true);
pub const PHONE: Window = Window(390, 844, false);
pub const PHONE_DARK: Window = Window(390, 844, true);

/// A browser with one page.
pub struct Browser {
    child: Child,
    pipe: File,
    answers: Receiver<Value>,
    session: Option<String>,
    last: u64,
    /// What the page's console said, and what its script threw.
    complaints: Vec<String>,
    folder: TempDir,
}

impl Browser {
    /// Finds the browser of this machine, if it has one.
    pub fn find() -> Option<Self> {
        let path = std::env::var_os("PATH")?;
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let found = std::env::split_paths(&path)
            .flat_map(|folder| names.map(|name| folder.join(name)))
            .find(|program| program.is_file());
        if found.is_none() {
            eprintln!("skipped: no Chromium; `apt-get install chromium` makes this test run");
        }
        found.map(|program| Self::start(&program))
    }

    fn start(program: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pipes = ["to", "from"].map(|name| folder.path().join(name));
        assert!(Command::new("mkfifo").args(&pipes).status().unwrap().success());
        // Open for both ways, so that nobody waits for the other to open. When this process ends the browser finds its
        // pipe closed and ends as well.
        let open = |pipe: &PathBuf| OpenOptions::new().read(true).write(true).open(pipe).unwrap();
        let [pipe, from] = [open(&pipes[0]), open(&pipes[1])];
        let child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<\"$TO\" 4>\"$FROM\"", "sh"])
            .arg(program)
            .args([
                "--headless",
                "--remote-debugging-pipe",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
            ])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .envs([("TO", &pipes[0]), ("FROM", &pipes[1])])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(from).split(0) {
                let Ok(message) = message.map(|bytes| serde_json::from_slice(&bytes)) else { return };
                if sender.send(message.unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self { child, pipe, answers, session: None, last: 0, complaints: Vec::new(), folder };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "DOM"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Asks the browser for something and waits for the answer.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.pipe.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut answer = self.answers.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no answer to {method}"));
            if answer["id"] == self.last {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].take();
            }
            let params = &answer["params"];
            match answer["method"].as_str() {
                Some("Runtime.consoleAPICalled") => self.complaints.push(params["args"].to_string()),
                Some("Runtime.exceptionThrown") => self.complaints.push(params["exceptionDetails"].to_string()),
                Some("Log.entryAdded") => self.complaints.push(params["entry"].to_string()),
                _ => {}
            }
        }
    }

    /// Returns what an expression comes to in the page.
    pub fn ask(&mut self, script: &str) -> Value {
        let params = json!({ "expression": script, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{script}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].take()
    }

    /// Presses a key and lets it go.
    pub fn press(&mut self, key: &str) {
        let code = match key {
            "Tab" | "Shift+Tab" => 9,
            "Enter" => 13,
            "End" => 35,
            "Home" => 36,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            other => other.bytes().next().unwrap(),
        };
        let shift = if key.starts_with("Shift+") { 8 } else { 0 };
        let key = key.trim_start_matches("Shift+");
        let text = if key == "Enter" {
            "\r"
        } else if key.len() == 1 {
            key
        } else {
            ""
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let params =
                json!({ "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code, "modifiers": shift });
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// Opens a page at one of its places and waits for its script; returns what that has made. A complaint on the
    /// console fails the test.
    pub fn open(&mut self, name: &str, html: &str, window: Window, place: &str) -> String {
        let file = self.folder.path().join(format!("{name}.html"));
        fs::write(&file, html).unwrap();
        self.size(window);
        // Only another document is loaded anew.
        self.call("Page.navigate", json!({ "url": "about:blank" }));
        self.call("Page.navigate", json!({ "url": format!("file://{}{place}", file.display()) }));
        let ready = "new Promise((done) => { const look = () => document.documentElement?.dataset.ready \
                     ? requestAnimationFrame(() => requestAnimationFrame(() => done(true))) \
                     : setTimeout(look, 20); look(); })";
        self.ask(ready);
        self.is_silent();
        if let Some(folder) = std::env::var_os("TRIPTYCH_PICTURES") {
            let Window(width, _, dark) = window;
            let shade = if dark { "-dark" } else { "" };
            self.picture(&Path::new(&folder).join(format!("{name}-{width}{shade}.png")));
        }
        self.ask("document.documentElement.outerHTML").as_str().unwrap().to_owned()
    }

    /// Gives the window another size and shade.
    pub fn size(&mut self, Window(width, height, dark): Window) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let shade = if dark { "dark" } else { "light" };
        // What moves is looked at when it has arrived.
        let features = json!([
            { "name": "prefers-color-scheme", "value": shade },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Checks that nothing was complained of.
    pub fn is_silent(&self) {
        assert!(self.complaints.is_empty(), "{:#?}", self.complaints);
    }

    /// Lists what reacts to a mouse and can't have the focus, nor stands in something that can.
    pub fn only_for_the_mouse(&mut self) -> Vec<String> {
        let document = self.call("Runtime.evaluate", json!({ "expression": "document.documentElement" }));
        let whole = json!({ "objectId": document["result"]["objectId"], "depth": -1 });
        let found = self.call("DOMDebugger.getEventListeners", whole);
        let mut only = Vec::new();
        for listener in found["listeners"].as_array().unwrap() {
            if !["click", "mousedown", "pointerdown"].contains(&listener["type"].as_str().unwrap()) {
                continue;
            }
            let node = self.call("DOM.resolveNode", json!({ "backendNodeId": listener["backendNodeId"] }));
            let usable = "function() { return this.closest('a[href], button, input, select, summary, [tabindex]') \
                          ? null : this.outerHTML.slice(0, 90); }";
            let call =
                json!({ "objectId": node["object"]["objectId"], "functionDeclaration": usable, "returnByValue": true });
            let said = self.call("Runtime.callFunctionOn", call);
            only.extend(said["result"]["value"].as_str().map(str::to_owned));
        }
        only
    }

    /// Writes a picture of the whole page.
    fn picture(&mut self, file: &Path) {
        let shot = self.call("Page.captureScreenshot", json!({ "captureBeyondViewport": true, "format": "png" }));
        fs::write(file, decoded(shot["data"].as_str().unwrap())).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its other processes end when it does.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Decodes base64 (RFC 4648 §4).
fn decoded(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut out = Vec::new();
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = group.iter().fold(0_u32, |bits, letter| bits << 6 | u32::from(value(*letter)));
        let bits = bits << (6 * (4 - group.len()));
        out.extend(&bits.to_be_bytes()[1..group.len()]);
    }
    out
}
