//! Answers that are too large for memory.

use std::{
    io::{self, BufRead as _, BufReader, BufWriter, Write},
    net::TcpStream,
};

use super::*;

/// How many hosts a scan has, or how many scans a scanner.
const MANY: u64 = 100_000;
const MARKER: &str = "ne_ness_20251201_143022_a1b2c3d4";

/// A scanner whose large answers are written while they are sent, by `write`, which may leave them unfinished.
fn large_scanner(write: fn(&str, &mut dyn Write) -> io::Result<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that has heard enough hangs up.
            let _ = answer(stream.unwrap(), write);
        }
    });
    url
}

fn answer(stream: TcpStream, write: fn(&str, &mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut request = BufReader::new(stream.try_clone()?);
    let (mut line, mut path, mut length) = (String::new(), String::new(), 0);
    while request.read_line(&mut line)? > 2 {
        if path.is_empty() {
            line.split(' ').nth(1).unwrap_or_default().clone_into(&mut path);
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    io::Read::read_exact(&mut request, &mut vec![0; length])?;
    let mut stream = BufWriter::new(stream);
    match path.as_str() {
        "/server/status" => stream.write_all(raw(r#"{"status":"ready"}"#).as_bytes())?,
        "/session" => stream.write_all(raw(r#"{"token":"first"}"#).as_bytes())?,
        _ => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")?;
            let mut body = Chunks(BufWriter::with_capacity(10_000, Chunk(stream)));
            write(&path, &mut body)?;
            body.0.flush()?;
            body.0.get_mut().0.write_all(b"0\r\n\r\n")?;
            return body.0.get_mut().0.flush();
        }
    }
    stream.flush()
}

/// Each write is a chunk.
struct Chunk<W>(W);

impl<W: Write> Write for Chunk<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write!(self.0, "{:x}\r\n", bytes.len())?;
        self.0.write_all(bytes)?;
        self.0.write_all(b"\r\n")?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

struct Chunks<W: Write>(BufWriter<Chunk<W>>);

impl<W: Write> Write for Chunks<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// `GET /scans` and `GET /scans/57`, each with [`MANY`] rows of about 500 bytes.
fn many(path: &str, out: &mut dyn Write) -> io::Result<()> {
    let padding = "x".repeat(400);
    if path == "/scans" {
        write!(out, r#"{{"folders":[{{"id":2,"type":"trash"}}],"timestamp":1000,"scans":["#)?;
        for id in 1..=MANY {
            let marker = if id == 777 { MARKER } else { "ne_of_another" };
            write!(out, r#"{{"id":{id},"name":"nightly {padding} [{marker}]","folder_id":3}},"#)?;
        }
        write!(out, "null]}}")
    } else {
        write!(out, r#"{{"info":{{"status":"running"}},"hosts":["#)?;
        for host in 1..=MANY {
            write!(
                out,
                r#"{{"host_id":{host},"hostname":"{padding}","scanprogresscurrent":{},"scanprogresstotal":100}},"#,
                host % 2 * 100
            )?;
        }
        write!(out, r#"null],"vulnerabilities":[{{"plugin_name":"{padding}"}}],"notes":null}}"#)
    }
}

/// The most memory this process has had, in bytes; none where nobody tells.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().to_owned();
    line.split(' ').next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[tokio::test]
async fn a_status_with_many_hosts_and_a_list_of_many_scans_are_read_in_little_memory() {
    let scanner = NessusScanner::new(config(large_scanner(many)).request_timeout(Duration::from_secs(60))).unwrap();
    assert_eq!(scanner.find_by_marker("ne_of_nobody").await.unwrap(), None);
    let before = peak();
    let status = scanner.status(&ScanId::from(57)).await.unwrap();
    assert_eq!((status.state, status.progress, status.hosts), (ScanState::Running, Some(50), Some(MANY)));
    assert_eq!(scanner.find_by_marker(MARKER).await.unwrap(), Some(ScanId::from(777)));
    if let (Some(before), Some(after)) = (before, peak()) {
        // Each of the answers has more than 40 MB.
        assert!(after - before < 16 << 20, "{} bytes more than before", after - before);
    }
}

fn cut(path: &str, out: &mut dyn Write) -> io::Result<()> {
    write!(out, r#"{{"info":{{"status":"running"}},"hosts":["#)?;
    for _ in 0..20_000 {
        write!(out, r#"{{"hostname":"planted","x":"{path}"}},"#)?;
    }
    out.flush()?;
    Err(io::ErrorKind::Other.into())
}

fn stalls(path: &str, out: &mut dyn Write) -> io::Result<()> {
    let cut = cut(path, out);
    std::thread::sleep(Duration::from_secs(3));
    cut
}

fn breaks(_: &str, out: &mut dyn Write) -> io::Result<()> {
    write!(out, r#"{{"info":{{"status":"running"}},"hosts":[{}}}"#, "{},".repeat(100_000))
}

fn page(_: &str, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "<html><body>{}</body></html>", "log in ".repeat(100_000))
}

#[tokio::test]
async fn a_large_answer_that_is_none_is_an_error() {
    let outcome = async |write| {
        let config = config(large_scanner(write)).request_timeout(Duration::from_millis(700));
        NessusScanner::new(config).unwrap().status(&ScanId::from(57)).await.unwrap_err()
    };
    let error = outcome(cut).await;
    assert!(matches!(error, ScannerError::Transport { .. }), "{error:?}");
    let error = outcome(stalls).await;
    assert!(matches!(&error, ScannerError::Transport { message, .. } if message.contains("no answer")), "{error:?}");
    let error = outcome(breaks).await;
    assert!(matches!(&error, ScannerError::Decode { message, .. } if message.contains("begins with")), "{error:?}");
    let error = outcome(page).await;
    assert!(matches!(&error, ScannerError::Decode { message, .. } if message.contains("a page")), "{error:?}");
}
