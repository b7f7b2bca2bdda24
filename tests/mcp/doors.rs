//! Everything else HTTP serves: health, metrics, and who is let in.

use std::io::Read as _;

use serde_json::{Value, json};

use crate::fixture::Fixture;

/// Load balancers and supervisors decide by these.
#[tokio::test]
async fn health_tells_process_readiness_and_parts_apart() {
    let fixture = Fixture::start();
    for (path, text) in [("/health/live", "live\n"), ("/health/ready", "ready\n")] {
        let answer = fixture.get(path).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, text), "{path}");
    }
    let answer = fixture.get("/health").send().await.unwrap();
    let status = answer.status();
    let report: Value = answer.json().await.unwrap();
    // The disk of the machine that tests may be nearly full, which is the report's to say, not the test's.
    assert_eq!(status == 503, report["status"] == "unhealthy", "{report}");
    assert_eq!(report["checks"]["queue"]["status"], "healthy");
    assert!(report["checks"]["queue"]["latency_ms"].is_number() && report["checks"]["disk"]["used_pct"].is_number());
    assert_eq!(
        (&report["checks"]["scanners"]["enabled"], &report["checks"]["scanners"]["total"]),
        (&json!(3), &json!(4))
    );

    // A data directory that is gone, as an unmounted volume is, means that nothing can be accepted.
    std::fs::remove_dir_all(fixture.deployment.data()).unwrap();
    assert_eq!(fixture.get("/health/ready").send().await.unwrap().status(), 503);
    assert_eq!(fixture.get("/health/live").send().await.unwrap().status(), 200, "a restart would not help");
}

/// Dashboards of the predecessor go on working.
#[tokio::test]
async fn metrics_have_the_names_people_know() {
    let fixture = Fixture::start();
    let task = fixture.submit(json!({ "targets": "192.0.2.1", "name": "measured" })).await;
    fixture.wait_for(&task, "completed").await;
    fixture.call("get_scan_status", json!({ "task_id": "nothing" })).await;
    let mut text = String::new();
    // The slot of a scan is freed right after its task is complete, and then its duration is counted.
    for _ in 0..100 {
        let answer = fixture.get("/metrics").send().await.unwrap();
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
        text = answer.text().await.unwrap();
        if ["\nnessus_active_scans 0\n", "\nnessus_task_duration_seconds_count{"].iter().all(|line| text.contains(line))
        {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for line in [
        "nessus_scans_total{scan_type=\"untrusted\",status=\"queued\"} 1",
        "nessus_scans_total{scan_type=\"untrusted\",status=\"completed\"} 1",
        "nessus_active_scans 0",
        "nessus_task_duration_seconds_bucket{scan_type=\"untrusted\",status=\"completed\",le=\"60\"} 1",
        "nessus_task_duration_seconds_count{scan_type=\"untrusted\",status=\"completed\"} 1",
        "nessus_queue_depth{queue=\"main\"} 0",
        "nessus_queue_depth{queue=\"dead\"} 0",
        "nessus_dlq_size 0",
        "nessus_pool_queue_depth{pool=\"lab\"} 0",
        "nessus_pool_dlq_depth{pool=\"slow\"} 0",
        "nessus_scanner_active_scans{scanner_instance=\"lab:mock-1\"} 0",
        "nessus_scanner_capacity{scanner_instance=\"slow:snail\"} 1",
        "nessus_scanner_utilization_pct{scanner_instance=\"lab:mock-2\"} 0",
        // Two on each enabled scanner of `lab`, one on `snail`.
        "nessus_pool_total_capacity 5",
        "nessus_pool_total_active 0",
        "nessus_scanner_instances{enabled=\"true\",scanner_type=\"mock\"} 3",
        "nessus_scanner_instances{enabled=\"false\",scanner_type=\"mock\"} 1",
        "nessus_api_requests_total{status=\"success\",tool=\"run_untrusted_scan\"} 1",
        "nessus_api_requests_total{status=\"error\",tool=\"get_scan_status\"} 1",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} is missing in\n{text}");
    }
}

/// A web page must not reach a server on loopback through a name of its own (DNS rebinding), nor from its own origin.
#[tokio::test]
async fn other_hosts_and_origins_are_turned_away() {
    let fixture = Fixture::start();
    for path in ["/metrics", "/health", "/health/live", "/mcp"] {
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8835"] {
            let answer = fixture.get(path).header("host", host).send().await.unwrap();
            assert_eq!(answer.status(), 403, "GET {path} for {host}");
        }
    }
    let submit = || {
        let arguments = json!({ "targets": "192.0.2.1", "name": "from afar" });
        fixture.request("tools/call", json!({ "name": "run_untrusted_scan", "arguments": arguments }))
    };
    assert_eq!(submit().header("host", "evil.example").send().await.unwrap().status(), 403);
    assert_eq!(submit().header("origin", "https://evil.example").send().await.unwrap().status(), 403);
    assert_eq!(fixture.deployment.task_directories(), [""; 0], "a scan was accepted from there");
    assert_eq!(submit().header("origin", "http://localhost:5173").send().await.unwrap().status(), 200);
    assert_eq!(fixture.get("/metrics").header("host", "localhost:1").send().await.unwrap().status(), 200);
    for path in ["/metrics", "/health", "/health/live"] {
        for (origin, status) in [("https://evil.example", 403), ("null", 403), ("http://localhost:5173", 200)] {
            let answer = fixture.get(path).header("origin", origin).send().await.unwrap();
            let allowed = answer.status() != 403;
            assert_eq!(allowed, status == 200, "GET {path} from {origin}: {}", answer.status());
        }
    }
}

