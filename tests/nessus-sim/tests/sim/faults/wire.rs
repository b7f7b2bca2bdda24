//! Faults of the connection.

use std::time::Duration;

use nessus_sim::{Fault, SimConfig, SimulatedNessus};
use rstest::rstest;
use serde_json::json;

use crate::{
    client::{BASIC, Client, Fixture},
    raw::{Ending, PATIENCE, QUIET, Raw, Seen},
};

/// Sends a request on a connection of its own.
async fn exchange(fixture: &Fixture, method: &str, path: &str, body: &str, quiet: Duration) -> Seen {
    let mut connection = Raw::connect(&fixture.sim).await.unwrap();
    connection.send(&fixture.client.raw(method, path, body)).await;
    connection.read(quiet).await
}

fn scan() -> String {
    json!({ "uuid": BASIC, "settings": { "name": "one", "text_targets": "192.0.2.1" } }).to_string()
}

/// A completed scan and the path where its export can be fetched.
async fn export(fixture: &Fixture) -> String {
    let scan = fixture.completed("exported", "192.0.2.1-20").await;
    let answer = fixture.client.post(&format!("/scans/{scan}/export"), json!({ "format": "nessus" })).await.ok();
    fixture.pass(1);
    format!("/scans/{scan}/export/{}/download", answer["file"])
}

#[rstest]
#[case("create_lost", 1, Ending::Closed)]
#[case("create_lost_undone", 0, Ending::Closed)]
#[case("create_reset", 1, Ending::Reset)]
#[case("create_reset_undone", 0, Ending::Reset)]
#[case("closed", 0, Ending::Closed)]
#[case("reset", 0, Ending::Reset)]
#[case("silence", 0, Ending::Silent)]
#[case("create_timeout", 1, Ending::Silent)]
#[case("create_timeout_undone", 0, Ending::Silent)]
#[case("write_unanswered", 0, Ending::Closed)]
#[case("write_unanswered_done", 1, Ending::Closed)]
#[tokio::test]
async fn a_create_without_an_answer(#[case] fault: &str, #[case] created: u64, #[case] ending: Ending) {
    let fixture = Fixture::start(SimConfig::new()).await;
    fixture.sim.inject(Fault::new(fault));
    let quiet = if ending == Ending::Silent { QUIET } else { PATIENCE };
    let seen = exchange(&fixture, "POST", "/scans", &scan(), quiet).await;
    assert_eq!((seen.head.as_str(), seen.ending), ("", ending));
    let stats = fixture.sim.stats();
    assert_eq!((stats.total_creates, stats.faults[fault]), (created, 1));
    // The fault is used up.
    fixture.create("two", "192.0.2.1").await;
}

#[rstest]
#[case("launch_lost", 1, Ending::Closed)]
#[case("launch_lost_undone", 0, Ending::Closed)]
#[case("launch_reset", 1, Ending::Reset)]
#[case("launch_reset_undone", 0, Ending::Reset)]
#[case("launch_timeout", 1, Ending::Silent)]
#[case("launch_timeout_undone", 0, Ending::Silent)]
#[tokio::test]
async fn a_launch_without_an_answer(#[case] fault: &str, #[case] launched: u64, #[case] ending: Ending) {
    let fixture = Fixture::start(SimConfig::new()).await;
    let scan = fixture.create("one", "192.0.2.1").await;
    fixture.sim.inject(Fault::new(fault));
    let quiet = if ending == Ending::Silent { QUIET } else { PATIENCE };
    let seen = exchange(&fixture, "POST", &format!("/scans/{scan}/launch"), "{}", quiet).await;
    assert_eq!((seen.head.as_str(), seen.ending), ("", ending));
    assert_eq!(fixture.sim.stats().total_launches, launched);
    assert_eq!(fixture.status(scan).await, if launched == 1 { "pending" } else { "empty" });
}

