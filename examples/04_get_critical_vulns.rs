//! What to fix first: counts by severity, and every critical finding, over however many pages.
//!
//! ```console
//! cargo run --example 04_get_critical_vulns
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use nessus_mcp_examples::Session;
use nessus_mcp_lib::{client::WaitOptions, service::SubmitRequest};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Session::open().await?;
    let scan = SubmitRequest::untrusted("critical", "192.0.2.1-192.0.2.20");
    let options = WaitOptions::new(Duration::from_secs(120));
    let task = client.scan_and_wait(&scan, &options, |_| {}).await?.ended().ok_or("it takes too long")?;

    let counts = client.get_vulnerability_summary(&task.task_id).await?;
    println!("critical {}, high {}, medium {}, low {}", counts.critical, counts.high, counts.medium, counts.low);
    let critical = client.get_critical_vulnerabilities(&task.task_id).await?;
    println!("read {} critical findings", critical.len());
    for finding in &critical {
        let cve = finding.cve.as_deref().unwrap_or_default().join(", ");
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        println!("{} {} [{cve}]", text(&finding.host), text(&finding.plugin_name));
    }
    client.close().await
}
