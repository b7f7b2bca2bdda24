//! The client against a scripted scanner: wiremock where answers are whole, a raw socket where they break off.

mod access;
mod calls;
mod credentials;
mod export;
mod faults;
mod large;
mod lifecycle;
mod policies;
mod session;
mod shapes;

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    time::Duration,
};

use serde_json::{Value, json};
use wiremock::{
    Mock, MockBuilder, MockServer, ResponseTemplate,
    matchers::{header, method, path},
};

use super::*;
use crate::{scanner::offer::ScanBasis, secret::Secret};

const PASSWORD: &str = "planted-password";
const API_TOKEN: &str = "778F4A9C-D797-4817-B110-EC427B724486";

/// Anything a message must not show.
const SECRETS: [&str; 4] = [PASSWORD, API_TOKEN, "first", "second"];

fn config(url: impl Into<String>) -> NessusConfig {
    NessusConfig::new(url, "admin", Secret::new(PASSWORD))
        .retry_pause(Duration::from_millis(1))
        .export_poll_interval(Duration::from_millis(5))
        .ready_poll_interval(Duration::from_millis(5))
}

fn client(url: impl Into<String>) -> NessusScanner {
    NessusScanner::new(config(url)).unwrap()
}

fn ok(body: impl serde::Serialize) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

fn refusal(status: u16, error: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({ "error": error }))
}

fn call(verb: &str, at: &str) -> MockBuilder {
    Mock::given(method(verb)).and(path(at))
}

/// A call that is answered only with the session `token`.
fn call_with(verb: &str, at: &str, token: &str) -> MockBuilder {
    call(verb, at).and(header("X-Cookie", format!("token={token}").as_str()))
}

fn script(token: &str) -> ResponseTemplate {
    let script = format!(r#"{{key:"getApiToken",value:function(){{return"{token}"}}}},{{key:"z"}}"#);
    ResponseTemplate::new(200).set_body_raw(script, "application/javascript")
}

/// A scanner with a scan that was never launched; whatever else a test wants of it comes first.
async fn scanner() -> MockServer {
    let server = MockServer::start().await;
    let empty = json!({ "info": { "status": "empty" }, "hosts": null, "history": null });
    call("GET", "/scans/1").respond_with(ok(empty)).with_priority(200).mount(&server).await;
    call("GET", "/scans").respond_with(ok(json!({ "scans": null }))).with_priority(200).mount(&server).await;
    call("GET", "/nessus6.js").respond_with(script(API_TOKEN)).with_priority(200).mount(&server).await;
    server
}

/// A scanner that gives the session `first` to one login, and `second` to the next; each at most `logins` times in all.
async fn scanner_with_logins(logins: u64) -> MockServer {
    let server = scanner().await;
    call("POST", "/session").respond_with(ok(json!({ "token": "first" }))).up_to_n_times(1).mount(&server).await;
    if logins > 1 {
        call("POST", "/session").respond_with(ok(json!({ "token": "second" }))).expect(logins - 1).mount(&server).await;
    }
    server
}

async fn requests(server: &MockServer, verb: &str, at: &str) -> usize {
    let requests = server.received_requests().await.unwrap();
    requests.iter().filter(|request| request.method.as_str() == verb && request.url.path() == at).count()
}

fn running(progress: u64) -> Value {
    json!({
        "info": { "status": "running", "uuid": "run-1" },
        "hosts": [{ "scanprogresscurrent": progress, "scanprogresstotal": 100 }],
    })
}

fn completed() -> Value {
    json!({ "info": { "status": "completed", "uuid": "run-1" }, "hosts": [{}, {}] })
}

fn document() -> String {
    let items = "<ReportItem port=\"0\"/>\n".repeat(500);
    format!(
        "<?xml version=\"1.0\" ?>\n<NessusClientData_v2>\n<Report name=\"r\"><ReportHost name=\"h\">{items}</ReportHost></Report>\n</NessusClientData_v2>\n\n"
    )
}

fn assert_keeps_secrets(error: &ScannerError) {
    let shown = format!("{error} {error:?} {}", crate::error::chain(error));
    for secret in SECRETS {
        assert!(!shown.contains(secret), "`{secret}` in {shown}");
    }
}

/// What a raw scanner answers before and to the first login.
fn raw_login() -> Vec<String> {
    vec![raw(r#"{"code":200,"progress":null,"status":"ready"}"#), raw(r#"{"token":"first"}"#)]
}

/// A scanner that answers the connections it gets, one request each, with these bytes in turn, and hangs up; an
/// answer that ends with `…` is followed by silence instead.
fn raw_scanner(answers: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let read = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..read]);
                let text = String::from_utf8_lossy(&request);
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let head = head.to_ascii_lowercase();
                let length = head
                    .split_once("content-length: ")
                    .map_or(0, |(_, rest)| rest.lines().next().unwrap().trim().parse::<usize>().unwrap());
                if body.len() >= length {
                    break;
                }
            }
            stream.write_all(answer.trim_end_matches('…').as_bytes()).unwrap();
            if answer.ends_with('…') {
                silent.push(stream);
            }
        }
        // Whoever is kept waiting is kept so until the client goes.
        for mut stream in silent {
            let _ = stream.read(&mut [0]);
        }
    });
    url
}

/// A whole answer for [`raw_scanner`].
fn raw(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
