//! Everything in the order in which a program needs it: look, check, scan, wait, read, compare, stop.
//!
//! ```console
//! cargo run --example 05_full_workflow
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use nessus_mcp_examples::Session;
use nessus_mcp_lib::{
    client::{ListTasks, WaitOptions},
    results::{Severity, SummarySection},
    service::{ResultsRequest, SubmitRequest},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Session::open().await?;
    let options = WaitOptions::new(Duration::from_secs(120));

    println!("scanners: {}", client.list_scanners(None).await?.total);
    println!("queued: {}", client.get_queue_status(None).await?.pools.iter().map(|pool| pool.queued).sum::<u64>());

    // What would become of it? Nothing is submitted.
    let scan = SubmitRequest::untrusted("monday", "192.0.2.1-192.0.2.9");
    println!("would scan {} hosts", client.check_scan(&scan).await?.target_hosts);

    let first = client.scan_and_wait(&scan, &options, |_| {}).await?.ended().ok_or("it takes too long")?;
    println!("first scan: {}", first.status);
    let summary = client.get_scan_summary(&first.task_id, &[SummarySection::BySeverity], None).await?;
    println!("findings: {}", summary.summary.counts.findings);

    // Findings come one by one, from small pages, and none is lost.
    let mut request = ResultsRequest::new(first.task_id.clone());
    request.max_chars = Some(4_000);
    let mut findings = client.findings(request);
    let (mut read, mut urgent) = (0, 0);
    while let Some(finding) = findings.next().await {
        read += 1;
        urgent += u64::from(finding?.severity >= Some(Severity::High));
    }
    println!("read {read} findings, {urgent} of them high or critical");

    let again = SubmitRequest::untrusted("tuesday", "192.0.2.1-192.0.2.9");
    let second = client.scan_and_wait(&again, &options, |_| {}).await?.ended().ok_or("it takes too long")?;
    let changes = client.compare_scans(&first.task_id, &second.task_id, None).await?;
    println!("new: {}, fixed: {}", changes.diff.new.total, changes.diff.fixed.total);

    let unwanted = client.submit_scan(&SubmitRequest::untrusted("unwanted", "192.0.2.99")).await?;
    client.pause_scan(&unwanted.task_id, Some("shown as an example")).await?;
    client.cancel_scan(&unwanted.task_id, Some("not wanted")).await?;
    let ended = client.wait_for_completion(&unwanted.task_id, &options, |_| {}).await?;
    println!("third scan: {}", ended.view().status);

    let mut days = ListTasks::default();
    days.name = Some("day".to_owned());
    println!("scans of a day: {}", client.list_tasks(&days).await?.tasks.len());
    client.close().await
}
