//! A scan in one call: submitted under a key of its own, so that it is never run twice, and waited for.
//!
//! ```console
//! cargo run --example 03_scan_and_wait
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use nessus_mcp_examples::Session;
use nessus_mcp_lib::{client::WaitOptions, error::Classified as _, service::SubmitRequest};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Session::open().await?;
    let options = WaitOptions::new(Duration::from_secs(120));
    let scan = SubmitRequest::untrusted("scan and wait", "192.0.2.1-192.0.2.3");
    let task = client.scan_and_wait(&scan, &options, |_| {}).await?.ended().ok_or("it takes too long")?;
    println!("{}: {}", task.name, task.status);

    // What the server refuses is an error with a stable code, and a hint for whoever reads it.
    let wrong = SubmitRequest::untrusted("wrong", "192.0.2.0/99");
    if let Err(refused) = client.scan_and_wait(&wrong, &options, |_| {}).await {
        println!("refused: {}", refused.tool_code().unwrap_or_default());
        println!("has a hint: {}", refused.hint().is_some());
    }
    client.close().await
}
