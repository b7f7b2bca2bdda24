//! Clients that want the server for themselves, and one that means well meanwhile.

use std::{
    fs,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nessus_mcp_lib::durable;
use nessus_mcp_tests::processes::{Process, Program, until};
use rcgen::{CertificateParams, KeyPair};
use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};

use crate::fixture::Fixture;

/// Where attacks come from, unless they come from many addresses.
const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Who means well and is nobody's neighbour.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// The most connections of one address.
const MOST_OF_ONE: u64 = 512;

impl Fixture {
    fn socket(&self) -> SocketAddr {
        self.address().parse().unwrap()
    }

    /// A connection from this address of this machine.
    async fn connect_from(&self, source: Ipv4Addr) -> TcpStream {
        connect(source, self.socket()).await.unwrap()
    }

    /// A connection on which this was sent.
    async fn send_from(&self, source: Ipv4Addr, bytes: &[u8]) -> TcpStream {
        let mut stream = self.connect_from(source).await;
        stream.write_all(bytes).await.unwrap();
        stream
    }

    /// The value of a metric, asked for from an address of its own.
    async fn metric_from_afar(&self, name: &str) -> u64 {
        metric_at(self.server.url(), name).await
    }

    async fn refused(&self, what: &str) -> u64 {
        self.metric_from_afar(&format!("nessus_http_refused_total{{what=\"{what}\"}}")).await
    }

    /// The head of a POST to `/mcp`, but for what says where its body ends.
    fn head(&self, more: &str) -> String {
        format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nAccept: application/json, text/event-stream\r\n\
             MCP-Protocol-Version: 2025-06-18\r\nContent-Type: application/json\r\n{more}",
            self.address()
        )
    }

    /// A tool call.
    fn tool_call(&self, tool: &str, arguments: &Value) -> Vec<u8> {
        let call = json!({ "name": tool, "arguments": arguments });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call }).to_string();
        [self.head(&format!("Content-Length: {}\r\n\r\n", body.len())), body].concat().into_bytes()
    }

    /// Status of a status call from an address: what somebody who means well wants to know.
    async fn status_from(&self, source: Ipv4Addr, task: &str) -> Option<u16> {
        let request =
            self.request("tools/call", json!({ "name": "get_scan_status", "arguments": { "task_id": task } }));
        let (_, request) = request.build_split();
        client_at(source).execute(request.unwrap()).await.ok().map(|answer| answer.status().as_u16())
    }

    /// Waits until whoever is at this address is answered.
    async fn is_served(&self, source: Ipv4Addr, task: &str) {
        until(&format!("{source} is served"), &[&self.server.process], async || {
            (self.status_from(source, task).await == Some(200)).then_some(())
        })
        .await;
    }

    /// Waits until no connection is left but the one that asks, and the one that the client of the fixture may keep.
    async fn is_left_alone(&self) {
        until("no connection is left", &[&self.server.process], async || {
            let left = try_metric_at(self.server.url(), "nessus_http_connections").await.ok()?;
            (left <= 2).then_some(())
        })
        .await;
    }
}

/// The value of a metric at this address; 0 where nothing was counted yet.
async fn metric_at(url: &str, name: &str) -> u64 {
    try_metric_at(url, name).await.unwrap()
}

/// The same where there may be no room for whoever asks.
async fn try_metric_at(url: &str, name: &str) -> reqwest::Result<u64> {
    let answer = client_at(STRANGER).get(format!("{url}/metrics")).send().await?;
    let text = answer.error_for_status()?.text().await?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(value.map_or(0, |value| value.parse().unwrap()))
}

async fn connect(source: Ipv4Addr, server: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    socket.connect(server).await
}

/// A client at this address that keeps no connection.
fn client_at(source: Ipv4Addr) -> reqwest::Client {
    let client = reqwest::Client::builder().local_address(IpAddr::from(source)).pool_max_idle_per_host(0);
    client.build().unwrap()
}

/// Reads until the server closes the connection.
async fn to_the_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        read => drop(read.unwrap()),
    }
    String::from_utf8(answer).unwrap()
}

/// The resident memory of a process in KiB, and its open files.
fn held(process: &Process) -> (u64, usize) {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let files = fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap().count();
    (resident.trim().trim_end_matches(" kB").parse().unwrap(), files)
}

