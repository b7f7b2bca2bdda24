//! Clients that ask for much and read nothing.

use std::{fmt::Write as _, io::ErrorKind};

use nessus_mcp_lib::{durable, ids::TaskId};
use nessus_mcp_tests::processes::until;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::fixture::Fixture;

/// The metric of what is not written yet.
const UNWRITTEN: &str = "nessus_http_answer_bytes";
/// The ceiling of it.
const CEILING: u64 = 64 << 20;

/// Findings of 5 MB, more than an answer may have.
fn export() -> String {
    let description = "This is a long text about a finding. ".repeat(135);
    let mut items = String::new();
    for number in 0..1000 {
        let _ = write!(
            items,
            "<ReportItem port=\"80\" svc_name=\"www\" protocol=\"tcp\" severity=\"2\" pluginID=\"{}\" \
             pluginName=\"Finding {number}\" pluginFamily=\"General\"><description>{description}</description>\
             </ReportItem>",
            900_000 + number,
        );
    }
    format!(
        "<NessusClientData_v2><Report name=\"large\"><ReportHost name=\"192.0.2.1\"><HostProperties></HostProperties>\
         {items}</ReportHost></Report></NessusClientData_v2>"
    )
}

async fn large_scan(fixture: &Fixture) -> TaskId {
    let task = fixture.submit(json!({ "targets": "192.0.2.1", "name": "large", "scanner_pool": "lab" })).await;
    fixture.wait_for(&task, "completed").await;
    let path = fixture.deployment.data().join("tasks").join(task.as_str()).join("scan_native.nessus");
    durable::replace(&path, export().as_bytes()).unwrap();
    task
}

fn everything(task: &TaskId) -> serde_json::Value {
    json!({ "task_id": task, "page": 0, "max_chars": 0, "schema_profile": "full" })
}

/// Asks for as much as there may be, and does not read it.
async fn ask(fixture: &Fixture, task: &TaskId) -> TcpStream {
    let call = json!({ "name": "get_scan_results", "arguments": everything(task) });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call }).to_string();
    // The system keeps little of the answer for the client, so that most of it waits in the server.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(fixture.address().parse().unwrap()).await.unwrap();
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nAccept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: 2025-06-18\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        fixture.address(),
        body.len(),
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// What they do not read has a ceiling. Above it others are told to come again, and whatever is small is answered.
#[tokio::test]
async fn answers_that_nobody_reads_have_a_ceiling() {
    let fixture = Fixture::start_with(|server| server.env("MCP_CLIENT_TIMEOUT_SECONDS", "1h"));
    let task = large_scan(&fixture).await;
    let call = json!({ "name": "get_scan_results", "arguments": everything(&task) });
    let one = fixture.request("tools/call", call).send().await.unwrap().bytes().await.unwrap().len() as u64;
    let mut unread = Vec::new();
    for _ in 0..24 {
        unread.push(ask(&fixture, &task).await);
    }
    until("each waits for its reader or is refused", &[&fixture.server.process], async || {
        let refused = fixture.metric("nessus_http_refused_total{what=\"answers\"}").await;
        let unwritten = fixture.metric(UNWRITTEN).await;
        assert!(unwritten <= CEILING, "{unwritten}");
        (unwritten / one + refused == 24).then_some(())
    })
    .await;
    assert!(fixture.metric(UNWRITTEN).await > CEILING / 2);
    let refused = fixture.call("get_scan_results", everything(&task)).await;
    let (code, message, hint) = refused.refusal();
    assert_eq!(code, "busy", "{message}");
    assert!(hint.unwrap().contains("a page"), "{hint:?}");
    let small = fixture.call("get_scan_status", json!({ "task_id": "nothing" })).await;
    assert_eq!(
        refused.result.as_object().unwrap().keys().collect::<Vec<_>>(),
        small.result.as_object().unwrap().keys().collect::<Vec<_>>(),
        "an error looks like any other"
    );
    fixture.wait_for(&task, "completed").await;
    drop(unread);
    until("their room is given back", &[&fixture.server.process], async || {
        (fixture.metric(UNWRITTEN).await == 0).then_some(())
    })
    .await;
    assert!(fixture.call("get_scan_results", everything(&task)).await.text().len() > 3 << 20);
}

/// A client that does not read its answer loses the connection, and its room is given back.
#[tokio::test]
async fn a_client_that_never_reads_is_cut_off() {
    let fixture = Fixture::start_with(|server| server.env("MCP_CLIENT_TIMEOUT_SECONDS", "1s"));
    let task = large_scan(&fixture).await;
    let mut unread = ask(&fixture, &task).await;
    until("it was cut off", &[&fixture.server.process], async || {
        // Only the one that asks for the metrics is left.
        (fixture.metric("nessus_http_connections").await == 1).then_some(())
    })
    .await;
    assert_eq!(fixture.metric(UNWRITTEN).await, 0);
    let mut answer = Vec::new();
    let ended = unread.read_to_end(&mut answer).await;
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset, "{} bytes", answer.len());
}
