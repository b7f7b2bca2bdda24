//! A server with a worker and mock scanners, and a client that shows answers as they are.

use std::{io::Write as _, net::TcpStream, path::Path};

use nessus_mcp_lib::{client::NessusMcpClient, ids::TaskId};
use nessus_mcp_tests::{
    deployment::{Deployment, Server},
    processes::{PATIENCE, Program, until},
};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// `lab` scans in a moment, `slow` never within a test; `lab` has a scanner that is switched off.
pub(crate) const SCANNERS: &str = "\
lab:
  - {instance_id: mock-1, type: mock, scan_duration: 300ms}
  - {instance_id: mock-2, type: mock, scan_duration: 300ms}
  - {instance_id: mock-off, type: mock, enabled: false}
slow:
  - {instance_id: snail, type: mock, scan_duration: 1h, max_concurrent_scans: 1}
";

/// A running server.
pub(crate) struct Fixture {
    pub(crate) deployment: Deployment,
    pub(crate) server: Server,
    http: reqwest::Client,
}

/// What a tool answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The whole `result` of the JSON-RPC answer.
    pub(crate) result: Value,
    /// The answer's headers.
    pub(crate) headers: HeaderMap,
}

impl Answer {
    /// The text of the answer, which must have one part.
    pub(crate) fn text(&self) -> &str {
        let content = self.result["content"].as_array().unwrap();
        assert_eq!((content.len(), &content[0]["type"]), (1, &json!("text")), "{self:?}");
        content[0]["text"].as_str().unwrap()
    }

    /// The structured answer of a call that succeeded; the text must say the same, for clients that show only it.
    #[track_caller]
    pub(crate) fn ok(&self) -> &Value {
        assert_ne!(self.result["isError"], true, "{self:?}");
        let structured = &self.result["structuredContent"];
        assert_eq!(*structured, serde_json::from_str::<Value>(self.text()).unwrap());
        structured
    }

    /// Code, message and hint of a call that was refused.
    #[track_caller]
    pub(crate) fn refusal(&self) -> (&str, &str, Option<&str>) {
        assert_eq!(self.result["isError"], true, "{self:?}");
        let refusal = &self.result["structuredContent"];
        assert_eq!(*refusal, serde_json::from_str::<Value>(self.text()).unwrap(), "text and structure differ");
        (refusal["error"].as_str().unwrap(), refusal["message"].as_str().unwrap(), refusal["hint"].as_str())
    }
}

/// A server with a worker.
fn program(deployment: &Deployment) -> Program {
    let binary = Path::new(env!("CARGO_BIN_EXE_nessus-mcp-server"));
    deployment.server(binary).args(["--with-worker", "--poll-interval-seconds", "50ms"])
}

impl Fixture {
    pub(crate) fn start() -> Self {
        Self::start_with(|program| program)
    }

    /// The same with a program that `change` has changed.
    pub(crate) fn start_with(change: impl FnOnce(Program) -> Program) -> Self {
        Self::start_prepared(|_| {}, change)
    }

    /// The same on a deployment that `prepare` has prepared.
    pub(crate) fn start_prepared(prepare: impl FnOnce(&Deployment), change: impl FnOnce(Program) -> Program) -> Self {
        let deployment = Deployment::new(SCANNERS);
        prepare(&deployment);
        let server = deployment.serve(&change(program(&deployment)));
        Self { deployment, server, http: reqwest::Client::new() }
    }

    /// The same on what a server has left that has ended.
    pub(crate) fn start_again(&mut self) {
        self.server = self.deployment.serve(&program(&self.deployment));
    }

    /// A connection on which `text` was sent. Reading from it fails when nothing comes for too long.
    pub(crate) fn raw(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    }

    /// The address of the server, as it stands in `Host`.
    pub(crate) fn address(&self) -> &str {
        self.server.url().strip_prefix("http://").unwrap()
    }

    /// Where a server with an address for its metrics shows them.
    pub(crate) fn administration(&self) -> String {
        self.server.process.wait_for_line("the address of the metrics", |line| {
            line.strip_prefix("metrics and health on ").map(str::to_owned)
        })
    }

    /// Where a server with an address for its pages shows them, without `/ui`.
    pub(crate) fn pages(&self) -> String {
        self.server.process.wait_for_line("the address of the pages", |line| {
            line.strip_prefix("pages on ")?.strip_suffix("/ui").map(str::to_owned)
        })
    }

    /// The value of a metric; 0 where nothing was counted yet.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").send().await.unwrap().text().await.unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// The typed client.
    pub(crate) async fn client(&self) -> NessusMcpClient {
        NessusMcpClient::connect(&self.server.mcp()).await.unwrap()
    }

    /// A GET of the server.
    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("{}{path}", self.server.url()))
    }

    /// A JSON-RPC request, complete but for what a test adds.
    pub(crate) fn request(&self, method: &str, params: Value) -> reqwest::RequestBuilder {
        request_to(&self.http, &self.server.mcp(), method, params)
    }

    /// The JSON-RPC answer to a request.
    pub(crate) async fn rpc(&self, method: &str, params: Value) -> Value {
        self.request(method, params).send().await.unwrap().json().await.unwrap()
    }

    /// The answer of a tool.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Answer {
        self.call_with(tool, arguments, &[]).await
    }

    /// The answer of a tool to a call with more headers.
    pub(crate) async fn call_with(&self, tool: &str, arguments: Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.request("tools/call", json!({ "name": tool, "arguments": arguments }));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let headers = response.headers().clone();
        let body: Value = response.json().await.unwrap();
        assert!(body["result"].is_object(), "{tool}: {body}");
        Answer { result: body["result"].clone(), headers }
    }

    /// Submits a scan; returns its task.
    pub(crate) async fn submit(&self, arguments: Value) -> TaskId {
        let answer = self.call("run_untrusted_scan", arguments).await;
        task_id(answer.ok())
    }

    /// Waits until a task is in this state; returns its last view.
    pub(crate) async fn wait_for(&self, task: &TaskId, status: &str) -> Value {
        until(&format!("{task} is {status}"), &[&self.server.process], async || {
            let view = self.call("get_scan_status", json!({ "task_id": task })).await.ok().clone();
            (view["status"] == status).then_some(view)
        })
        .await
    }
}

/// A JSON-RPC request to an endpoint of MCP.
pub(crate) fn request_to(http: &reqwest::Client, url: &str, method: &str, params: Value) -> reqwest::RequestBuilder {
    let request = http.post(url).header("accept", "application/json, text/event-stream");
    // The version is agreed upon by the handshake, and stands beside everything after it.
    let request = if method == "initialize" { request } else { request.header("mcp-protocol-version", "2025-06-18") };
    let mut body = json!({ "jsonrpc": "2.0", "id": 1, "method": method });
    body["params"] = params;
    request.json(&body)
}

/// The task an answer names.
pub(crate) fn task_id(answer: &Value) -> TaskId {
    TaskId::new(answer["task_id"].as_str().unwrap()).unwrap()
}