/// Two parties on the way of a request must not take it for one to different hosts.
#[test]
fn a_request_that_names_two_hosts_is_refused() {
    let fixture = Fixture::start();
    let address = fixture.address();
    for (target, hosts) in [
        ("/health/live".to_owned(), format!("Host: {address}\r\nHost: evil.example\r\n")),
        ("/health/live".to_owned(), format!("Host: {address}\r\nHost: {address}\r\n")),
        ("http://evil.example/health/live".to_owned(), format!("Host: {address}\r\n")),
        (format!("http://{address}/health/live"), "Host: localhost\r\n".to_owned()),
        (format!("http://{address}/health/live"), String::new()),
        ("/health/live".to_owned(), format!("Host: {address}@evil.example\r\n")),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        let mut answer = String::new();
        fixture.raw(&request).read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{request}{answer}");
    }
    let request = format!("GET http://{address}/health/live HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    fixture.raw(&request).read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// What is no request of ours is answered as such, and the server goes on.
#[tokio::test]
async fn malformed_requests_are_protocol_errors() {
    let fixture = Fixture::start();
    let unknown = fixture.rpc("tools/destroy", json!({})).await;
    assert_eq!(unknown["error"]["code"], -32601, "{unknown}");
    for (body, code) in
        [("{\"jsonrpc\": ", -32700), ("", -32700), ("ping", -32700), ("{}", -32600), ("[]", -32600), ("1", -32600)]
    {
        let answer = fixture.request("ping", json!({})).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{body}");
        let answer: serde_json::Value = answer.json().await.unwrap();
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &json!(null)), "{body}: {answer}");
    }
    // A megabyte is far more than any request needs. The server may hang up before it has read all of it.
    let large = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping", "params": { "x": "x".repeat(2 << 20) } });
    let client = reqwest::Client::new();
    let request = client.post(fixture.server.mcp()).header("accept", "application/json, text/event-stream");
    let status = request.json(&large).send().await.map_or(413, |answer| answer.status().as_u16());
    assert_eq!(status, 413);
    assert_eq!(fixture.get("/nothing").send().await.unwrap().status(), 404);
    assert_eq!(fixture.get("/health/live").send().await.unwrap().status(), 200);
}

/// Operators have a door of their own, and what it shows is not shown at the other.
#[tokio::test]
async fn metrics_and_health_have_an_address_of_their_own() {
    let fixture = Fixture::start_with(|server| server.args(["--admin-bind", "127.0.0.1:0"]));
    let administration = fixture.administration();
    let status = async |url: &str, path: &str, host: &str| {
        let request = reqwest::Client::new().get(format!("{url}{path}")).header("host", host);
        request.send().await.unwrap().status().as_u16()
    };
    for (path, main, admin) in
        [("/health/live", 200, 200), ("/health/ready", 200, 200), ("/metrics", 404, 200), ("/health", 404, 0)]
    {
        assert_eq!(status(fixture.server.url(), path, "localhost").await, main, "{path}");
        // The disk of the machine may be nearly full, and the report says so.
        let answer = status(&administration, path, "localhost").await;
        assert!(answer == admin || (admin == 0 && [200, 503].contains(&answer)), "{path}: {answer}");
        assert_eq!(status(&administration, path, "evil.example").await, 403, "{path}");
    }
    let request = fixture.request("ping", json!({})).build().unwrap();
    let mut at_the_other = request.try_clone().unwrap();
    *at_the_other.url_mut() = format!("{administration}/mcp").parse().unwrap();
    assert_eq!(reqwest::Client::new().execute(at_the_other).await.unwrap().status(), 404);
    assert_eq!(reqwest::Client::new().execute(request).await.unwrap().status(), 200);
    fixture
        .wait_for(
            &fixture.submit(json!({ "targets": "192.0.2.1", "name": "x", "scanner_pool": "lab" })).await,
            "completed",
        )
        .await;
}
