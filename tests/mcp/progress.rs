//! Progress notifications, over HTTP and stdio, and what the status says of the way.

use std::{
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use nessus_mcp_tests::{deployment::Deployment, processes::until};
use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt as _, RoleClient,
    model::{CallToolRequestParams, ProgressNotificationParam, ProtocolVersion},
    service::{NotificationContext, RunningService},
    transport::StreamableHttpClientTransport,
};
use serde_json::{Value, json};
use tokio::net::unix::pipe;

use crate::fixture::Fixture;

/// A client that remembers what it hears.
#[derive(Debug, Clone, Default)]
struct Listener(Arc<Mutex<Vec<ProgressNotificationParam>>>);

impl ClientHandler for Listener {
    async fn on_progress(&self, progress: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.0.lock().unwrap().push(progress);
    }
}

type Client = RunningService<RoleClient, Listener>;

async fn call(client: &Client, tool: &'static str, arguments: Value) -> Value {
    let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
    let answer = client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await.unwrap();
    assert_ne!(answer.is_error, Some(true), "{answer:?}");
    answer.structured_content.unwrap()
}

/// Waits for a scan that takes an hour, and cancels it once that was heard of twice.
async fn wait_and_listen(client: &Client) {
    let scan = json!({ "targets": "192.0.2.1", "name": "slow", "scanner_pool": "slow" });
    let task = call(client, "run_untrusted_scan", scan).await["task_id"].clone();
    until("the scan waits at its scanner", &[], async || {
        let view = call(client, "get_scan_status", json!({ "task_id": task })).await;
        (view["phase"] == "pending").then_some(())
    })
    .await;
    let heard = &client.service().0;
    assert_eq!(heard.lock().unwrap().len(), 0, "a call that need not wait says nothing on the way");
    let (answer, ()) =
        tokio::join!(call(client, "get_scan_status", json!({ "task_id": task, "wait_seconds": 45 })), async {
            until("progress was heard of twice", &[], async || (heard.lock().unwrap().len() > 1).then_some(())).await;
            call(client, "cancel_scan", json!({ "task_id": task })).await;
        });
    assert!(answer["cancel_requested_at"].is_string(), "{answer}");
    let heard = std::mem::take(&mut *heard.lock().unwrap());
    assert!(heard.is_sorted_by(|one, next| one.progress < next.progress), "{heard:?}");
    for progress in heard {
        assert_eq!((progress.total, progress.message.as_deref()), (Some(45.0), Some("pending")));
    }
}

#[tokio::test]
async fn a_caller_with_a_token_hears_of_progress_over_http() {
    let fixture = Fixture::start();
    let discover = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    for lifecycle in [ClientLifecycleMode::Initialize, discover] {
        let transport = StreamableHttpClientTransport::from_uri(fixture.server.mcp());
        let client = Listener::default().serve_with_lifecycle(transport, lifecycle).await.unwrap();
        wait_and_listen(&client).await;
        client.cancel().await.unwrap();
    }
}

/// A process that does not outlive its test.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_caller_with_a_token_hears_of_progress_over_stdio() {
    let discover = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    for lifecycle in [ClientLifecycleMode::Initialize, discover] {
        let deployment = Deployment::new("slow:\n  - {instance_id: snail, type: mock, scan_duration: 1h}\n");
        let child = Command::new(Path::new(env!("CARGO_BIN_EXE_nessus-mcp-server")))
            .args(["stdio", "--with-worker", "--poll-interval-seconds", "50ms", "--data-dir"])
            .arg(deployment.data())
            .arg("--scanner-config")
            .arg(deployment.scanners_yaml())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut process = Guarded(child);
        let input = pipe::Sender::from_owned_fd(OwnedFd::from(process.0.stdin.take().unwrap())).unwrap();
        let output = pipe::Receiver::from_owned_fd(OwnedFd::from(process.0.stdout.take().unwrap())).unwrap();
        let client = Listener::default().serve_with_lifecycle((output, input), lifecycle).await.unwrap();
        wait_and_listen(&client).await;
        client.cancel().await.unwrap();
        assert!(process.0.wait().unwrap().success());
    }
}

/// Without a token the answer is one JSON document, however long it is waited for.
#[tokio::test]
async fn a_caller_without_a_token_hears_the_answer_only() {
    let fixture = Fixture::start();
    let task = fixture.submit(json!({ "targets": "192.0.2.1", "name": "n", "scanner_pool": "slow" })).await;
    let waiting = fixture.call("get_scan_status", json!({ "task_id": task, "wait_seconds": 1 })).await;
    assert_eq!(waiting.headers["content-type"], "application/json");
    waiting.ok();
}

/// The way of a scan: waiting behind another, at its scanner, stopped.
#[tokio::test]
async fn the_status_says_what_is_being_done() {
    let fixture = Fixture::start();
    let submit =
        async || fixture.submit(json!({ "targets": "192.0.2.0/29", "name": "n", "scanner_pool": "slow" })).await;
    let status = async |task| fixture.call("get_scan_status", json!({ "task_id": task })).await.ok().clone();
    let first = submit().await;
    until("the first scan is at its scanner", &[&fixture.server.process], async || {
        (status(&first).await["phase"] == "pending").then_some(())
    })
    .await;
    let second = submit().await;
    let waiting = status(&second).await;
    assert_eq!(
        (&waiting["phase"], &waiting["attempt"], &waiting["max_attempts"]),
        (&json!("queued"), &json!(1), &json!(5))
    );
    fixture.call("cancel_scan", json!({ "task_id": first })).await.ok();
    let ended = fixture.wait_for(&first, "cancelled").await;
    assert!(ended["phase"].is_null(), "{ended}");
    let attempts = ended["ended_attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(
        (&attempts[0]["attempt"], &attempts[0]["status"], &attempts[0]["error_code"], &attempts[0]["ended_at"]),
        (&json!(1), &json!("cancelled"), &json!("cancelled"), &ended["completed_at"])
    );
    assert_eq!(ended["troubleshooting"][0]["code"], "cancelled", "{ended}");

    let task = fixture.submit(json!({ "targets": "192.0.2.0/29", "name": "n", "scanner_pool": "lab" })).await;
    let done = fixture.wait_for(&task, "completed").await;
    assert_eq!((&done["hosts_known"], &done["hosts_done"]), (&json!(6), &json!(6)), "{done}");
    assert!(done["phase"].is_null(), "{done}");
    assert_eq!(done["troubleshooting"][0]["code"], "targets_without_results", "two of the eight do not answer: {done}");
}
