//! A client that sees every byte, and how a connection ends.

use std::time::Duration;

use nessus_sim::SimulatedNessus;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// How long a connection must be quiet to count as silent, where that is expected.
pub(crate) const QUIET: Duration = Duration::from_millis(300);
/// The same where it is not expected: a slow machine must not look like a silent scanner.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Closed,
    Reset,
    Silent,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) ending: Ending,
}

impl Seen {
    /// The status; 0 when nothing came.
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).map_or(0, |status| status.parse().unwrap())
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.into_iter().find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }

    /// What `Content-Length` promises.
    pub(crate) fn promised(&self) -> usize {
        self.header("content-length").unwrap().parse().unwrap()
    }

    /// The payload of a chunked body, and whether its end was told.
    pub(crate) fn chunks(&self) -> (Vec<u8>, bool) {
        assert_eq!(self.header("transfer-encoding"), Some("chunked"));
        let (mut left, mut payload) = (self.body.as_slice(), Vec::new());
        while let Some(line) = left.windows(2).position(|pair| pair == b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&left[..line]).unwrap(), 16).unwrap();
            if size == 0 {
                return (payload, true);
            }
            payload.extend_from_slice(&left[line + 2..line + 2 + size]);
            left = &left[line + 4 + size..];
        }
        (payload, false)
    }
}

/// A connection to the scanner.
pub(crate) struct Raw(TcpStream);

impl Raw {
    pub(crate) async fn connect(sim: &SimulatedNessus) -> std::io::Result<Self> {
        let url = sim.url();
        Ok(Self(TcpStream::connect(url.split_once("://").unwrap().1).await?))
    }

    pub(crate) async fn send(&mut self, request: &str) {
        self.0.write_all(request.as_bytes()).await.unwrap();
    }

    /// Reads until the connection ends, or is quiet for so long.
    pub(crate) async fn read(&mut self, quiet: Duration) -> Seen {
        let mut bytes = Vec::new();
        let ending = loop {
            let mut piece = [0; 8192];
            match timeout(quiet, self.0.read(&mut piece)).await {
                Err(_) => break Ending::Silent,
                Ok(Ok(0)) => break Ending::Closed,
                Ok(Ok(count)) => bytes.extend_from_slice(&piece[..count]),
                Ok(Err(error)) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
                    break Ending::Reset;
                }
            }
        };
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        let body = bytes.split_off(end);
        Seen { head: String::from_utf8(bytes).unwrap(), body, ending }
    }

    /// Reads the next piece; empty at the end.
    pub(crate) async fn next(&mut self) -> Vec<u8> {
        let mut piece = vec![0; 65_536];
        let count = timeout(PATIENCE, self.0.read(&mut piece)).await.unwrap().unwrap();
        piece.truncate(count);
        piece
    }
}
