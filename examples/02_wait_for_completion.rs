//! How to wait for a scan that takes hours: with news as they come, a limit, and a task that is not lost when the limit is over.
//!
//! ```console
//! cargo run --example 02_wait_for_completion
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use nessus_mcp_examples::Session;
use nessus_mcp_lib::{
    client::{WaitOptions, Waited},
    service::SubmitRequest,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Session::open().await?;
    let scan = client.submit_scan(&SubmitRequest::untrusted("waited for", "192.0.2.1-192.0.2.3")).await?;

    // The time is over at once, and the scan goes on.
    let waited = client.wait_for_completion(&scan.task_id, &WaitOptions::new(Duration::ZERO), |_| {}).await?;
    println!("unfinished: {}", matches!(waited, Waited::Unfinished(_)));

    // The server may be restarted or out of reach for five minutes meanwhile.
    let options = WaitOptions::new(Duration::from_secs(120)).with_outage(Duration::from_secs(300));
    let waited = client
        .wait_for_completion(&scan.task_id, &options, |task| {
            let waits = task.waiting_for.as_deref().map(|why| format!(", waits for {why}")).unwrap_or_default();
            println!("- {} {} %{waits}", task.status, task.progress.unwrap_or(0));
        })
        .await?;
    match waited {
        Waited::Ended(task) => println!("ended: {}, results: {}", task.status, task.results_available),
        _ => println!("still running; ask again for {}", scan.task_id),
    }
    client.close().await
}