#[rstest]
#[case("create_timeout", 200)]
#[case("create_timeout_undone", 0)]
#[case("latency", 200)]
#[tokio::test]
async fn a_late_answer_comes_in_the_end(#[case] fault: &str, #[case] status: u16) {
    let fixture = Fixture::start(SimConfig::new()).await;
    fixture.sim.inject(Fault::new(fault).delay(Duration::from_millis(100)));
    let mut connection = Raw::connect(&fixture.sim).await.unwrap();
    connection.send(&fixture.client.raw("POST", "/scans", &scan())).await;
    let began = std::time::Instant::now();
    let seen = connection.read(PATIENCE).await;
    assert_eq!((seen.status(), seen.ending), (status, Ending::Closed));
    // Not before its time; how much later depends on the machine.
    assert!(began.elapsed() >= Duration::from_millis(90));
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte() {
    let fixture = Fixture::start(SimConfig::new()).await;
    fixture.sim.inject(Fault::new("slow_headers").bytes(1).delay(Duration::from_millis(1)));
    let mut connection = Raw::connect(&fixture.sim).await.unwrap();
    connection.send(&fixture.client.raw("GET", "/server/status", "")).await;
    assert!(connection.next().await.len() < 20, "not slow");
    let rest = connection.read(PATIENCE).await;
    assert!(rest.head.ends_with("\r\n\r\n") && rest.body.starts_with(b"{"), "{rest:?}");
}

#[rstest]
#[case("headers_only", Ending::Closed)]
#[case("headers_then_silence", Ending::Silent)]
#[tokio::test]
async fn a_head_and_no_body(#[case] fault: &str, #[case] ending: Ending) {
    let fixture = Fixture::start(SimConfig::new()).await;
    fixture.sim.inject(Fault::new(fault));
    let quiet = if ending == Ending::Silent { QUIET } else { PATIENCE };
    let seen = exchange(&fixture, "GET", "/server/status", "", quiet).await;
    assert_eq!((seen.status(), seen.body.len(), seen.ending), (200, 0, ending));
    assert!(seen.promised() > 0);
}

#[tokio::test]
async fn a_connection_that_is_stale() {
    let fixture = Fixture::start(SimConfig::new()).await;
    fixture.sim.inject("stale_connection");
    let mut connection = Raw::connect(&fixture.sim).await.unwrap();
    let keep_alive = fixture.client.raw("POST", "/scans", &scan()).replace("Connection: close\r\n", "");
    connection.send(&keep_alive).await;
    let first = String::from_utf8(connection.next().await).unwrap();
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    connection.send(&keep_alive).await;
    let second = connection.read(PATIENCE).await;
    assert_eq!((second.head.as_str(), second.ending), ("", Ending::Closed));
    assert_eq!(fixture.sim.stats().total_creates, 1);
}

#[tokio::test]
async fn a_connection_that_ends_unannounced() {
    let fixture = Fixture::start(SimConfig::new()).await;
    fixture.sim.inject("closed_behind");
    let mut connection = Raw::connect(&fixture.sim).await.unwrap();
    let request = fixture.client.raw("GET", "/server/status", "").replace("Connection: close\r\n", "");
    connection.send(&request).await;
    let seen = connection.read(PATIENCE).await;
    assert_eq!((seen.status(), seen.body.len(), seen.ending), (200, seen.promised(), Ending::Closed));
    assert_eq!(seen.header("connection"), Some("keep-alive"));
}

#[rstest]
#[case("short_download", 40, Ending::Closed)]
#[case("short_download", 90, Ending::Closed)]
#[case("download_reset", 40, Ending::Reset)]
#[case("download_reset", 90, Ending::Reset)]
#[case("download_stalls", 50, Ending::Silent)]
#[tokio::test]
async fn a_download_that_breaks_off(#[case] fault: &str, #[case] percent: usize, #[case] ending: Ending) {
    let fixture = Fixture::start(SimConfig::new()).await;
    let path = export(&fixture).await;
    let quiet = if ending == Ending::Silent { QUIET } else { PATIENCE };
    let fetch = async || {
        fixture.sim.inject(Fault::new(fault).percent(percent as u64));
        let seen = exchange(&fixture, "GET", &path, "", quiet).await;
        assert_eq!((seen.status(), seen.ending), (200, ending));
        let sent = seen.promised() / 100 * percent + seen.promised() % 100 * percent / 100;
        assert!(seen.body.len() <= sent, "{} of {sent}", seen.body.len());
        (seen, sent)
    };
    let (mut seen, sent) = fetch().await;
    // What is on its way when a connection is reset may be lost, but not each time.
    for _ in 0..20 {
        if ending == Ending::Reset && seen.body.len() < sent {
            (seen, _) = fetch().await;
        }
    }
    assert_eq!(seen.body.len(), sent);
    // The same file can be fetched again.
    let whole = exchange(&fixture, "GET", &path, "", PATIENCE).await;
    assert_eq!((whole.body.len(), whole.promised()), (seen.promised(), seen.promised()));
    assert!(whole.body.starts_with(&seen.body));
}

#[tokio::test]
async fn a_chunked_download_that_breaks_off_or_does_not() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let path = export(&fixture).await;
    let whole = exchange(&fixture, "GET", &path, "", PATIENCE).await.body;
    fixture.sim.inject(Fault::new("chunked_abort").bytes(70_000));
    let aborted = exchange(&fixture, "GET", &path, "", PATIENCE).await;
    assert_eq!((aborted.chunks(), aborted.ending), ((whole[..70_000].to_vec(), false), Ending::Closed));
    fixture.sim.inject("chunked");
    let seen = exchange(&fixture, "GET", &path, "", PATIENCE).await;
    assert_eq!((seen.chunks(), seen.header("content-length")), ((whole, true), None));
}

#[tokio::test]
async fn a_body_that_trickles() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let fault = Fault::new("trickle").path("/server/status").bytes(7).delay(Duration::from_millis(2));
    fixture.sim.inject(fault);
    let mut connection = Raw::connect(&fixture.sim).await.unwrap();
    connection.send(&fixture.client.raw("GET", "/server/status", "")).await;
    let mut pieces = 0;
    while !connection.next().await.is_empty() {
        pieces += 1;
    }
    assert!(pieces > 3, "{pieces}");
}

#[tokio::test]
async fn connections_are_refused_until_cleared_or_for_a_while() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let mut open = Raw::connect(&fixture.sim).await.unwrap();
    fixture.sim.inject("refuse_connections");
    assert!(Raw::connect(&fixture.sim).await.is_err());
    assert_ne!(open.read(PATIENCE).await.ending, Ending::Silent, "an open connection is broken as well");
    fixture.sim.clear_faults();
    fixture.client.get("/session").await.ok();

    fixture.sim.inject(Fault::new("refuse_connections").lasting(Duration::from_millis(50)));
    for _ in 0..500 {
        if Raw::connect(&fixture.sim).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the scanner never came back");
}

#[tokio::test]
async fn a_dropped_scanner_frees_its_port_at_once_whatever_it_was_doing() {
    let sim = SimulatedNessus::start().await;
    sim.inject("silence");
    let mut waiting = Raw::connect(&sim).await.unwrap();
    waiting.send(&Client::stranger(&sim).raw("GET", "/", "")).await;
    while sim.stats().faults.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let port = sim.url().rsplit(':').next().unwrap().parse().unwrap();
    drop(sim);
    assert_ne!(waiting.read(PATIENCE).await.ending, Ending::Silent);
    SimulatedNessus::start_with(SimConfig::new().port(port)).await;
}
