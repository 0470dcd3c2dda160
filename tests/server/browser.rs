//! Chromium as a person uses it, over WebDriver: JSON over HTTP, so it needs no more than a client for that. Its log says
//! which hosts it asked and what went wrong on a page.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use super::harness::PATIENCE as SERVER_PATIENCE;

/// How long a page may take before a test gives up: browsers are large, and share the machine with all other tests.
const PATIENCE: Duration = SERVER_PATIENCE.saturating_mul(3);
/// One browser at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// The key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser window.
pub struct Browser {
    driver: Child,
    client: reqwest::Client,
    session: String,
    _profile: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// Opens one. `None`, after a line that says so, where there is no Chromium.
    pub async fn open() -> Option<Self> {
        let turn = TURN.lock().await;
        let started = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut driver) = started else {
            eprintln!(
                "skipped: chromedriver is not installed (Debian: chromium-driver), so no page was looked at in a browser"
            );
            return None;
        };
        let mut said = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = said.find_map(|line| line.split_once("successfully on port ").map(|(_, port)| port.to_owned()));
        let port = port.expect("chromedriver says where it listens");
        let port = port.trim_end_matches('.');
        std::thread::spawn(move || said.for_each(drop));
        let profile = tempfile::tempdir().unwrap();
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".into(),
            "--disable-dev-shm-usage".into(),
            "--disable-background-networking".into(),
            "--window-size=1280,900".into(),
            "--force-device-scale-factor=1".into(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let wish = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "unhandledPromptBehavior": "ignore",
        } } });
        let client = reqwest::Client::new();
        let base = format!("http://127.0.0.1:{port}/session");
        let answer: Value =
            client.post(&base).json(&wish).timeout(PATIENCE).send().await.unwrap().json().await.unwrap();
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {answer}"));
        let browser = Self { driver, client, session: format!("{base}/{id}"), _profile: profile, _turn: turn };
        // What its own first page loads is no page of ours.
        browser.go("about:blank").await;
        browser.asked_for().await;
        Some(browser)
    }

    async fn tell(&self, path: &str, body: Value) -> Result<Value, String> {
        let request = self.client.post(format!("{}/{path}", self.session)).json(&body).timeout(PATIENCE);
        let response = request.send().await.unwrap();
        let is_done = response.status().is_success();
        let answer: Value = response.json().await.unwrap();
        if is_done { Ok(answer["value"].clone()) } else { Err(answer["value"]["message"].to_string()) }
    }

    pub async fn go(&self, url: &str) {
        self.tell("url", json!({ "url": url })).await.unwrap();
    }

    /// What a function's body answers on the page.
    pub async fn run(&self, script: &str) -> Value {
        self.tell("execute/sync", json!({ "script": script, "args": [] })).await.unwrap()
    }

    /// The same of a script that calls its last argument with the answer.
    pub async fn run_and_wait(&self, script: &str) -> Value {
        self.tell("execute/async", json!({ "script": script, "args": [] })).await.unwrap()
    }

    /// Waits until an expression is true on the page; a page that is just going away says nothing.
    pub async fn wait_for(&self, expression: &str) {
        let begun = Instant::now();
        let script = json!({ "script": format!("return Boolean({expression})"), "args": [] });
        while self.tell("execute/sync", script.clone()).await != Ok(Value::Bool(true)) {
            if begun.elapsed() > PATIENCE {
                panic!("{expression} never came to hold: {}", self.run("return document.body.innerText").await);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the page's own words hold `text`.
    pub async fn wait_for_text(&self, text: &str) {
        self.wait_for(&format!("document.querySelector('main')?.innerText.includes({})", json!(text))).await;
    }

    /// Does something with an element, once it is there; the page may change in between.
    async fn with_element(&self, xpath: &str, what: &str, body: Value) {
        let begun = Instant::now();
        loop {
            let found = self.tell("element", json!({ "using": "xpath", "value": xpath })).await;
            let done = match found.as_ref().map(|element| element[ELEMENT].as_str()) {
                Ok(Some(element)) => self.tell(&format!("element/{element}/{what}"), body.clone()).await,
                _ => found,
            };
            match done {
                Ok(_) => return,
                Err(why) => assert!(begun.elapsed() < PATIENCE, "{xpath}: {why}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Clicks a link or a button by its words.
    pub async fn click(&self, words: &str) {
        let is_it = format!("normalize-space()={}", json!(words));
        self.with_element(&format!("//a[{is_it}] | //button[{is_it}]"), "click", json!({})).await;
    }

    /// Types into the field whose label begins so.
    pub async fn fill(&self, label: &str, text: &str) {
        let label = format!("//label[starts-with(normalize-space(), {})]", json!(label));
        let field = format!("{label}//input | {label}//textarea | {label}//select");
        self.with_element(&field, "value", json!({ "text": text })).await;
    }

    pub async fn resize(&self, width: u32, height: u32) {
        self.tell("window/rect", json!({ "width": width, "height": height })).await.unwrap();
    }

    /// As for a person who likes dark pages, or light ones.
    pub async fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let wish = json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": features } });
        self.tell("goog/cdp/execute", wish).await.unwrap();
    }

    /// Keeps a picture of the window, for people.
    pub async fn picture(&self, name: &str) -> PathBuf {
        let response = self.client.get(format!("{}/screenshot", self.session)).timeout(PATIENCE).send().await.unwrap();
        let answer: Value = response.json().await.unwrap();
        let bytes = BASE64_STANDARD.decode(answer["value"].as_str().unwrap()).unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.png"));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Every address that the browser asked for since it was last asked this.
    pub async fn asked_for(&self) -> Vec<String> {
        let lines = self.tell("se/log", json!({ "type": "performance" })).await.unwrap();
        let lines = lines.as_array().unwrap().iter();
        let told = lines.filter_map(|line| serde_json::from_str::<Value>(line["message"].as_str()?).ok());
        let sent = told.filter(|line| line["message"]["method"] == "Network.requestWillBeSent");
        sent.filter_map(|line| line["message"]["params"]["request"]["url"].as_str().map(str::to_owned)).collect()
    }

    /// What the browser complained of since it was last asked this: errors of scripts, and what a policy forbade.
    pub async fn complaints(&self) -> Vec<String> {
        let lines = self.tell("se/log", json!({ "type": "browser" })).await.unwrap();
        lines.as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser when it is asked to end itself.
        let session = self.session.rsplit_once("/session/").map(|(base, _)| format!("{base}/shutdown"));
        if let Some(url) = session {
            let _ = std::thread::spawn(move || {
                let request = format!(
                    "GET /shutdown HTTP/1.1\r\nHost: {0}\r\nConnection: close\r\n\r\n",
                    url.trim_start_matches("http://").trim_end_matches("/shutdown")
                );
                let address = url.trim_start_matches("http://").trim_end_matches("/shutdown").to_owned();
                let mut stream = std::net::TcpStream::connect(address).ok()?;
                std::io::Write::write_all(&mut stream, request.as_bytes()).ok()?;
                std::io::Read::read_to_end(&mut stream, &mut Vec::new()).ok()
            })
            .join();
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
