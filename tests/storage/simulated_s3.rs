//! The simulated S3 as a process of its own, which can be stopped by a signal: `simulated-s3 [PORT [BUCKET]]`.
//!
//! It prints `listening on http://127.0.0.1:PORT`; under `/-/` it is told what goes wrong (`tests/support/s3/control.rs`).

use std::process::ExitCode;

use nessus_mcp_tests::s3::{self, S3Config};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut config = S3Config::default();
    let mut arguments = std::env::args().skip(1);
    if let Some(port) = arguments.next() {
        let Ok(port) = port.parse() else {
            return ExitCode::from(2);
        };
        config.port = port;
    }
    if let Some(bucket) = arguments.next() {
        config.buckets = vec![bucket];
    }
    s3::serve_for_ever(config, |url| {
        #[expect(clippy::print_stdout, reason = "a program that says where it is")]
        {
            println!("listening on {url}");
        }
    })
    .await;
    ExitCode::SUCCESS
}
