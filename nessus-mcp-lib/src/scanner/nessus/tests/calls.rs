//! The calls a scan can do without: ending it at once, its history and hosts, the trash.

use wiremock::matchers::body_json;

use super::*;
use crate::scanner::removal::remove_scan;

const SCAN: &str = "/scans/57";

fn scan() -> ScanId {
    ScanId::from(57)
}

#[tokio::test]
async fn a_scan_is_killed() {
    let server = scanner_with_logins(1).await;
    call("POST", "/scans/57/kill").respond_with(ok(json!({}))).up_to_n_times(1).expect(1).mount(&server).await;
    call("POST", "/scans/57/kill").respond_with(refusal(409, "scan is not active")).expect(1).mount(&server).await;
    call("GET", SCAN).respond_with(ok(json!({ "info": { "status": "canceled" } }))).mount(&server).await;
    let scanner = client(server.uri());
    scanner.kill(&scan()).await.unwrap();
    scanner.kill(&scan()).await.unwrap();
}

/// A proxy refuses a request that may carry a body and does not say how long it is.
#[tokio::test]
async fn whatever_acts_says_how_long_its_body_is() {
    let server = scanner_with_logins(1).await;
    for verb in ["launch", "stop", "kill", "pause", "resume"] {
        let plain = call("POST", &format!("/scans/57/{verb}")).and(body_json(json!({})));
        plain
            .and(header("Content-Type", "application/json"))
            .respond_with(ok(json!({})))
            .expect(1)
            .mount(&server)
            .await;
    }
    call("PUT", "/scans/57/folder").respond_with(ok(json!({}))).expect(1).mount(&server).await;
    call("GET", "/folders").respond_with(ok(json!({ "folders": [{ "id": 2, "type": "trash" }] }))).mount(&server).await;
    call("GET", SCAN).respond_with(ok(json!({ "info": { "status": "empty" } }))).mount(&server).await;
    let scanner = client(server.uri());
    scanner.launch(&scan()).await.unwrap();
    scanner.stop(&scan()).await.unwrap();
    scanner.kill(&scan()).await.unwrap();
    scanner.pause(&scan()).await.unwrap();
    scanner.resume(&scan()).await.unwrap();
    scanner.trash(&scan()).await.unwrap();
    for request in server.received_requests().await.unwrap() {
        let has_body = request.method.as_str() != "GET";
        assert_eq!(request.headers.contains_key("content-length"), has_body, "{} {}", request.method, request.url);
    }
}

#[tokio::test]
async fn hosts_are_read_leniently() {
    let server = scanner_with_logins(1).await;
    let details = json!({
        "info": { "status": "completed" },
        "hosts": [{ "host_id": "2", "hostname": "192.0.2.10", "critical": 0, "high": 1, "medium": "4", "low": 2, "info": 38 }, {}],
    });
    call("GET", SCAN).respond_with(ok(details)).up_to_n_times(1).mount(&server).await;
    call("GET", SCAN).respond_with(ok(json!({ "info": {}, "hosts": null }))).mount(&server).await;
    let scanner = client(server.uri());
    let hosts = scanner.hosts(&scan()).await.unwrap();
    assert_eq!(hosts.len(), 1);
    assert_eq!((hosts[0].id, hosts[0].name.as_str(), hosts[0].findings), (2, "192.0.2.10", [38, 2, 4, 1, 0]));
    assert!(scanner.hosts(&scan()).await.unwrap().is_empty());
}

#[tokio::test]
async fn properties_tell_the_licence_and_the_age_of_the_plugins() {
    let server = scanner_with_logins(1).await;
    let properties = json!({
        "nessus_type": "Nessus Professional", "plugin_set": "202511200505", "used_ip_count": "3",
        "license": { "name": "Nessus Professional", "ips": 16, "expiration_date": 1_900_000_000, "features": { "scan_api": 0 } },
    });
    call("GET", "/server/properties").respond_with(ok(properties)).mount(&server).await;
    call("GET", "/server/status").respond_with(ok(json!({ "status": "ready" }))).mount(&server).await;
    let properties = client(server.uri()).properties().await.unwrap();
    assert_eq!((properties.used_hosts, properties.licensed_hosts), (Some(3), Some(16)));
    assert_eq!(properties.licence_ends.unwrap().to_string(), "2030-03-17T17:46:40.000Z");
    assert_eq!(properties.scans_by_api_key, Some(false));
    let now = "2025-11-23T05:05:00Z".parse().unwrap();
    assert_eq!(properties.plugin_age(now), Some(Duration::from_secs(3 * 24 * 3600)));
}

#[tokio::test]
async fn the_trash_is_found_by_its_type() {
    let server = scanner_with_logins(1).await;
    let folders = json!({ "folders": [{ "id": 3, "type": "main" }, { "id": 18, "type": "trash" }] });
    call("GET", "/folders").respond_with(ok(folders)).up_to_n_times(1).mount(&server).await;
    call("GET", "/folders").respond_with(ok(json!({ "folders": null }))).mount(&server).await;
    let moved = call("PUT", "/scans/57/folder").and(body_json(json!({ "folder_id": 18 })));
    moved.respond_with(ResponseTemplate::new(200)).expect(1).mount(&server).await;
    let scanner = client(server.uri());
    scanner.trash(&scan()).await.unwrap();
    assert!(matches!(scanner.trash(&scan()).await, Err(ScannerError::Unsupported(_))));
}

/// Row 22: stopped, waited for, moved away, deleted.
#[tokio::test]
async fn an_active_scan_is_removed_in_its_order() {
    let server = scanner_with_logins(1).await;
    call("GET", SCAN).respond_with(ok(running(50))).up_to_n_times(2).mount(&server).await;
    call("GET", SCAN).respond_with(ok(json!({ "info": { "status": "canceled" } }))).mount(&server).await;
    call("POST", "/scans/57/stop").respond_with(ResponseTemplate::new(200)).expect(1).mount(&server).await;
    call("GET", "/folders").respond_with(ok(json!({ "folders": [{ "id": 2, "type": "trash" }] }))).mount(&server).await;
    call("PUT", "/scans/57/folder").respond_with(ResponseTemplate::new(200)).expect(2).mount(&server).await;
    let busy = refusal(409, "Can not delete an active scan");
    call("DELETE", SCAN).respond_with(busy).up_to_n_times(1).expect(1).mount(&server).await;
    call("DELETE", SCAN).respond_with(ResponseTemplate::new(200)).expect(1).mount(&server).await;
    remove_scan(&client(server.uri()), &scan(), Duration::from_secs(60)).await.unwrap();
}
