//! A client without cleverness: it sends what it is told and returns what comes back.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use nessus_sim::{SimConfig, SimulatedNessus};
use serde_json::{Value, json};

/// The template `basic`.
pub(crate) const BASIC: &str = "731a8e52-3ea6-a291-ec0a-d2ff0619c19d7bd788d6be818b65";

/// A simulator whose time stands still until it is told, and a client of it.
pub(crate) struct Fixture {
    pub(crate) sim: SimulatedNessus,
    pub(crate) client: Client,
}

impl Fixture {
    /// Scans take ten seconds of the manual clock, transitions and exports one; the client is logged in.
    pub(crate) async fn start(config: SimConfig) -> Self {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_763_600_000);
        let config = config
            .scan_duration(Duration::from_secs(10))
            .transition(Duration::from_secs(1))
            .export_duration(Duration::from_secs(1))
            .clock(move || start);
        let sim = SimulatedNessus::start_with(config).await;
        let client = Client::logged_in(&sim).await;
        Self { sim, client }
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.sim.advance(Duration::from_secs(seconds));
    }

    /// Creates a scan; returns its id.
    pub(crate) async fn create(&self, name: &str, targets: &str) -> u64 {
        let body = json!({ "uuid": BASIC, "settings": { "name": name, "text_targets": targets, "enabled": false } });
        self.client.post("/scans", body).await.ok()["scan"]["id"].as_u64().unwrap()
    }

    pub(crate) async fn launch(&self, scan: u64) -> String {
        let answer = self.client.post(&format!("/scans/{scan}/launch"), json!({})).await.ok();
        answer["scan_uuid"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn details(&self, scan: u64) -> Value {
        self.client.get(&format!("/scans/{scan}")).await.ok()
    }

    pub(crate) async fn status(&self, scan: u64) -> String {
        self.details(scan).await["info"]["status"].as_str().unwrap().to_owned()
    }

    /// Creates, launches and completes a scan.
    pub(crate) async fn completed(&self, name: &str, targets: &str) -> u64 {
        let scan = self.create(name, targets).await;
        self.launch(scan).await;
        self.pass(10);
        assert_eq!(self.status(scan).await, "completed");
        scan
    }
}

/// Sends requests with the headers it has.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    headers: Vec<(&'static str, String)>,
}

/// A status and a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    /// The body of a 200, as JSON; null when it is empty.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        if self.body.is_empty() { Value::Null } else { serde_json::from_str(&self.body).unwrap() }
    }

    /// The error text of an answer that must have this status.
    #[track_caller]
    pub(crate) fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        let body: Value = serde_json::from_str(&self.body).unwrap();
        body["error"].as_str().unwrap().to_owned()
    }
}

impl Client {
    pub(crate) fn stranger(sim: &SimulatedNessus) -> Self {
        Self::at(&sim.url())
    }

    pub(crate) fn at(url: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { http, base: url.to_owned(), headers: Vec::new() }
    }

    pub(crate) async fn logged_in(sim: &SimulatedNessus) -> Self {
        Self::stranger(sim).log_in(sim).await
    }

    /// The same client after a login.
    pub(crate) async fn log_in(&self, sim: &SimulatedNessus) -> Self {
        let stranger = self.clone();
        let answer = stranger.post("/session", json!({ "username": "admin", "password": "nessus" })).await.ok();
        let token = answer["token"].as_str().unwrap();
        stranger.with("X-Cookie", format!("token={token}")).with("X-API-Token", sim.api_token())
    }

    /// The same headers to the same scanner, over this HTTP client.
    pub(crate) fn over(self, http: reqwest::Client) -> Self {
        Self { http, ..self }
    }

    pub(crate) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.retain(|(existing, _)| *existing != name);
        self.headers.push((name, value));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(existing, _)| *existing != name);
        self
    }

    /// A request as it goes over the wire, the last one on its connection.
    pub(crate) fn raw(&self, method: &str, path: &str, body: &str) -> String {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let headers = headers.concat();
        let length = body.len();
        format!(
            "{method} {path} HTTP/1.1\r\nHost: scanner\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    }

    /// Status, headers (without the date) and body of a GET.
    pub(crate) async fn get_all(&self, path: &str) -> (u16, BTreeMap<String, String>, String) {
        let mut request = self.http.get(format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let response = request.send().await.unwrap();
        let headers = response.headers().iter().filter(|(name, _)| *name != "date");
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        (response.status().as_u16(), headers, response.text().await.unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(reqwest::Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(reqwest::Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(reqwest::Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(reqwest::Method::DELETE, path, None).await
    }

    /// Uploads a file.
    pub(crate) async fn upload(&self, name: &str, content: &str) -> Answer {
        let body = format!(
            "--XYZ\r\nContent-Disposition: form-data; name=\"no_enc\"\r\n\r\n0\r\n--XYZ\r\nContent-Disposition: form-data; \
             name=\"Filedata\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n{content}\r\n--XYZ--\r\n"
        );
        let mut request = self.http.post(format!("{}/file/upload", self.base)).body(body);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        Self::answer(request.header("Content-Type", "multipart/form-data; boundary=XYZ")).await
    }

    /// Sends a form, as browsers do.
    pub(crate) async fn post_form(&self, path: &str, form: &'static str) -> Answer {
        let request = self.http.post(format!("{}{path}", self.base)).body(form);
        Self::answer(request.header("Content-Type", "application/x-www-form-urlencoded")).await
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Self::answer(request).await
    }

    async fn answer(request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["server"], "NessusWWW");
        Answer { status: response.status().as_u16(), body: response.text().await.unwrap() }
    }
}
