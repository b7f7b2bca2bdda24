//! How to put the circuit breaker in front of calls of your own, which need not have to do with a scanner: here a function that asks
//! a server over HTTP. You see it open, refuse without a call, let calls try, and close.
//!
//! ```console
//! cargo run --example circuit_breaker_alone
//! ```
//!
//! Errors say by [`ClassifyOutcome`] what they mean: no answer is a failure, a "not found" is an answer like any other.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, net::SocketAddr, time::Duration};

use nessus_mcp_lib::{
    CircuitBreaker,
    circuit_breaker::{CallOutcome, CircuitOpen, ClassifyOutcome},
    config::CircuitSettings,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What your own function may fail with.
#[derive(Debug)]
enum CallError {
    NoAnswer(std::io::Error),
    Status(u16),
    NotCalled(CircuitOpen),
}

impl From<CircuitOpen> for CallError {
    fn from(open: CircuitOpen) -> Self {
        Self::NotCalled(open)
    }
}

impl ClassifyOutcome for CallError {
    fn outcome(&self) -> CallOutcome {
        match self {
            // A second of peace, at least. Without it the breaker decides for how long it is open.
            Self::NoAnswer(_) => {
                CallOutcome::Failure { reason: "no answer".to_owned(), retry_after: Some(Duration::from_secs(1)) }
            }
            Self::Status(500..) => CallOutcome::failure("the server failed"),
            Self::Status(_) | Self::NotCalled(_) => CallOutcome::Ignored,
        }
    }
}

/// Your own HTTP function. Any client will do.
async fn fetch(server: SocketAddr, path: &str) -> Result<(), CallError> {
    let mut stream = TcpStream::connect(server).await.map_err(CallError::NoAnswer)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(CallError::NoAnswer)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(CallError::NoAnswer)?;
    match answer.split(' ').nth(1).and_then(|status| status.parse().ok()) {
        Some(200) => Ok(()),
        Some(status) => Err(CallError::Status(status)),
        None => Err(CallError::NoAnswer(std::io::ErrorKind::InvalidData.into())),
    }
}

/// Makes a call through the breaker, and says how it ended.
async fn call(breaker: &CircuitBreaker, server: SocketAddr, path: &str) -> String {
    let outcome = match breaker.call(fetch(server, path)).await {
        Ok(()) => "answered".to_owned(),
        Err(CallError::NoAnswer(error)) => format!("no answer ({:?})", error.kind()),
        Err(CallError::Status(status)) => format!("status {status}"),
        Err(CallError::NotCalled(open)) => format!("not called, the circuit is {}: {}", open.state, open.reason),
    };
    format!("{path}: {outcome}; now {}", breaker.view().state)
}

/// A server that knows `/` and answers `calls` calls.
async fn serve(listener: TcpListener, calls: usize) -> std::io::Result<()> {
    for _ in 0..calls {
        let (mut stream, _) = listener.accept().await?;
        let mut request = [0; 1024];
        let read = stream.read(&mut request).await?;
        let status = if request[..read].starts_with(b"GET / ") { "200 OK" } else { "404 Not Found" };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

async fn run() -> Result<Vec<String>, Box<dyn Error>> {
    let mut lines = Vec::new();
    // A port at which nobody listens yet: the server is down.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    drop(listener);

    let second = Duration::from_secs(1);
    let settings = CircuitSettings::default()
        .with_failures(3)
        .with_open_time(Duration::from_millis(10), second)
        .with_half_open(1, 2, 10 * second);
    let breaker = CircuitBreaker::new("catalogue", settings)?;
    // The third failure opens the circuit; after that nothing is sent.
    for _ in 0..4 {
        lines.push(call(&breaker, server, "/").await);
    }

    // The server comes back. When its time is over, the circuit lets a call try, and closes after two that succeed.
    let serving = tokio::spawn(serve(TcpListener::bind(server).await?, 3));
    while let Err(open) = breaker.check() {
        tokio::time::sleep(open.retry_after.ok_or("nobody has isolated it")?).await;
    }
    for path in ["/", "/", "/missing"] {
        lines.push(call(&breaker, server, path).await);
    }
    serving.await??;
    Ok(lines)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_circuit_opens_refuses_tries_and_closes() {
        let lines = run().await.unwrap();
        assert_eq!(
            lines,
            [
                "/: no answer (ConnectionRefused); now closed",
                "/: no answer (ConnectionRefused); now closed",
                "/: no answer (ConnectionRefused); now open",
                "/: not called, the circuit is open: 3 calls in a row failed, the last: no answer; now open",
                "/: answered; now half_open",
                "/: answered; now closed",
                "/missing: status 404; now closed",
            ]
        );
    }
}
