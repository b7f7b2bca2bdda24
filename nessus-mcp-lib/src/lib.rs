//! Safe, asynchronous use of Nessus scanners.
//!
//! A scan takes minutes to hours, and whoever asked for it has long gone on. This library accepts scans durably, queues
//! them, drives scanners through them, survives crashes on the way, and leaves findings that can be read page by page.
//! `nessus-mcp-server`, `nessus-worker` and `nessus-admin` are thin binaries on top of it; an embedding program has the
//! same power:
//!
//! ```no_run
//! use nessus_mcp_lib::{ScanService, Worker, config::{Settings, WorkerSettings}};
//! use nessus_mcp_lib::service::{ResultsRequest, SubmitRequest};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! // The same data directory and scanner configuration may be shared by any number of processes.
//! let service = ScanService::open(&Settings::new("./data", "scanners.yaml")).await?;
//! let worker = Worker::new(&service, WorkerSettings::default())?;
//! tokio::spawn(worker.run(std::future::pending()));
//!
//! let scan = service.submit(SubmitRequest::untrusted("office", "192.0.2.0/28")).await?;
//! while !service.status(&scan.task_id).await?.status.is_terminal() {
//!     tokio::time::sleep(std::time::Duration::from_secs(10)).await;
//! }
//! println!("{}", service.results(ResultsRequest::new(scan.task_id)).await?);
//! # Ok(()) }
//! ```
//!
//! # Where to begin
//! | to | see |
//! |---|---|
//! | submit scans, ask how they are, read their findings, cancel them | [`ScanService`] and its [`config::Settings`]; [`service::SubmitRequest`], [`service::ResultsRequest`] |
//! | run the scans in this process | [`Worker`] |
//! | turn a .nessus file into lines of JSON, without scanners and queue | [`JsonNlConverter`] |
//! | connect another scanner, or another queue | the traits [`ScannerInterface`] and [`Queue`]; the suites in [`testing`] check them |
//! | read what is stored about a task | [`TaskManager`] |
//! | guard calls of your own | [`CircuitBreaker`] |
//!
//! # What is where
//! From the lowest layer up; a module uses only those on its own line or above it.
//!
//! | modules | what they hold |
//! |---|---|
//! | [`ids`], [`time`], [`error`], [`secret`], [`targets`] | names, clock, error kinds, secrets, target sets |
//! | [`telemetry`] | metrics, log lines, health reports |
//! | [`config`] | `scanners.yaml`, settings of the binaries |
//! | [`policy`], [`audit`] | what may be scanned; who did what |
//! | [`results`] | .nessus exports as lines of JSON |
//! | [`task`], [`queue`], [`circuit_breaker`] | the state machine of a task and its file; the queue's backends; the breaker |
//! | [`scanner`] | Nessus, mock, pools |
//! | [`service`] | what every API layer calls |
//! | [`housekeeping`], `delivery`, [`worker`] | what must be done now and then; telling webhooks; the engine |
//! | `client`, [`testing`] | a typed MCP client; conformance suites and mocks |
//!
//! Not shown here, because only the binaries and tests of this project need them: `config::cli`, `durable` (files that are whole or
//! absent), `streams` (stdout and stderr that nobody waits for), `fail_points`.
//!
//! # Features
//! `sqlite` (the embedded queue), `redis` (the shared queue), `nessus` (scanners over HTTP) and `webhooks` are on by default. `client`, `cli` (flags that
//! binaries share), `schema` (JSON schemas of the views) and `testing` are not. `fail-points` lets tests abort the process
//! at a named step; it is not for production.
//!
//! # Guarantees
//! - An accepted task reaches a terminal state, whatever is killed; one task launches one scan.
//! - Results are never silently wrong: what cannot be applied is an error, what was not scanned is said in the data.
//! - Secrets are in no log, error, file or answer.
//! - No type of a pre-1.0 crate is in a public signature.

#![cfg_attr(
    not(all(feature = "metrics", feature = "nessus", feature = "redis", feature = "sqlite", feature = "webhooks")),
    allow(
        dead_code,
        reason = "without a backend, what only it uses has no caller; a build with all of them finds what is unused"
    )
)]

pub mod audit;
mod blocking;
pub mod circuit_breaker;
#[cfg(feature = "client")]
pub mod client;
pub mod config;
pub mod credentials;
mod delegate;
#[cfg(feature = "webhooks")]
pub mod delivery;
#[doc(hidden)]
pub mod durable;
pub mod error;
#[doc(hidden)]
pub mod fail_points;
mod hex;
pub mod housekeeping;
pub mod ids;
mod known;
mod login;
pub mod policy;
pub mod queue;
pub mod results;
mod retry;
pub mod scanner;
pub mod secret;
pub mod service;
#[doc(hidden)]
pub mod streams;
pub mod targets;
pub mod task;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod worker;

pub use circuit_breaker::CircuitBreaker;
pub use queue::Queue;
pub use results::JsonNlConverter;
pub use scanner::ScannerInterface;
pub use service::ScanService;
pub use task::TaskManager;
pub use worker::Worker;
