//! The least that a program needs: submit a scan, ask where it stands, read a page of what it found.
//!
//! ```console
//! cargo run --example 01_basic_usage                                  # starts a server with a mock scanner
//! cargo run --example 01_basic_usage -- http://127.0.0.1:8835/mcp     # or uses one that runs
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use nessus_mcp_examples::Session;
use nessus_mcp_lib::service::{ResultsRequest, SubmitRequest};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Session::open().await?;
    client.ping().await?;
    println!("the server offers {} tools", client.list_tools().await?.len());

    let scan = client.submit_scan(&SubmitRequest::untrusted("basic usage", "192.0.2.1-192.0.2.3")).await?;
    println!("submitted a scan of {} hosts: {}", scan.target_hosts, scan.status);
    let ended = loop {
        let task = client.get_status(&scan.task_id).await?;
        if task.status.is_terminal() {
            break task;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    println!("the scan is {}", ended.status);

    let page = client.get_results(&ResultsRequest::new(scan.task_id)).await?;
    println!("{} findings, of which this page has {}", page.schema.matched, page.findings.len());
    for finding in page.findings.iter().take(3) {
        let severity = finding.severity.map_or("?", |severity| severity.name());
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        println!("{severity:8} {:12} {}", text(&finding.host), text(&finding.plugin_name));
    }
    client.close().await
}