/// As many connections as this machine lets a test have, up to ten thousand.
fn many() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files).unwrap().saturating_sub(1000).min(10_000)
}

/// Slow connections: each sends its head byte by byte, and comes back when it is closed.
struct Loris {
    stop: Arc<AtomicBool>,
    streams: JoinSet<usize>,
}

impl Loris {
    fn start(fixture: &Fixture, count: usize, source: impl Fn(usize) -> Ipv4Addr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut streams = JoinSet::new();
        for n in 0..count {
            let (stop, source, server) = (Arc::clone(&stop), source(n), fixture.socket());
            streams.spawn(async move {
                let mut rounds = 0;
                while !stop.load(Ordering::Relaxed) {
                    let Ok(mut stream) = connect(source, server).await else { continue };
                    rounds += 1;
                    let head =
                        "GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".bytes().chain(std::iter::repeat(b'x'));
                    for byte in head {
                        if stop.load(Ordering::Relaxed) || stream.write_all(&[byte]).await.is_err() {
                            break;
                        }
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
                rounds
            });
        }
        Self { stop, streams }
    }

    async fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.streams.join_all().await.into_iter().sum()
    }
}

/// Nobody is kept out by slow connections: not from another address, nor from the same one, nor when they come from everywhere.
#[tokio::test]
async fn ten_thousand_slow_connections_keep_nobody_out() {
    // The kernel drops the end of some connections when so many come and go: what is left of them has a time, too.
    let fixture = Fixture::start_with(|server| server.env("MCP_CLIENT_TIMEOUT_SECONDS", "5s"));
    let task = fixture.submit(json!({ "targets": "192.0.2.1", "name": "watched", "scanner_pool": "slow" })).await;
    let mut before = Vec::new();
    for round in 0..2 {
        // An address has no more than its share.
        let loris = Loris::start(&fixture, many(), |_| ATTACKER);
        until("the attacker has its share", &[&fixture.server.process], async || {
            let most = try_metric_at(fixture.server.url(), "nessus_http_connections").await.ok()?;
            let refused = "nessus_http_refused_total{what=\"connections_of_client\"}";
            let refused = try_metric_at(fixture.server.url(), refused).await.ok()?;
            (most >= MOST_OF_ONE && refused > 0).then_some(())
        })
        .await;
        assert_eq!(fixture.status_from(STRANGER, task.as_str()).await, Some(200), "{}", fixture.server.process.tail());
        fixture.is_served(ATTACKER, task.as_str()).await;
        assert!(loris.end().await >= many());
        fixture.is_left_alone().await;

        // Together they have all.
        let loris = Loris::start(&fixture, many(), |n| Ipv4Addr::new(127, 0, 1, u8::try_from(1 + n % 100).unwrap()));
        fixture.is_served(STRANGER, task.as_str()).await;
        until("all are taken", &[&fixture.server.process], async || {
            let refused = |what: &str| format!("nessus_http_refused_total{{what=\"{what}\"}}");
            let full = try_metric_at(fixture.server.url(), &refused("connections")).await.ok()?;
            let made_room = try_metric_at(fixture.server.url(), &refused("waiting_connections")).await.ok()?;
            (full > 0 && made_room > 0).then_some(())
        })
        .await;
        fixture.is_served(STRANGER, task.as_str()).await;
        loris.end().await;
        fixture.is_left_alone().await;
        before.push(held(&fixture.server.process));
        let (first, last) = (before[0], before[round]);
        assert!(last.0 < first.0 + (24 << 10) && last.1 <= first.1 + 8, "KiB and files after each round: {before:?}");
    }
    let log = fixture.server.process.log();
    let told = log.lines().filter(|line| line.contains("for want of room or time")).count();
    assert!((1..200).contains(&told), "{told} lines");
}

/// Connections get half of the files that the process may open: scans are accepted and run with the other half.
#[tokio::test]
async fn connections_leave_files_for_scans() {
    let server = |server: Program| server.with_open_files(128).args(["--admin-bind", "127.0.0.1:0"]);
    let fixture = Fixture::start_with(server);
    let administration = fixture.administration();
    let metric = async |name: &str| metric_at(&administration, name).await;
    let task = fixture.submit(json!({ "targets": "192.0.2.1", "name": "watched", "scanner_pool": "slow" })).await;
    let call = fixture.tool_call("get_scan_status", &json!({ "task_id": task, "wait_seconds": 45 }));
    // Four of the 64 are those of the other address, and an address has half of the rest.
    let mut held = Vec::new();
    until("every place is taken by whoever waits for an answer", &[&fixture.server.process], async || {
        // The connection of the submit gives way, but not at once.
        if metric("nessus_http_requests").await < 61 {
            held.push(
                fixture.send_from(Ipv4Addr::new(127, 0, 0, u8::try_from(2 + held.len() % 3).unwrap()), &call).await,
            );
            return None;
        }
        Some(())
    })
    .await;
    let before = metric("nessus_http_refused_total{what=\"connections\"}").await;
    let half = format!("GET /health HTTP/1.1\r\nHost: {}\r\n", fixture.address());
    let mut refused = Vec::new();
    // Some hear it at once, others when they have sent what they began.
    for _ in 0..100 {
        refused.push(fixture.send_from(Ipv4Addr::new(127, 0, 0, 9), half.as_bytes()).await);
    }
    for stream in &mut refused {
        let answer = to_the_end(stream).await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n") && answer.contains("too many connections"), "{answer}");
    }
    assert_eq!(metric("nessus_http_refused_total{what=\"connections\"}").await - before, 100);
    assert!(metric("nessus_http_connections").await <= 64);
    // One of them goes, and in its place a scan is submitted and run.
    held.pop();
    until("its place is free", &[&fixture.server.process], async || {
        (metric("nessus_http_requests").await == 60).then_some(())
    })
    .await;
    let scan = fixture.submit(json!({ "targets": "192.0.2.1", "name": "beside", "scanner_pool": "lab" })).await;
    fixture.wait_for(&scan, "completed").await;
    assert!(metric("nessus_http_requests").await >= 60, "the others go on");
    drop(held);
    until("their places are free", &[&fixture.server.process], async || {
        (metric("nessus_http_requests").await == 1).then_some(())
    })
    .await;
}

/// Requests that take long fill the share of whoever sends them. The others wait, then are refused; nobody else notices.
#[tokio::test]
async fn a_thousand_requests_at_once_keep_nobody_else_waiting() {
    let fixture = Fixture::start();
    let task = fixture.submit(json!({ "targets": "192.0.2.1", "name": "watched", "scanner_pool": "slow" })).await;
    let task = task.as_str();
    fixture.wait_for(&task.parse().unwrap(), "running").await;
    let call = fixture.tool_call("get_scan_status", &json!({ "task_id": task, "wait_seconds": 45 }));
    let mut flood = JoinSet::new();
    for _ in 0..1000 {
        let (server, call) = (fixture.socket(), call.clone());
        flood.spawn(async move {
            let mut stream = connect(ATTACKER, server).await.unwrap();
            if stream.write_all(&call).await.is_err() {
                return (String::new(), stream);
            }
            let mut start = [0; 12];
            let read = stream.read_exact(&mut start).await;
            (read.map_or_else(|_| String::new(), |_| String::from_utf8_lossy(&start).into_owned()), stream)
        });
    }
    until("its share is full", &[&fixture.server.process], async || {
        let (connections, places) = (fixture.refused("connections_of_client").await, fixture.refused("places").await);
        (connections > 0 && places > 0).then_some(())
    })
    .await;
    for _ in 0..20 {
        assert_eq!(fixture.status_from(STRANGER, task).await, Some(200), "{}", fixture.server.process.tail());
    }
    // The calls end, and those that wait are answered.
    fixture.call("cancel_scan", json!({ "task_id": task })).await.ok();
    let answers: Vec<_> = flood.join_all().await.into_iter().map(|(answer, _)| answer).collect();
    let count = |start: &str| answers.iter().filter(|answer| answer.starts_with(start)).count();
    assert!(count("HTTP/1.1 200") >= 192, "64 at once and twice as many that wait: {}", count("HTTP/1.1 200"));
    assert!(count("HTTP/1.1 503") > 0);
    fixture.is_served(ATTACKER, task).await;
    fixture.is_left_alone().await;
}

/// The places are those of a principal, wherever it is, and another one at the same address has its own.
#[tokio::test]
async fn each_client_has_places_of_its_own() {
    let fixture = Fixture::start_with(|server| server.args(["--mcp-max-requests-per-client", "2"]));
    let task = fixture.submit(json!({ "targets": "192.0.2.1", "name": "watched", "scanner_pool": "slow" })).await;
    fixture.wait_for(&task, "running").await;
    let call = fixture.tool_call("get_scan_status", &json!({ "task_id": task, "wait_seconds": 45 }));
    let mut calls = Vec::new();
    for _ in 0..10 {
        calls.push(fixture.send_from(ATTACKER, &call).await);
    }
    until("two are worked on, four wait, four are refused", &[&fixture.server.process], async || {
        (fixture.refused("places").await == 4).then_some(())
    })
    .await;
    assert_eq!(fixture.status_from(STRANGER, task.as_str()).await, Some(200));
    // That it lives is said to all.
    let live = client_at(ATTACKER).get(format!("{}/health/live", fixture.server.url())).send().await.unwrap();
    assert_eq!(live.status(), 200);
    fixture.call("cancel_scan", json!({ "task_id": task })).await.ok();
    let (mut answered, mut refused) = (0, 0);
    for stream in &mut calls {
        let mut start = [0; 200];
        let length = stream.read(&mut start).await.unwrap();
        let start = String::from_utf8_lossy(&start[..length]).into_owned();
        if start.starts_with("HTTP/1.1 503 ") {
            assert!(start.contains("\r\nretry-after: 2\r\n"), "{start}");
            refused += 1;
        } else {
            assert!(start.starts_with("HTTP/1.1 200 "), "{start}");
            answered += 1;
        }
    }
    assert_eq!((answered, refused), (6, 4));
}

/// Whoever sends too much hears why, however much of it is still on its way.
#[tokio::test]
async fn what_is_too_large_is_refused_with_an_answer() {
    let fixture = Fixture::start();
    let large = vec![b'x'; 10 << 20];
    for length in
        [format!("Content-Length: {}\r\n\r\n", large.len()), "Transfer-Encoding: chunked\r\n\r\na00000\r\n".to_owned()]
    {
        let mut stream = fixture.send_from(ATTACKER, fixture.head(&length).as_bytes()).await;
        stream.write_all(&large).await.unwrap();
        let answer = to_the_end(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("larger than 1 MiB"), "{length}{answer}");
    }
    // Where nobody is known either.
    let head = fixture.head(&format!("Via: 1.1 proxy\r\nContent-Length: {}\r\n\r\n", large.len()));
    let mut stream = fixture.send_from(ATTACKER, head.as_bytes()).await;
    stream.write_all(&large).await.unwrap();
    let answer = to_the_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(fixture.refused("body_size").await, 2);
    fixture.is_left_alone().await;
}

/// A head has a size, and so has the number of its headers.
#[tokio::test]
async fn headers_without_end_are_refused() {
    let fixture = Fixture::start();
    let start = format!("GET /health/live HTTP/1.1\r\nHost: {}\r\n", fixture.address());
    let many = "X-One-Of-Many: 1\r\n".repeat(200);
    let mut stream = fixture.send_from(ATTACKER, format!("{start}{many}\r\n").as_bytes()).await;
    assert!(to_the_end(&mut stream).await.starts_with("HTTP/1.1 431 "));
    let long = format!("{start}X-Long: {}", "x".repeat(64 << 10));
    let mut stream = fixture.send_from(ATTACKER, long.as_bytes()).await;
    assert!(to_the_end(&mut stream).await.starts_with("HTTP/1.1 431 "));
    // Nobody waits for the end of them.
    let mut stream = fixture.send_from(ATTACKER, start.as_bytes()).await;
    let mut sent = 0_usize;
    while stream.write_all(b"X-Header: more\r\n").await.is_ok() {
        sent += 16;
        assert!(sent < 64 << 20, "it goes on reading");
    }
    fixture.is_left_alone().await;
}

/// Progress does not count: a request has a time as a whole, and so has a handshake.
#[tokio::test]
async fn what_comes_byte_by_byte_is_cut_off() {
    let fixture = Fixture::start_with(|server| server.env("MCP_CLIENT_TIMEOUT_SECONDS", "1s"));
    let head = format!("GET /health/live HTTP/1.1\r\nHost: {}\r\nX-Slow: ", fixture.address());
    let post = fixture.head("Content-Length: 100000\r\n\r\n");
    for (start, answer) in [(head, ""), (post, "HTTP/1.1 408 ")] {
        let mut stream = fixture.send_from(ATTACKER, start.as_bytes()).await;
        let (mut reader, mut writer) = stream.split();
        let dripping = async {
            loop {
                if writer.write_all(b"x").await.is_err() {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let mut read = Vec::new();
        tokio::select! {
            () = dripping => {}
            ended = reader.read_to_end(&mut read) => assert!(ended.is_ok() || answer.is_empty(), "{ended:?}"),
        }
        let read = String::from_utf8(read).unwrap();
        assert!(read.starts_with(answer) && read.is_empty() == answer.is_empty(), "{start}: {read}");
    }
    assert_eq!(fixture.refused("body_time").await, 1);
    fixture.is_left_alone().await;
}

/// A handshake has a time; whoever speaks no TLS is no client.
#[tokio::test]
async fn a_handshake_that_stands_still_is_cut_off() {
    let key = KeyPair::generate().unwrap();
    let made = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let fixture = Fixture::start_prepared(
        |deployment| {
            durable::replace(&deployment.path("cert.pem"), made.pem().as_bytes()).unwrap();
            durable::replace(&deployment.path("key.pem"), key.serialize_pem().as_bytes()).unwrap();
        },
        |server| {
            let server = server.args(["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
            server.env("MCP_CLIENT_TIMEOUT_SECONDS", "1s").args(["--admin-bind", "127.0.0.1:0"])
        },
    );
    let server: SocketAddr = fixture.server.url().strip_prefix("https://").unwrap().parse().unwrap();
    let trusted = reqwest::Certificate::from_pem(made.pem().as_bytes()).unwrap();
    // A connection that it kept would be closed at the same time as those that stand still.
    let client = reqwest::Client::builder().tls_certs_only([trusted]).pool_max_idle_per_host(0).build().unwrap();
    // A record that announces more than comes, nothing at all, and another protocol.
    for sent in [&b"\x16\x03\x01\x02\x00\x01"[..], b"", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = connect(ATTACKER, server).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
        let live = client.get(format!("{}/health/live", fixture.server.url())).send().await.unwrap();
        assert_eq!(live.status(), 200);
    }
    let administration = fixture.administration();
    until("the handshakes are counted", &[&fixture.server.process], async || {
        let metrics = client.get(format!("{administration}/metrics")).send().await.unwrap().text().await.unwrap();
        metrics.contains("nessus_http_refused_total{what=\"handshake\"} 3").then_some(())
    })
    .await;
}

/// Requests that come before the answer to the first are answered in their order, one at a time.
#[tokio::test]
async fn requests_in_a_row_are_answered_in_their_order() {
    let fixture = Fixture::start();
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", fixture.address());
    let last = format!("GET /health/live HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", fixture.address());
    let requests = [one("/health/live"), one("/nothing")].concat().repeat(250) + &last;
    let mut stream = fixture.send_from(ATTACKER, requests.as_bytes()).await;
    let answer = to_the_end(&mut stream).await;
    let statuses: Vec<_> =
        answer.match_indices("HTTP/1.1 ").map(|(at, start)| &answer[at + start.len()..][..3]).collect();
    assert_eq!((statuses.len(), statuses[0], statuses[1], statuses[500]), (501, "200", "404", "200"));
    assert!(statuses.chunks(2).all(|pair| pair[0] == "200" && pair.get(1).is_none_or(|second| *second == "404")));
}

/// HTTP/2 is not offered, so none of its attacks is.
#[tokio::test]
async fn http_2_is_not_spoken() {
    let fixture = Fixture::start();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    let mut stream = fixture.send_from(ATTACKER, preface).await;
    let answer = to_the_end(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    fixture.is_left_alone().await;
}
