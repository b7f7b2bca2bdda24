//! Chromium, driven by chromedriver over WebDriver's plain HTTP.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use nessus_mcp_tests::processes::{Process, Program};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long the browser may take to end.
const END: Duration = Duration::from_secs(10);

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) width: u32,
    /// `light` or `dark`.
    pub(crate) scheme: &'static str,
    pub(crate) scripts: bool,
}

/// A browser without a window.
pub(crate) struct Chromium {
    /// `http://127.0.0.1:PORT/session/ID`.
    session: String,
    http: reqwest::Client,
    _driver: Process,
    _directory: TempDir,
}

impl Chromium {
    /// A browser that asks nobody but this machine; `None`, and a line that says so, without chromedriver.
    #[expect(clippy::print_stderr, reason = "what is not tried is said where a test run says it")]
    pub(crate) async fn start() -> Option<Self> {
        let told = Command::new("chromedriver").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !told.is_ok_and(|status| status.success()) {
            eprintln!(
                "SKIPPED: chromedriver is missing, so no page was looked at in a browser: install it (on Debian: \
                 apt-get install chromium chromium-driver)"
            );
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        // What a browser keeps for its user stays in the directory.
        let driver = Program::new("chromedriver").arg("--port=0").env("HOME", directory.path());
        let driver = driver.start(&directory.path().join("chromedriver.log"));
        let port: u16 = driver.wait_for_line("the port of chromedriver", |line| {
            line.strip_prefix("ChromeDriver was started successfully on port ")?.trim_end_matches('.').parse().ok()
        });
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
            &format!("--user-data-dir={}", directory.path().join("profile").display()),
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let http = reqwest::Client::new();
        let base = format!("http://127.0.0.1:{port}/session");
        let answer = http.post(&base).json(&wanted).send().await.unwrap().json::<Value>().await.unwrap();
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("{answer}\n{}", driver.log()));
        Some(Self { session: format!("{base}/{id}"), http, _driver: driver, _directory: directory })
    }

    async fn post(&self, command: &str, arguments: &Value) -> Value {
        let sent = self.http.post(format!("{}/{command}", self.session)).json(arguments).send().await.unwrap();
        let mut answer: Value = sent.json().await.unwrap();
        assert!(answer["value"]["error"].is_null(), "{command} {arguments}: {answer}");
        answer["value"].take()
    }

    async fn get(&self, what: &str) -> Value {
        self.http.get(format!("{}/{what}", self.session)).send().await.unwrap().json::<Value>().await.unwrap()["value"]
            .take()
    }

    async fn devtools(&self, command: &str, arguments: Value) -> Value {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": arguments })).await
    }

    /// What is opened from now on is looked at so.
    pub(crate) async fn look(&self, look: Look) {
        let Look { width, scheme, scripts } = look;
        let metrics = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
        self.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": !scripts })).await;
    }

    /// Opens an address; it is loaded when this returns. Gives the title.
    pub(crate) async fn open(&self, url: &str) -> String {
        self.post("url", &json!({ "url": url })).await;
        self.get("title").await.as_str().unwrap_or_else(|| panic!("{url} has no title")).to_owned()
    }

    /// How wide the page is that is open, in CSS pixels.
    pub(crate) async fn page_width(&self) -> f64 {
        let metrics = self.devtools("Page.getLayoutMetrics", json!({})).await;
        metrics["cssContentSize"]["width"].as_f64().unwrap_or_else(|| panic!("{metrics}"))
    }

    /// The colour behind the page, as the browser has computed it.
    pub(crate) async fn background(&self) -> String {
        let found = self.post("element", &json!({ "using": "css selector", "value": "body" })).await;
        let element = found.as_object().unwrap().values().next().unwrap().as_str().unwrap();
        self.get(&format!("element/{element}/css/background-color")).await.as_str().unwrap().to_owned()
    }

    /// A picture of the page, written to a file.
    pub(crate) async fn picture(&self, path: &Path) {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let picture = self.get("screenshot").await;
        nessus_mcp_lib::durable::replace(path, &STANDARD.decode(picture.as_str().unwrap()).unwrap()).unwrap();
    }

    /// Whether the page has opened a dialog, as `alert` does.
    pub(crate) async fn has_dialog(&self) -> bool {
        self.get("alert/text").await.is_string()
    }

    /// Leaves out what there was until now: the browser's own first page, for example.
    pub(crate) async fn forget(&self) {
        self.network().await;
        self.console().await;
    }

    /// What the console has said since it was last asked.
    pub(crate) async fn console(&self) -> Vec<String> {
        let lines = self.post("se/log", &json!({ "type": "browser" })).await;
        lines.as_array().unwrap().iter().map(|line| line["message"].to_string()).collect()
    }

    /// The addresses that were asked for since this was last asked, and what has failed of it.
    pub(crate) async fn network(&self) -> (Vec<String>, Vec<String>) {
        let (mut asked, mut failed) = (Vec::new(), Vec::new());
        for line in self.post("se/log", &json!({ "type": "performance" })).await.as_array().unwrap() {
            let line: Value = serde_json::from_str(line["message"].as_str().unwrap()).unwrap();
            let (event, told) = (&line["message"]["method"], &line["message"]["params"]);
            match event.as_str() {
                Some("Network.requestWillBeSent") => asked.push(told["request"]["url"].as_str().unwrap().to_owned()),
                Some("Network.loadingFailed") => failed.push(told.to_string()),
                Some("Network.responseReceived") if told["response"]["status"].as_u64() >= Some(400) => {
                    failed.push(told["response"]["url"].to_string());
                }
                _ => {}
            }
        }
        (asked, failed)
    }
}

/// Without an end of its session, the browser would outlive its driver, also after a test that has failed.
impl Drop for Chromium {
    fn drop(&mut self) {
        let Some((address, path)) = self.session.strip_prefix("http://").and_then(|url| url.split_once('/')) else {
            return;
        };
        let Ok(mut stream) = TcpStream::connect(address) else { return };
        let request = format!("DELETE /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let _ = stream.set_read_timeout(Some(END));
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read(&mut [0; 64]);
    }
}
