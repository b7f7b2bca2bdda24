//! Clients that hold connections and do nothing with them.

use std::{
    io::{ErrorKind, Read as _},
    net::TcpStream,
};

use nessus_mcp_tests::processes::until;
use serde_json::json;

use crate::fixture::Fixture;

/// Reads until the server closes the connection.
fn to_the_end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // What was sent to a connection that the server has closed already comes back as this.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        read => drop(read.unwrap()),
    }
    String::from_utf8(answer).unwrap()
}

/// Whoever does not go on loses the connection, at whatever place.
#[test]
fn clients_that_stand_still_are_cut_off() {
    let fixture = Fixture::start_with(|server| server.env("MCP_CLIENT_TIMEOUT_SECONDS", "1s"));
    let host = format!("Host: {}\r\n", fixture.address());
    let body =
        "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: 100\r\n";
    let silent = fixture.raw("");
    let half_a_head = fixture.raw(&format!("GET /health/live HTTP/1.1\r\n{host}"));
    let half_a_body = fixture.raw(&format!("POST /mcp HTTP/1.1\r\n{host}{body}\r\n{{"));
    let half_a_chunk = fixture.raw(&format!("POST /mcp HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n9\r\n{{"));
    let idle = fixture.raw(&format!("GET /health/live HTTP/1.1\r\n{host}\r\n"));
    for stream in [silent, half_a_head] {
        assert_eq!(to_the_end(stream), "");
    }
    for stream in [half_a_body, half_a_chunk] {
        let answer = to_the_end(stream);
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
    let answer = to_the_end(idle);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("live\n"), "{answer}");
}

/// Bodies in flight have room for a while: a flood of large halves must not be kept in memory.
#[tokio::test]
async fn many_large_half_sent_bodies_are_refused() {
    let fixture = Fixture::start_with(|server| server.env("MCP_CLIENT_TIMEOUT_SECONDS", "1h"));
    let head = format!("POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Length: 1048576\r\n\r\n{{", fixture.address());
    let halves: Vec<_> = (0..40).map(|_| fixture.raw(&head)).collect();
    until("eight of them are refused", &[&fixture.server.process], async || {
        (fixture.metric("nessus_http_refused_total{what=\"requests\"}").await == 8).then_some(())
    })
    .await;
    // Small requests do not count.
    let task = fixture.submit(json!({ "targets": "192.0.2.1", "name": "beside", "scanner_pool": "lab" })).await;
    fixture.wait_for(&task, "completed").await;
    drop(halves);
}
