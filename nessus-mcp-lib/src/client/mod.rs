//! A typed client for a running `nessus-mcp-server` (feature `client`).
//!
//! [`NessusMcpClient::connect`] speaks HTTP, [`NessusMcpClient::spawn`] starts a server of its own as a child process. Requests and
//! answers are those of [`ScanService`](crate::ScanService): what an embedder gets, a client gets.
//!
//! # Connect
//! ```no_run
//! use nessus_mcp_lib::{client::{Endpoint, NessusMcpClient}, secret::Secret};
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! // A server on this machine needs no token.
//! let client = NessusMcpClient::connect("http://127.0.0.1:8835/mcp").await?;
//! # client.close().await;
//! // Elsewhere it does; a certificate of one's own needs its CA.
//! let endpoint = Endpoint::new("https://scans.example/mcp")
//!     .with_token(Secret::new(std::env::var("NESSUS_MCP_TOKEN")?))
//!     .with_ca(std::fs::read_to_string("ca.pem")?);
//! let client = NessusMcpClient::connect(endpoint).await?;
//! # client.close().await;
//! // Or a server of one's own, which ends with the client.
//! let mut command = std::process::Command::new("nessus-mcp-server");
//! command.args(["stdio", "--with-worker", "--scanner-config", "scanners.yaml"]);
//! let client = NessusMcpClient::spawn(command).await?;
//! # client.close().await;
//! # Ok(()) }
//! ```
//!
//! # Submit and wait
//! ```no_run
//! use std::time::Duration;
//!
//! use nessus_mcp_lib::{client::{NessusMcpClient, WaitOptions, Waited}, service::SubmitRequest};
//! # async fn run(client: NessusMcpClient) -> Result<(), Box<dyn std::error::Error>> {
//! let scan = client.submit_scan(&SubmitRequest::untrusted("office", "192.0.2.0/24")).await?;
//! let waited = client
//!     .wait_for_completion(&scan.task_id, &WaitOptions::new(Duration::from_secs(3600)), |task| {
//!         println!("{} {:?} {:?}", task.status, task.progress, task.waiting_for);
//!     })
//!     .await?;
//! match waited {
//!     Waited::Ended(task) => println!("{} after {:?} seconds", task.status, task.execution_time),
//!     // The scan goes on: ask for it later by its id.
//!     Waited::Unfinished(task) => println!("{} is still {}", task.task_id, task.status),
//!     _ => {}
//! }
//! # Ok(()) }
//! ```
//!
//! # Read all findings
//! ```no_run
//! use nessus_mcp_lib::{client::NessusMcpClient, ids::TaskId, results::Severity, service::ResultsRequest};
//! # async fn run(client: NessusMcpClient, task: TaskId) -> Result<(), Box<dyn std::error::Error>> {
//! let mut findings = client.findings(ResultsRequest::new(task));
//! while let Some(finding) = findings.next().await {
//!     let finding = finding?;
//!     if finding.severity >= Some(Severity::High) {
//!         println!("{:?} {:?} {:?}", finding.host, finding.plugin_id, finding.cve);
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # Errors
//! [`ClientError`] tells apart what a tool refuses (with its `code`, message and `hint`), a server that is not reached, one that does
//! not answer in time, one that does not know the token (401) or refuses it (403), and answers that are none.
//! [`is_passing`](ClientError::is_passing) says whether the same call may succeed later.
//!
//! # Other versions
//! Members that this version does not know are passed over, and those that an older server does not send are `None` or empty
//! where they may be. A word of an enum that this version does not know is a [`ClientError::Answer`], and never taken for
//! another one; [`NessusMcpClient::call`] returns such an answer as it is. Findings are read more leniently: see
//! [`Finding`](crate::results::Finding).

mod arguments;
mod connection;
mod endpoint;
mod error;
mod findings;
mod process;
mod tools;
mod wait;

pub use self::{
    arguments::ListTasks,
    connection::{NessusMcpClient, ToolInfo},
    endpoint::Endpoint,
    error::ClientError,
    findings::Findings,
    wait::{WaitOptions, Waited},
};
