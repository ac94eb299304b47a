//! A real browser: Debian's chromium, driven by chromedriver over the WebDriver protocol, of which the
//! tests need a handful of calls.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::support::{repository, wait_until};

/// axe-core, which finds what makes a page hard to use for some.
const AXE: &str = include_str!("../axe/axe.min.js");

/// One window of a browser of its own.
pub(crate) struct Browser {
    driver: Child,
    session: String,
    /// Where its screenshots are kept.
    pictures: PathBuf,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = ureq::delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Browser {
    /// Opens a window; `dark` is what the system would prefer.
    pub(crate) fn open(dark: bool) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver is needed (chromium-driver): {error}"));
        let base = format!("http://127.0.0.1:{port}");
        wait_until("chromedriver answers", || {
            ureq::get(&format!("{base}/status")).call().is_ok()
        });
        let profile = tempfile::tempdir().unwrap();
        let mut args = vec![
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        args.extend(dark.then(|| "--blink-settings=preferredColorScheme=0".to_owned()));
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": args},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let created = call(&format!("{base}/session"), &wanted);
        let id = created["sessionId"].as_str().unwrap();
        let pictures = repository().join("target/screenshots");
        fs::create_dir_all(&pictures).unwrap();
        Self {
            driver,
            session: format!("{base}/session/{id}"),
            pictures,
            _profile: profile,
        }
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        call(&format!("{}/{path}", self.session), body)
    }

    pub(crate) fn go(&self, url: &str) {
        self.post("url", &json!({ "url": url }));
    }

    /// How wide and high the page is shown, whatever the smallest window of the system is.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.post(
            "goog/cdp/execute",
            &json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics}),
        );
    }

    /// What a function's body returns in the page.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({"script": script, "args": []}))
    }

    pub(crate) fn text(&self) -> String {
        self.run("return document.body.innerText")
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Clicks on the first element that a CSS selector finds and that holds `text`.
    pub(crate) fn click(&self, selector: &str, text: &str) {
        let script = format!(
            "const all = [...document.querySelectorAll({})];
             const found = all.find(each => each.textContent.includes({}) || (each.getAttribute('aria-label') || '').includes({}));
             if (!found) return false;
             found.dispatchEvent(new MouseEvent('click', {{bubbles: true, cancelable: true, view: window}}));
             return true;",
            json!(selector), json!(text), json!(text)
        );
        assert_eq!(
            self.run(&script),
            json!(true),
            "no {selector} with {text:?} in\n{}",
            self.text()
        );
    }

    pub(crate) fn key(&self, key: &str) {
        let actions = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        self.post(
            "actions",
            &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}),
        );
    }

    /// Keeps a picture of the whole page below `target/screenshots`.
    pub(crate) fn picture(&self, name: &str) {
        let shot = self.post(
            "goog/cdp/execute",
            &json!({"cmd": "Page.captureScreenshot", "params": {"captureBeyondViewport": true}}),
        );
        let bytes = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        fs::write(self.pictures.join(format!("{name}.png")), bytes).unwrap();
    }

    /// What was written to the console since the last question, warnings and errors only.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let entries = self.post("se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().cloned().unwrap_or_default().into_iter();
        let bad = entries.filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        bad.map(|entry| entry["message"].to_string()).collect()
    }

    /// How many pixels the page is wider than the window.
    pub(crate) fn overflow(&self) -> i64 {
        let script =
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        self.run(script).as_i64().unwrap()
    }

    /// Serious and critical findings of axe on this page.
    pub(crate) fn barriers(&self) -> Vec<String> {
        // The policy of the pages allows no inline script, so it is run from outside.
        self.run(&format!("{AXE}; window.axe = axe;"));
        // Without `preload`: pages that are opened as files cannot load their style sheet by script.
        let script = "const done = arguments[arguments.length - 1];
            axe.run(document, {resultTypes: ['violations'], preload: false}).then(
                found => done(found.violations.filter(each => ['serious', 'critical'].includes(each.impact))
                    .map(each => each.id + ': ' + each.nodes.slice(0, 3).map(node => node.html + ' ' + node.failureSummary).join(' | '))),
                error => done([String(error)]));";
        let found = self.post("execute/async", &json!({"script": script, "args": []}));
        let found = found.as_array().cloned().unwrap_or_default();
        found
            .iter()
            .map(|each| each.as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

fn call(url: &str, body: &Value) -> Value {
    let sent = ureq::post(url)
        .config()
        .http_status_as_error(false)
        .build()
        .header("Content-Type", "application/json")
        .send(body.to_string());
    let text = sent
        .unwrap()
        .body_mut()
        .with_config()
        .limit(64 << 20)
        .read_to_string()
        .unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert!(answer["value"]["error"].is_null(), "{url}: {text}");
    answer["value"].clone()
}
